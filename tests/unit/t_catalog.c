/* Catalogs and refs of a bucket: as text and back, and put together. */
#include <stdio.h>
#include <string.h>

#include "bucket/catalog.h"
#include "bucket/names.h"
#include "bucket/tip.h"
#include "tests/unit/tap.h"

#define ARENA_BYTES ((uint64_t)64 << 20)

enum { TEXT_MAX = 1 << 20 };

static const char hex_a[] =
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char hex_b[] =
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
static const char oid[] = "0123456789abcdef0123456789abcdef01234567";

static struct digest digest(const char *hex)
{
    struct digest d;

    if (!digest_parse(&d, str_of(hex)))
        d.hex[0] = '\0';
    return d;
}

static struct catalog_file file(const char *name, const char *hex)
{
    return (struct catalog_file){ .name = str_of(name),
        .size = 5,
        .mtime = 1763712000,
        .sha256 = digest(hex),
        .held = true };
}

static struct catalog catalog_of(struct catalog_file *v, uint64_t n)
{
    return (struct catalog){ .number = 3,
        .when = 1763712000,
        .what = "put",
        .who = "ann@host",
        .files = v,
        .n = n };
}

static bool same_text(const struct catalog *a, const struct catalog *b)
{
    struct buf x AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct buf y AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct err e = ERR_INIT;

    return catalog_text(a, &x, &e) == 0 && catalog_text(b, &y, &e) == 0 &&
           str_eq(buf_str(&x), buf_str(&y));
}

static void test_text(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_BYTES);
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct digest pieces[2] = { digest(hex_a), digest(hex_b) };
    struct catalog_file v[3] = { file("a b", hex_a), file("c/d", hex_b),
        file("e", hex_a) };
    const struct origin from = { .number = 7, .id = "0123456789abcdef" };
    struct catalog_file other;
    struct catalog c = catalog_of(v, 3), back;
    struct err e = ERR_INIT;
    size_t cut = 0;

    memcpy(c.parent, hex_b, 65);
    c.parent_size = 99;
    memcpy(c.commit, oid, 41);
    v[0].size = CATALOG_PIECE + 1;
    v[0].pieces = pieces;
    v[1] = (struct catalog_file){
        .name = v[1].name, .size = 7, .oid = digest(oid), .lfs = true
    };
    v[1].from = &from;
    other = file("e", hex_b);
    other.from = &from;
    v[2].beside = &other;
    ok(catalog_text(&c, &text, &e) == 0 &&
            catalog_parse(&back, buf_str(&text), &arena, &e) == 0 &&
            same_text(&c, &back) && back.n == 3 && back.parent_size == 99 &&
            digest_eq(&back.files[0].pieces[1], &pieces[1]) &&
            !back.files[1].held && back.files[1].lfs &&
            back.files[0].from == NULL && back.files[1].from->number == 7 &&
            strcmp(back.files[1].from->id, from.id) == 0 &&
            back.files[2].from == NULL && catalog_split(&back.files[2]) &&
            catalog_same(back.files[2].beside, &other) &&
            back.files[2].beside->from->number == 7,
        "as text and back: %s", e.msg);
    for (size_t n = 0; n < text.len; n++) {
        struct err why = ERR_INIT;

        cut += catalog_parse(&back, (struct str){ text.p, n }, &arena, &why) ==
                   -1 &&
               why.kind == ERR_CORRUPT;
    }
    ok(cut == text.len, "cut at any byte it is refused");
    ok(catalog_pieces(0) == 0 && catalog_pieces(CATALOG_PIECE) == 0 &&
            catalog_pieces(CATALOG_PIECE + 1) == 2 &&
            catalog_pieces(3 * CATALOG_PIECE) == 3,
        "pieces are counted");
}

#define HEAD                                                                   \
    "ml-catalog 1\nnumber 1\nparent -\nwhen 0\nwhat put\nwho -\ncommit -\n"
#define MOVE "move 1 0123456789abcdef\n"
#define BESIDE "beside 1 0123456789abcdef\n"
#define FILE_LINE "5 0 - - + "
#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "

