/* Which moves of a ref count, and what they know of. */
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

/* Of each of names, those of all moves that it knows of. */
static const char *known(struct lineage *l, const char *names, bool *torn)
{
    static char out[256];
    struct err e = ERR_INIT;
    struct move *v[8] = { NULL };
    size_t n = strlen(names), at = 0;
    struct kin kin;

    for (size_t i = 0; i < n; i++)
        v[i] = named(l, names[i]);
    if (lineage_kin(l, v, n, &kin, &e) != 0)
        return "";
    *torn = kin.torn;
    for (size_t i = 0; i < n; i++) {
        out[at++] = names[i];
        out[at++] = ':';
        for (uint64_t k = 0; k < l->n; k++) {
            struct origin of = { .number = l->v[k].number };

            memcpy(of.id, move_id(&l->v[k]), MOVE_ID);
            if (kin_knows(&kin, i, &of))
                out[at++] = *of.id;
        }
        out[at++] = ' ';
    }
    out[at] = '\0';
    return out;
}

static bool knows(struct lineage *l, const char *names, const char *want)
{
    bool torn;

    return strcmp(known(l, names, &torn), want) == 0;
}

static bool torn(struct lineage *l, const char *names)
{
    bool is;

    known(l, names, &is);
    return is;
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
    ok(knows(&l, "cd", "c:ac d:abd ") && !torn(&l, "cd"),
        "and each knows what it was made from");
    l = of(&arena, joined, 0);
    ok(strcmp(counts(&l), "d") == 0, "one covers two");
    ok(knows(&l, "db", "d:abcd b:ab "), "and knows of both");
    l = of(&arena, circle, 0);
    ok(strcmp(counts(&l), "bcde") == 0 && knows(&l, "de", "d:d e:e "),
        "names that somebody has made up make no circle");
    l = of(&arena, gone, 0);
    ok(strcmp(counts(&l), "12") == 0 && torn(&l, "12"),
        "what is not there any more is missed");
    arena_free(&arena);
}

static bool knows_old(struct lineage *l, char name, uint64_t number)
{
    struct origin of = { .number = number, .id = "9999999999999999" };
    struct move *v = named(l, name);
    struct err e = ERR_INIT;
    struct kin kin;

    return lineage_kin(l, &v, 1, &kin, &e) == 0 && kin_knows(&kin, 0, &of);
}

static void test_kin(void)
{
    static const char *const cross[] = { "1:a", "2:b<a", "2:c<a", "3:e<bc",
        "3:f<c", NULL };
    /* Of the moves before 7, and before 9, nothing is left. */
    static const char *const slept[] = { "5:e<0", "7:a<1", "8:b<a", "9:d<2",
        NULL };
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct lineage l = of(&arena, cross, 0);
    struct origin o[3] = { { 3, "" }, { 3, "" }, { 2, "" } };
    struct err e = ERR_INIT;
    struct move *v[2];
    struct kin kin;

    ok(knows(&l, "ef", "e:abce f:acf "), "by way of all it was made from");
    v[0] = named(&l, 'e');
    v[1] = named(&l, 'f');
    for (size_t i = 0; i < 3; i++)
        memset(o[i].id, "efb"[i], MOVE_ID);
    is_int(lineage_kin(&l, v, 2, &kin, &e), 0, "two of them");
    ok(kin_order(&kin, &o[0], &o[1]) < 0 && kin_order(&kin, &o[1], &o[0]) > 0 &&
            kin_order(&kin, &o[2], &o[0]) > 0 &&
            kin_order(&kin, &o[2], NULL) < 0 &&
            kin_order(&kin, NULL, NULL) == 0,
        "the higher one first, then the older");
    ok(kin_knows(&kin, 1, NULL), "what was there before moves all know");
    l = of(&arena, slept, 0);
    ok(knows_old(&l, 'b', 6) && !knows_old(&l, 'b', 7) &&
            knows_old(&l, 'e', 4) && !knows_old(&l, 'e', 5),
        "what gc took was known to whoever came after it");
    ok(torn(&l, "be") && !torn(&l, "b"), "and to one who slept it is missing");
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
    test_kin();
    test_tidy();
    return done();
}
