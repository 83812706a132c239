#include "fetch/plan.h"

#include <stdlib.h>

#include "tests/unit/tap.h"

static struct tree_file make(const char *path, uint64_t size, char tag)
{
    struct tree_file f = { .path = str_of(path), .size = size };

    f.oid.kind = HASH_GIT_SHA1;
    memset(f.oid.hex, tag, 40);
    return f;
}

static void order(void)
{
    struct tree_file t[] = { make("big", 900, 'a'), make("small", 1, 'b'),
        make("held", 5, 'c'), make("link", 7, 'd'), make("mid", 50, 'e'),
        make("mid2", 50, 'f') };
    struct plan_file f[] = { { &t[0], PLAN_FETCH, 100, false, false },
        { &t[5], PLAN_FETCH, 0, false, false }, { &t[1], PLAN_FETCH, 0, false, false },
        { &t[2], PLAN_HELD, 0, false, false }, { &t[3], PLAN_LINK, 0, false, false },
        { &t[4], PLAN_FETCH, 0, false, false } };
    struct err e = ERR_INIT;
    struct plan p;

    is_int(plan_make(&p, f, 6, &e), 0, "a plan is made");
    ok(str_is(p.files[0].file->path, "small") &&
            str_is(p.files[1].file->path, "mid") &&
            str_is(p.files[2].file->path, "mid2") &&
            str_is(p.files[3].file->path, "big"),
        "small files first, then by content");
    is_int((long long)p.n_fetch, 4, "four to fetch");
    is_int((long long)p.bytes, 1013, "bytes of all");
    is_int((long long)p.fetch_bytes, 901, "bytes to fetch");
    is_int((long long)p.kept_bytes, 100, "bytes kept");
}

static void twins(void)
{
    struct tree_file t[] = { make("x/1", 10, 'a'), make("x/2", 10, 'a'),
        make("x/3", 10, 'a'), make("other", 10, 'b') };
    struct plan_file f[] = { { &t[0], PLAN_FETCH, 0, false, false },
        { &t[1], PLAN_FETCH, 0, false, false }, { &t[2], PLAN_FETCH, 0, false, false },
        { &t[3], PLAN_FETCH, 0, false, false } };
    struct err e = ERR_INIT;
    struct plan p;

    plan_make(&p, f, 4, &e);
    is_int((long long)p.n_fetch, 2, "the same content is fetched once");
    is_int((long long)p.fetch_bytes, 20, "and counted once");
    is_int((long long)p.bytes, 40, "all names count");
    ok(p.files[2].state == PLAN_LINK && p.files[3].state == PLAN_LINK,
        "the others are linked");
}

/* Whatever the names: the order in which the locks are taken. */
static void locks(void)
{
    struct tree_file t[] = { make("1", 10, 'a'), make("2", 10, 'b'),
        make("1", 10, 'b'), make("2", 10, 'a') };
    struct plan_file one[] = { { &t[0], PLAN_FETCH, 0, false, false },
        { &t[1], PLAN_FETCH, 0, false, false } };
    struct plan_file two[] = { { &t[2], PLAN_FETCH, 0, false, false },
        { &t[3], PLAN_FETCH, 0, false, false } };
    struct err e = ERR_INIT;
    struct plan p, q;

    plan_make(&p, one, 2, &e);
    plan_make(&q, two, 2, &e);
    ok(digest_eq(&p.files[0].file->oid, &q.files[0].file->oid),
        "equal sizes: the same content first in every process");
}

static void limits(void)
{
    struct tree_file t[] = { make("a", UINT64_MAX - 5, 'a'),
        make("b", 10, 'b') };
    struct plan_file f[] = { { &t[0], PLAN_HELD, 0, false, false },
        { &t[1], PLAN_HELD, 0, false, false } };
    struct err e = ERR_INIT;
    struct plan p;

    ok(plan_make(&p, f, 2, &e) == -1 && e.kind == ERR_REFUSED,
        "sizes that do not fit are refused");
    err_clear(&e);
    ok(plan_make(&p, f, 0, &e) == 0 && p.n == 0, "an empty plan");
}

/* Every byte that is missing is in one gap, and no other byte is. */
static void check_gaps(struct ranges *have, uint64_t size, const char *name)
{
    struct range *v = NULL;
    size_t n = 0;
    struct err e = ERR_INIT;
    uint64_t sum = 0;
    bool good = plan_gaps(have, size, &v, &n, &e) == 0;

    for (size_t i = 0; i < n; i++) {
        good = good && v[i].from < v[i].to && v[i].to <= size &&
               (i == 0 || v[i].from > v[i - 1].to) &&
               ranges_end(have, v[i].from) == v[i].from &&
               ranges_next(have, v[i].from, v[i].to) == v[i].to;
        sum += v[i].to - v[i].from;
    }
    ok(good && sum == size - ranges_sum(have), "%s: %zu gaps", name, n);
    free(v);
}

static void gaps(void)
{
    struct ranges have AUTO(ranges_free) = RANGES_INIT;
    struct ranges copy AUTO(ranges_free) = RANGES_INIT;
    struct err e = ERR_INIT;

    check_gaps(&have, 0, "an empty file");
    check_gaps(&have, 1, "one byte");
    ranges_add(&have, 0, 5, &e);
    check_gaps(&have, 101, "the front is there");
    ranges_add(&have, 25, 31, &e);
    ranges_add(&have, 40, 50, &e);
    check_gaps(&have, 101, "holes");
    ranges_add(&have, 100, 101, &e);
    check_gaps(&have, 101, "the end is there");
    ok(ranges_copy(&copy, &have, &e) == 0 && copy.n == have.n &&
            ranges_sum(&copy) == ranges_sum(&have),
        "a copy");
    ranges_add(&have, 0, 101, &e);
    check_gaps(&have, 101, "all is there");
}

/* Against a map of bytes, with random ranges. */
static void ranges_model(void)
{
    struct ranges r AUTO(ranges_free) = RANGES_INIT;
    struct err e = ERR_INIT;
    bool there[200] = { false };
    bool good = true;
    uint32_t seed = 1;

    for (int turn = 0; turn < 2000 && good; turn++) {
        uint64_t from, to, sum = 0;

        seed = seed * 1664525 + 1013904223;
        from = (seed >> 8) % 200;
        to = size_min(200, from + (seed >> 20) % 9);
        if (turn % 100 == 0) {
            ranges_free(&r);
            memset(there, 0, sizeof(there));
        }
        ranges_add(&r, from, to, &e);
        for (uint64_t i = from; i < to; i++)
            there[i] = true;
        for (uint64_t i = 0; i < 200; i++) {
            uint64_t end = i, next = i;

            sum += there[i];
            while (end < 200 && there[end])
                end++;
            while (next < 200 && !there[next])
                next++;
            good = good && ranges_end(&r, i) == end &&
                   ranges_next(&r, i, 200) == next;
        }
        good = good && ranges_sum(&r) == sum;
        for (size_t i = 1; i < r.n; i++)
            good = good && r.v[i].from > r.v[i - 1].to;
    }
    ok(good, "ranges are what a map of bytes says, 2000 times");
}

int main(void)
{
    order();
    twins();
    locks();
    limits();
    gaps();
    ranges_model();
    return done();
}