static void test_hostile(void)
{
    static const struct {
        const char *text, *why;
    } v[] = {
        { "", "nothing" },
        { "ml-catalog 2\n", "another version" },
        { HEAD "files 1\n" A64 FILE_LINE "../x\n", "a name that leaves" },
        { HEAD "files 1\n" A64 FILE_LINE "/x\n", "an absolute name" },
        { HEAD "files 1\n" A64 FILE_LINE "\n", "no name" },
        { HEAD "files 1\n" A64 "-5 0 - - + x\n", "a size below zero" },
        { HEAD "files 1\n" A64 "05 0 - - + x\n", "a zero in front" },
        { HEAD "files 1\n" A64 "99999999999999999999 0 - - + x\n",
            "a size that does not fit" },
        { HEAD "files 1\n" A64 "18446744073709551615 0 - - + x\npiece " A64
               "\n",
            "more pieces than there are" },
        { HEAD "files 1\n" A64 "67108865 0 - - + x\npiece " A64 "\n",
            "fewer pieces than it has" },
        { HEAD "files 1\n- 5 0 - - + x\n", "held without a digest" },
        { HEAD "files 1\n" A64 "5 0 - - * x\n", "neither held nor not" },
        { HEAD "files 2\n" A64 FILE_LINE "x\n" A64 FILE_LINE "x\n", "twice" },
        { HEAD "files 2\n" A64 FILE_LINE "y\n" A64 FILE_LINE "x\n",
            "not sorted" },
        { HEAD "files 18446744073709551615\n" A64 FILE_LINE "x\n",
            "more files than there are" },
        { HEAD "files 0\n" A64 FILE_LINE "x\n", "fewer files than there are" },
        { HEAD "files 1\n" MOVE A64 FILE_LINE "x\n" MOVE, "a move of nothing" },
        { HEAD "files 2\n" A64 FILE_LINE "x\n" BESIDE A64 FILE_LINE "y\n",
            "another name beside it" },
        { HEAD "files 2\n" A64 FILE_LINE "x\n" BESIDE, "nothing beside it" },
        { HEAD "files 1\n" BESIDE A64 FILE_LINE "x\n", "beside nothing" },
        { HEAD "files 1\n" MOVE MOVE A64 FILE_LINE "x\n", "two moves" },
        { HEAD "files 1\nmove -\n" A64 FILE_LINE "x\n", "no move, as before" },
        { HEAD "files 2\n" MOVE A64 FILE_LINE "x\n" MOVE A64 FILE_LINE "y\n",
            "the same move again" },
        { HEAD "files 1\nmove 0 0123456789abcdef\n" A64 FILE_LINE "x\n",
            "a move of no number" },
        { HEAD "files 1\nmove 1 0123456789abcde\n" A64 FILE_LINE "x\n",
            "a short move" },
        { HEAD "files 1\nmove 1 0123456789abcdef \n" A64 FILE_LINE "x\n",
            "more than a move" },
    };
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_BYTES);
    struct catalog c;

    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        struct err e = ERR_INIT;

        ok(catalog_parse(&c, str_of(v[i].text), &arena, &e) == -1 &&
                e.kind == ERR_CORRUPT,
            "refused: %s", v[i].why);
    }
}

/* "name=digit ..." of a catalog, in order. */
static bool reads(const struct catalog *c, const char *want)
{
    char text[256] = "";
    size_t at = 0;

    for (uint64_t i = 0; i < c->n; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%.*s=%c",
            i > 0 ? " " : "", STR_ARG(c->files[i].name),
            c->files[i].sha256.hex[0]);
    return strcmp(text, want) == 0;
}

static void test_lay(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_BYTES);
    struct catalog_file v[3] = { file("a", hex_a), file("b", hex_a),
        file("c", hex_a) };
    struct catalog_file w[3] = { file("b", hex_b),
        (struct catalog_file){ .name = str_of("c") }, file("d", hex_b) };
    struct catalog under = catalog_of(v, 3), out = { .n = 0 };
    struct err e = ERR_INIT;

    ok(catalog_lay(&out, &under, w, 3, &arena, &e) == 0 &&
            reads(&out, "a=a b=b d=b"),
        "changes are laid over a catalog");
    ok(catalog_find(&out, str_of("b")) == &out.files[1] &&
            catalog_find(&out, str_of("c")) == NULL,
        "found by name");
}

