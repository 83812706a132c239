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
    ok(catalog_text(&c, &text, &e) == 0 &&
            catalog_parse(&back, buf_str(&text), &arena, &e) == 0 &&
            same_text(&c, &back) && back.n == 3 && back.parent_size == 99 &&
            digest_eq(&back.files[0].pieces[1], &pieces[1]) &&
            !back.files[1].held && back.files[1].lfs,
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

static void test_merge(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_BYTES);
    struct catalog_file base_v[] = { file("gone", hex_a), file("kept", hex_a),
        file("other", hex_a) };
    struct catalog_file a_v[] = { file("both", hex_a), file("kept", hex_a),
        file("mine", hex_a), file("other", hex_a) };
    struct catalog_file b_v[] = { file("both", hex_b), file("gone", hex_a),
        file("kept", hex_a), file("other", hex_b) };
    struct catalog base = catalog_of(base_v, 3), a = catalog_of(a_v, 4);
    struct catalog b = catalog_of(b_v, 4), out;
    struct str clash = { NULL, 0 };
    struct err e = ERR_INIT;

    ok(catalog_merge(&out, &base, &a, &b, &clash, &arena, &e) == 0 &&
            reads(&out, "both=a kept=a mine=a other=b"),
        "what each of two writers did is there");
    ok(str_is(clash, "both"), "and the name that both gave is told");
    clash.len = 0;
    ok(catalog_merge(&out, &base, &a, &base, &clash, &arena, &e) == 0 &&
            reads(&out, "both=a kept=a mine=a other=a") && clash.len == 0,
        "one who did nothing changes nothing");
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
    test_merge();
    test_head();
    return done();
}
