/* The log of a volume, cut and spoilt at every byte. */
#include "cache/history.h"
#include "cache/past.h"

#include "tests/unit/tap.h"

#define ARENA_MAX ((uint64_t)1 << 30)

static const char A[] =
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char B[] =
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static struct arena arena = ARENA_INIT(ARENA_MAX);

static struct volume_entry entry(const char *hex, uint64_t size)
{
    struct volume_entry out = { .size = size, .mtime = -5 };

    digest_parse(&out.sha256, str_of(hex));
    return out;
}

/* Step n: the name "x y%" comes, changes and goes; "f/n" comes with it. */
static void make(struct buf *out, uint64_t n)
{
    const char name[] = { 'f', '/', (char)('0' + n), '\0' };
    struct change c[2] = {
        { .name = str_of(name), .is = true, .now = entry(B, n) },
        { .name = str_of("x y%"),
            .was = n > 1,
            .is = n != 3,
            .old = entry(A, n - 1),
            .now = entry(A, n) }
    };
    struct step s = { .number = n,
        .when = 1000 * (int64_t)n,
        .what = str_of("put it"),
        .who = str_of(n == 1 ? "" : "-"),
        .changes = c,
        .n = 2 };
    struct err e = ERR_INIT;

    step_text(&s, out, &e);
    step_done_text(n, out, &e);
}

static struct history parse(const char *p, size_t len)
{
    struct history h;
    struct err e = ERR_INIT;

    if (history_parse((struct str){ p, len }, &arena, &h, &e) != 0)
        printf("# %s\n", e.msg);
    return h;
}

static void test_whole(const struct buf *log)
{
    struct history h = parse(log->p, log->len);
    const struct change *c;

    is_int((int)h.n, 3, "three steps");
    ok(h.last == 3 && h.done == 3 && !h.torn && h.size == log->len, "all done");
    ok(str_is(h.steps[0].what, "put it") && h.steps[0].who.len == 0 &&
            str_is(h.steps[1].who, "-") && h.steps[2].when == 3000,
        "what, who and when");
    c = history_find(h.steps, h.n, str_of("x y%"));
    ok(c != NULL && c->was && !c->is && c->old.size == 2 && c->old.mtime == -5,
        "the newest meaning of a name");
    c = history_find(h.steps, h.n, str_of("f/2"));
    ok(c != NULL && c->is && !c->was && strcmp(c->now.sha256.hex, B) == 0,
        "and of another");
    ok(history_find(h.steps, h.n, str_of("f")) == NULL, "of no other");
}

/* The end of each entry: how much of the log is whole up to there. */
static uint64_t steps_within(const struct buf *log, size_t len)
{
    uint64_t n = 0;

    for (uint64_t i = 1; i <= 3; i++) {
        struct buf front AUTO(buf_free) = BUF_INIT(1 << 16);
        struct buf done AUTO(buf_free) = BUF_INIT(1 << 10);
        struct err e = ERR_INIT;

        for (uint64_t k = 1; k <= i; k++)
            make(&front, k);
        step_done_text(i, &done, &e);
        n += front.len - done.len <= len;
    }
    (void)log;
    return n;
}

static void test_torn(const struct buf *log)
{
    int bad = 0;

    for (size_t len = 0; len <= log->len; len++) {
        struct history h = parse(log->p, len);

        bad += h.n != steps_within(log, len) || h.last != h.n ||
               h.done > h.last ||
               h.torn != (len > 0 && log->p[len - 1] != '\n');
    }
    is_int(bad, 0, "cut at every byte: the steps that are whole count");
}

/* Of three steps at most one is lost, and the others are as they were. */
static void test_flipped(struct buf *log)
{
    int bad = 0, lost = 0;

    for (size_t i = 0; i < log->len; i++)
        for (int bit = 0; bit < 8; bit++) {
            struct history h;

            log->p[i] ^= (char)(1 << bit);
            h = parse(log->p, log->len);
            log->p[i] ^= (char)(1 << bit);
            bad += h.n < 2 || h.n > 3;
            for (uint64_t k = 0; k < h.n; k++)
                bad += h.steps[k].n != 2 ||
                       h.steps[k].when != 1000 * (int64_t)h.steps[k].number;
            lost += h.n == 2;
        }
    is_int(bad, 0, "each bit flipped: no step is another, one at most is lost");
    ok(lost > 1000, "the control: %d flips were seen", lost);
}

static void test_gap(const struct buf *log)
{
    struct buf gap AUTO(buf_free) = BUF_INIT(1 << 16);
    struct change *changes;
    struct err e = ERR_INIT;
    struct history h;
    uint64_t n;

    (void)log;
    make(&gap, 1);
    make(&gap, 3);
    h = parse(gap.p, gap.len);
    ok(past_diff(&h, 0, 1, &arena, &changes, &n, &e) == 0 && n == 2,
        "before the gap all is known");
    ok(past_diff(&h, 2, 3, &arena, &changes, &n, &e) == 0 && n == 2,
        "and behind it");
    is_int(past_diff(&h, 1, 3, &arena, &changes, &n, &e), -1, "not across");
    ok(e.kind == ERR_CORRUPT && strstr(e.msg, "step 2 ") != NULL,
        "the step is named");
    ok(strncmp(e.hint, "2 is", 4) == 0 &&
            past_diff(&h, 2, 3, &arena, &changes, &n, &e) == 0,
        "and the earliest point from which on all is known");
}

static void test_second(void)
{
    struct buf log AUTO(buf_free) = BUF_INIT(1 << 16);
    struct change *changes;
    struct err e = ERR_INIT;
    struct history h;
    uint64_t n;

    make(&log, 1);
    make(&log, 2);
    make(&log, 2);
    make(&log, 1);
    h = parse(log.p, log.len);
    ok(h.n == 2 && h.last == 2, "a number that was there does not count");
    ok(past_diff(&h, 0, 2, &arena, &changes, &n, &e) == 0 && n == 3 &&
            !changes[2].was && changes[2].now.size == 2,
        "from nothing to the newest");
    ok(past_diff(&h, 2, 1, &arena, &changes, &n, &e) == 0 && n == 2 &&
            changes[0].was && !changes[0].is && changes[1].now.size == 1,
        "and backwards");
    ok(past_diff(&h, 1, 1, &arena, &changes, &n, &e) == 0 && n == 0,
        "nothing from a point to itself");
}

static void test_refused(void)
{
    static const char *const names[] = { "../x", "/x", "a\nb", "a//b", "",
        "a\\b" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct buf log AUTO(buf_free) = BUF_INIT(1 << 16);
        struct change c = {
            .name = str_of(names[i]), .is = true, .now = entry(A, 1)
        };
        struct step s = { .number = 1,
            .what = str_of("put"),
            .who = str_of("x"),
            .changes = &c,
            .n = 1 };
        struct err e = ERR_INIT;

        step_text(&s, &log, &e);
        ok(parse(log.p, log.len).n == 0, "the name %zu is no step's", i);
    }
}

int main(void)
{
    struct buf log AUTO(buf_free) = BUF_INIT(1 << 16);

    for (uint64_t n = 1; n <= 3; n++)
        make(&log, n);
    test_whole(&log);
    test_torn(&log);
    test_flipped(&log);
    test_gap(&log);
    test_second();
    test_refused();
    arena_free(&arena);
    return done();
}