/* A name is a file or a folder, also beside names of any bytes. */
static void test_fit(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_BYTES);
    struct catalog_file v[] = { file("a/x", hex_a), file("a\xc3\xa9", hex_a),
        file("a\xc3\xaa", hex_a), file("a\xc3\xab", hex_a) };
    struct catalog_file folder = file("a", hex_b), below = file("a/x/y", hex_b);
    struct catalog_file other = file("a\xc3", hex_b);
    struct catalog c = catalog_of(v, 4);
    struct err e = ERR_INIT;

    ok(names_fit(&c, &other, 1, &arena, &e) == 0, "a name that is free");
    ok(names_fit(&c, &folder, 1, &arena, &e) == -1 && e.kind == ERR_REFUSED,
        "a folder's name is taken");
    err_clear(&e);
    ok(names_fit(&c, &below, 1, &arena, &e) == -1 && e.kind == ERR_REFUSED,
        "nothing goes below a file");
}

/* 'a' and 'b' of number 2, each made from '1', 'c' and 'd' from all of them,
 * and 'e' from 'b'. */
static struct lineage family(struct arena *arena, struct move *out[5])
{
    static const char *const over[] = { "1111111111111111", "aaaaaaaaaaaaaaaa",
        "bbbbbbbbbbbbbbbb", "cccccccccccccccc", "dddddddddddddddd",
        "eeeeeeeeeeeeeeee" };
    struct lineage l = { .arena = arena };
    char tail[MOVE_TAIL_MAX + 1];
    struct err e = ERR_INIT;

    for (unsigned i = 0; i < 6; i++) {
        move_tail(tail,
            i == 0  ? 1
            : i < 3 ? 2
                    : 3,
            over[i], i < 5 ? over : over + 2,
            i == 0            ? 0
            : i < 3 || i == 5 ? 1
                              : 3);
        lineage_add(&l, str_of(tail), 100 + i, &e);
    }
    is_int(lineage_sort(&l, 0, &e), 0, "a family of moves");
    for (unsigned i = 1; i < 6; i++)
        out[i - 1] = lineage_find(&l, over[i]);
    return l;
}

static struct catalog_file by(
    const char *name, const char *hex, const struct origin *from)
{
    struct catalog_file f = file(name, hex);

    f.from = from;
    return f;
}

static const struct origin first = { 1, "1111111111111111" };
static const struct origin move_a = { 2, "aaaaaaaaaaaaaaaa" };
static const struct origin move_b = { 2, "bbbbbbbbbbbbbbbb" };
static const struct origin move_e = { 3, "eeeeeeeeeeeeeeee" };
static const struct origin move_c = { 3, "cccccccccccccccc" };

static int join(struct catalog *out, struct catalog *v, size_t n,
    const struct kin *kin, struct arena *arena, struct err *e)
{
    const struct sides sides = { .v = v, .n = n, .kin = *kin };

    return catalog_join(out, &sides, arena, e);
}

static void test_join(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_BYTES);
    struct catalog_file a_v[] = { by("both", hex_a, &move_a),
        by("changed", hex_b, &move_a), by("kept", hex_a, &first),
        by("mine", hex_a, &move_a), by("old", hex_a, NULL),
        by("other", hex_a, &first) };
    struct catalog_file b_v[] = { by("both", hex_b, &move_b),
        by("gone", hex_a, &first), by("kept", hex_a, &first),
        by("old", hex_a, NULL), by("other", hex_b, &move_b) };
    struct catalog_file c_v[] = { by("both", hex_b, &move_b),
        by("new", hex_b, &move_c) };
    struct catalog sides[3] = { catalog_of(a_v, 6), catalog_of(b_v, 5),
        catalog_of(c_v, 2) };
    struct err e = ERR_INIT;
    struct catalog out;
    struct move *v[5];
    struct lineage l = family(&arena, v);
    struct kin kin;

    is_int(lineage_kin(&l, v, 2, &kin, &e), 0, "two writers");
    ok(join(&out, sides, 2, &kin, &arena, &e) == 0 &&
            reads(&out, "both=a changed=b kept=a mine=a old=a other=b"),
        "what each of them did is there; what one removes is changed by the "
        "other no more");
    ok(catalog_split(&out.files[0]) &&
            catalog_same(out.files[0].beside, &b_v[0]) &&
            catalog_by(&out.files[0], &move_b) == out.files[0].beside &&
            catalog_by(&out.files[0], &move_c) == NULL,
        "and of the name that both gave each one's meaning");
    is_int(lineage_kin(&l, v, 3, &kin, &e), 0, "and one made from both");
    ok(join(&out, sides, 3, &kin, &arena, &e) == 0 &&
            reads(&out, "both=b new=b") && out.files[0].beside == NULL,
        "counts alone, also where it goes against what would have counted");
    a_v[1].from = &first; /* not changed by a: what b removed is gone */
    is_int(lineage_kin(&l, v, 2, &kin, &e), 0, "two writers");
    ok(join(&out, sides, 2, &kin, &arena, &e) == 0 &&
            catalog_find(&out, str_of("changed")) == NULL,
        "what one has removed is gone");
}

