/* Which moves of a ref count, and what they have in common. */
#include <stdio.h>

#include "bucket/lineage.h"
#include "tests/unit/tap.h"

#define ARENA_BYTES ((uint64_t)64 << 20)

/* "n:a<bc": number n, id a..., put on top of b... and c... */
static void add(struct lineage *l, const char *text, int64_t written_s)
{
    char tail[MOVE_TAIL_MAX + 1], id[2 + MOVE_OVER_MAX][MOVE_ID + 1];
    const char *over[MOVE_OVER_MAX], *at = strchr(text, ':') + 1;
    struct err e = ERR_INIT;
    unsigned n = 0;

    for (; *at != '\0'; at++) {
        if (*at == '<')
            continue;
        memset(id[n], *at, MOVE_ID);
        id[n++][MOVE_ID] = '\0';
    }
    for (unsigned i = 1; i < n; i++)
        over[i - 1] = id[i];
    move_tail(tail, strtoull(text, NULL, 10), id[0], over, n - 1);
    if (lineage_add(l, str_of(tail), written_s, &e) != 0)
        ok(false, "%s", e.msg);
}

static struct lineage of(
    struct arena *arena, const char *const *texts, int64_t before_s)
{
    struct lineage l = { .arena = arena };
    struct err e = ERR_INIT;

    for (size_t i = 0; texts[i] != NULL; i++)
        add(&l, texts[i], (int64_t)i + 1);
    is_int(lineage_sort(&l, before_s, &e), 0, "sorted");
    return l;
}

static struct move *named(const struct lineage *l, char name)
{
    char id[MOVE_ID + 1];

    memset(id, name, MOVE_ID);
    return lineage_find(l, id);
}

/* Those that count, as their names. */
static const char *counts(const struct lineage *l)
{
    static char out[64];
    size_t n = 0;

    for (uint64_t i = 0; i < l->n; i++)
        if (!l->v[i].covered)
            out[n++] = *move_id(&l->v[i]);
    out[n] = '\0';
    return out;
}

/* What they have in common, as names, the highest first. */
static const char *base(struct lineage *l, const char *names)
{
    static char out[MOVE_OVER_MAX + 1];
    const struct move *found[MOVE_OVER_MAX];
    struct move *v[8];
    unsigned n = (unsigned)strlen(names);

    for (unsigned i = 0; i < n; i++)
        v[i] = named(l, names[i]);
    n = lineage_bases(l, v, n, found);
    for (unsigned i = 0; i < n; i++)
        out[i] = *move_id(found[i]);
    out[n] = '\0';
    return out;
}

static bool shares(struct lineage *l, const char *names, const char *want)
{
    return strcmp(base(l, names), want) == 0;
}

static void test_names(void)
{
    static const char *const bad[] = { "", "head",
        "0000000000000000000-aaaaaaaaaaaaaaaa",
        "00000000000000000000-aaaaaaaaaaaaaaaa",
        "00000000000000000001-aaaaaaaaaaaaaaa",
        "00000000000000000001-aaaaaaaaaaaaaaag",
        "00000000000000000001_aaaaaaaaaaaaaaaa",
        "00000000000000000001-aaaaaaaaaaaaaaaa-",
        "00000000000000000001-aaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbb",
        "99999999999999999999-aaaaaaaaaaaaaaaa" };
    uint64_t number = 0;
    size_t taken = 0;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        taken += move_number(str_of(bad[i]), &number);
    is_int(taken, 0, "what is no move is none");
    ok(move_number(str_of("00000000000000000012-aaaaaaaaaaaaaaaa-"
                          "bbbbbbbbbbbbbbbb"),
           &number) &&
            number == 12,
        "a move and its number");
}