/* Two who saw each other, and left the name to each other. */
static void test_join_left(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_BYTES);
    struct catalog_file c_v[] = { by("x", hex_b, &move_b) };
    struct catalog_file d_v[] = { by("x", hex_a, &move_a) };
    struct catalog_file e_v[] = { by("x", hex_a, &move_e) };
    struct catalog sides[3] = { catalog_of(c_v, 1), catalog_of(d_v, 1),
        { .n = 0 } };
    struct err e = ERR_INIT;
    struct catalog out;
    struct move *v[5];
    struct lineage l = family(&arena, v);
    struct move *cd1[3] = { v[2], v[3], lineage_find(&l, first.id) };
    struct kin kin;

    is_int(lineage_kin(&l, cd1, 3, &kin, &e), 0, "and one who knew of neither");
    ok(join(&out, sides, 3, &kin, &arena, &e) == 0 && reads(&out, "x=a"),
        "one of the two counts");
    cd1[2] = v[0];
    is_int(lineage_kin(&l, cd1, 3, &kin, &e), 0, "or of one");
    ok(join(&out, sides, 3, &kin, &arena, &e) == 0 && reads(&out, "x=b"),
        "not that which one has removed who knew of it");
    cd1[1] = v[4];
    sides[1] = catalog_of(e_v, 1);
    is_int(lineage_kin(&l, cd1, 2, &kin, &e), 0, "and one who replaces it");
    ok(join(&out, sides, 2, &kin, &arena, &e) == 0 && reads(&out, "x=a") &&
            out.files[0].beside == NULL,
        "beside who leaves it counts");
}

/* Two bring files of one commit: what either has brought is there. */
static void test_join_held(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_BYTES);
    struct catalog_file a_v[] = { by("f", hex_a, &move_a),
        by("g", hex_a, &move_a) };
    struct catalog_file b_v[] = { by("f", hex_a, &move_b),
        by("g", hex_a, &move_b) };
    struct catalog sides[2] = { catalog_of(a_v, 2), catalog_of(b_v, 2) };
    struct err e = ERR_INIT;
    struct catalog out;
    struct move *v[5];
    struct lineage l = family(&arena, v);
    struct kin kin;

    for (int i = 0; i < 2; i++)
        a_v[i].oid = b_v[i].oid = digest(oid);
    a_v[1].held = b_v[0].held = false;
    is_int(lineage_kin(&l, v, 2, &kin, &e), 0, "two pulls");
    ok(join(&out, sides, 2, &kin, &arena, &e) == 0 && out.n == 2 &&
            out.files[0].held && out.files[1].held &&
            out.files[0].beside == NULL && out.files[1].beside == NULL,
        "of two pulls that which is held counts, once");
}

static void test_head(void)
{
    struct buf text AUTO(buf_free) = BUF_INIT(TEXT_MAX);
    struct tip_side side = { .size = 77 }, back;
    struct err e = ERR_INIT;
    uint64_t number = 0;
    size_t refused = 0;

    side.catalog = digest(hex_a);
    ok(tip_text(&text, 12, &side, &e) == 0 &&
            tip_parse(buf_str(&text), &number, &back, &e) == 0 &&
            number == 12 && back.size == 77 &&
            digest_eq(&back.catalog, &side.catalog),
        "a ref as text and back");
    for (size_t i = 0; i < text.len * 8; i++) {
        struct err why = ERR_INIT;

        text.p[i / 8] ^= (char)(1 << i % 8);
        refused += tip_parse(buf_str(&text), &number, &back, &why) == -1;
        text.p[i / 8] ^= (char)(1 << i % 8);
    }
    ok(refused == text.len * 8, "any bit of it that flips is noticed");
    refused = 0;
    for (size_t n = 0; n < text.len; n++) {
        struct err why = ERR_INIT;

        refused +=
            tip_parse((struct str){ text.p, n }, &number, &back, &why) == -1;
    }
    ok(refused == text.len, "and where it is cut");
}

int main(void)
{
    test_text();
    test_hostile();
    test_lay();
    test_fit();
    test_join();
    test_join_left();
    test_join_held();
    test_head();
    return done();
}