static void test_counts(void)
{
    static const char *const plain[] = { "1:a", "2:b<a", "3:c<b", NULL };
    static const char *const beside[] = { "1:a", "2:b<a", "2:c<a", "3:d<b",
        NULL };
    static const char *const joined[] = { "1:a", "2:b<a", "2:c<a", "3:d<bc",
        NULL };
    static const char *const circle[] = { "1:a<b", "2:b<a", "2:c<c", "2:d<e",
        "2:e<d", NULL };
    static const char *const gone[] = { "7:1<0", "8:2<0", NULL };
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct lineage l;

    l = of(&arena, plain, 0);
    ok(strcmp(counts(&l), "c") == 0, "the last of a row counts");
    l = of(&arena, beside, 0);
    ok(strcmp(counts(&l), "cd") == 0,
        "what a later one did not know of counts beside it");
    ok(shares(&l, "cd", "a") && shares(&l, "dc", "a"), "over the first");
    l = of(&arena, joined, 0);
    ok(strcmp(counts(&l), "d") == 0, "one covers two");
    ok(shares(&l, "db", "b"), "and has each in it");
    l = of(&arena, circle, 0);
    ok(strcmp(counts(&l), "bcde") == 0 && shares(&l, "de", ""),
        "names that somebody has made up make no circle");
    l = of(&arena, gone, 0);
    ok(strcmp(counts(&l), "12") == 0 && shares(&l, "12", ""),
        "what is not there any more is in common with nobody");
    ok(!lineage_whole(&l), "and is missed");
    arena_free(&arena);
}

static void test_base(void)
{
    /* c and d come from b, and e from before it. */
    static const char *const three[] = { "1:a", "2:b<a", "2:e<a", "3:c<b",
        "3:d<b", NULL };
    /* e was put on top of two, f on one of them. */
    static const char *const cross[] = { "1:a", "2:b<a", "2:c<a", "3:e<bc",
        "3:f<c", NULL };
    static const char *const twice[] = { "1:a", "2:b<a", "2:c<a", "3:e<bc",
        "3:f<bc", NULL };
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct lineage l = of(&arena, three, 0);
    struct err e = ERR_INIT;

    ok(shares(&l, "ce", "a") && shares(&l, "ced", "b") &&
            shares(&l, "cde", "a"),
        "of all that are put together the nearest is told");
    l = of(&arena, cross, 0);
    ok(strcmp(counts(&l), "ef") == 0 && shares(&l, "ef", "c"),
        "also by way of the second that one was put on top of");
    l = of(&arena, twice, 0);
    ok(strcmp(counts(&l), "ef") == 0 && shares(&l, "ef", "cb"),
        "where both were put on top of the same two, those two");
    ok(lineage_leave_out(&l, move_id(named(&l, 'e')), &e) == 0 &&
            strcmp(counts(&l), "f") == 0 &&
            lineage_leave_out(&l, move_id(named(&l, 'f')), &e) == 0 &&
            strcmp(counts(&l), "bc") == 0 &&
            lineage_leave_out(&l, move_id(named(&l, 'a')), &e) == 0 &&
            strcmp(counts(&l), "bc") == 0,
        "without one what it alone covers counts");
    ok(lineage_whole(&l), "all is there that any covers");
    arena_free(&arena);
}

static void test_tidy(void)
{
    static const char *const row[] = { "1:a", "2:b<a", "2:d<a", "3:c<b", NULL };
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct lineage l = of(&arena, row, 3);

    ok(named(&l, 'a')->settled && !named(&l, 'b')->settled &&
            !named(&l, 'c')->settled && !named(&l, 'd')->settled,
        "only what an old one covers may go");
    ok(lineage_bare(&l, named(&l, 'a')) && !lineage_bare(&l, named(&l, 'b')),
        "and nothing before what it covers");
    named(&l, 'a')->gone = true;
    ok(lineage_bare(&l, named(&l, 'b')), "then it may");
    arena_free(&arena);
}

int main(void)
{
    test_names();
    test_counts();
    test_base();
    test_tidy();
    return done();
}
