/* The zip directory: what is read, and everything that is refused. */
#include "formats/zip.h"

#include <stdlib.h>

#include "t_torch_make.h"
#include "tap.h"

enum { LIMIT = 64 << 20 };

static void try(const struct buf *b, struct arena *arena, struct zip *z,
    struct err *e, int want, const char *words, const char *name)
{
    /* A copy of its own length: reading behind it shows. */
    char *copy = malloc(b->len ? b->len : 1);
    int rc;

    if (copy == NULL)
        return;
    memcpy(copy, b->p, b->len);
    rc = zip_read(copy, b->len, arena, z, e);
    ok(rc == want && (want == 0 || (e->kind == ERR_REFUSED &&
                                       strstr(e->msg, words) != NULL)),
        "%s", name);
    if (rc != want || (want != 0 && strstr(e->msg, words) == NULL))
        printf("#   got %d '%s'\n#   want %d '%s'\n", rc, e->msg, want, words);
    free(copy);
}

static void bytes_refused(
    const char *name, const struct buf *b, const char *words)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(LIMIT);
    struct err e = ERR_INIT;
    struct zip z;

    try(b, &arena, &z, &e, -1, words, name);
}

static void refused(
    const char *name, const struct entry *v, size_t n, const char *words)
{
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);

    make_zip(&b, v, n, false);
    bytes_refused(name, &b, words);
}

static void one_refused(const char *name, struct entry t, const char *words)
{
    struct entry v[] = { { .name = "a/first", .data = "1", .len = 1 }, t,
        { .name = "a/last", .data = "2", .len = 1 } };

    refused(name, v, ARRAY_LEN(v), words);
}

static void test_good(void)
{
    static const struct entry v[] = {
        { .name = "a/data.pkl", .data = "pickle", .len = 6 },
        { .name = "a/data/10", .data = "ten", .len = 3 },
        { .name = "a/data/2", .data = "", .len = 0 },
        { .name = "a/folder/", .data = "", .len = 0 },
        { .name = "a/code", .data = "xx", .len = 2, .method = 8, .size = 99 },
    };

    for (int wide = 0; wide < 2; wide++) {
        struct arena arena AUTO(arena_free) = ARENA_INIT(LIMIT);
        struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
        const struct zip_entry *hit;
        struct err e = ERR_INIT;
        struct zip z;

        make_zip(&b, v, ARRAY_LEN(v), wide);
        is_int(zip_read(b.p, b.len, &arena, &z, &e), 0,
            wide ? "zip64 end records" : "classic end record");
        is_int((long long)z.n, 4, "folders are left out");
        ok(str_is(z.folder, "a"), "the common folder");
        hit = zip_find(&z, "data/10");
        ok(hit != NULL && hit->size == 3 &&
                memcmp(b.p + hit->data_at, "ten", 3) == 0,
            "an entry and its data");
        ok(zip_find(&z, "data/1") == NULL, "no entry for a shorter name");
        ok(zip_find(&z, "DATA/10") == NULL, "names are exact");
        hit = zip_find(&z, "code");
        ok(hit != NULL && hit->method == 8 && hit->size == 99 &&
                hit->packed == 2,
            "a compressed entry shows as such");
        ok(str_is(zip_record(&z, hit), "code"), "the record's name");
    }
}

/* Sizes and place in the zip64 field, as above 4 GiB. */
static void test_wide_field(void)
{
    static const char extra[] = "\x99\x99\2\0zz"
                                "\1\0\x18\0\3\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0"
                                "\0\0\0\0\0\0\0\0";
    struct arena arena AUTO(arena_free) = ARENA_INIT(LIMIT);
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    struct entry t = { .name = "a/b",
        .data = "abc",
        .len = 3,
        .packed = 0xffffffff,
        .size = 0xffffffff,
        .header_at = 0xffffffff,
        .extra = extra,
        .extra_len = sizeof(extra) - 1 };
    struct err e = ERR_INIT;
    struct zip z;

    make_zip(&b, &t, 1, true);
    ok(zip_read(b.p, b.len, &arena, &z, &e) == 0 && z.v[0].size == 3 &&
            z.v[0].header_at == 0,
        "a zip64 field behind another: %s", e.msg);
    t.extra_len -= 8;
    refused("a zip64 field without the offset", &t, 1, "zip64 field");
    t.extra_len = 0;
    refused("saturated sizes without a zip64 field", &t, 1, "zip64 field");
}

static void test_names(void)
{
    static const char *const bad[] = { "/etc/passwd", "a/../b", "..", "a//b",
        "./a", "a/.", "a\\b", "c:b", "a/\nb", "a/\x7f", "a/\xff", "",
        "../../x" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        one_refused(bad[i],
            (struct entry){ .name = bad[i], .data = "1", .len = 1 },
            "unsafe name");
}

static void test_entries(void)
{
    static const struct entry dup[] = {
        { .name = "a/data.pkl", .data = "1", .len = 1 },
        { .name = "a/data.pkl", .data = "2", .len = 1 },
    };
    static const struct entry fold[] = {
        { .name = "a/data.pkl", .data = "1", .len = 1 },
        { .name = "a/Data.pkl", .data = "2", .len = 1 },
    };
    struct entry t = { .name = "a/b", .data = "abc", .len = 3 };
    struct entry bad = t;

    refused("the same name twice", dup, 2, "the same name");
    refused("the same name but for case", fold, 2, "the same name");
    bad.local_name = "a/c";
    one_refused("two headers, two names", bad, "disagree");
    bad.local_name = "a/bb";
    one_refused("two headers, a longer name", bad, "disagree");
    bad = t;
    bad.flags = 1;
    one_refused("encrypted", bad, "encrypted");
    bad.flags = 0x20;
    one_refused("patched", bad, "encrypted");
    bad.flags = 0x40;
    one_refused("strongly encrypted", bad, "encrypted");
    bad.flags = 0x2000;
    one_refused("masked", bad, "encrypted");
    bad = t;
    bad.size = 4;
    one_refused("stored with two sizes", bad, "two different sizes");
    bad.packed = bad.size = 1 << 20;
    one_refused("data past the end", bad, "past the end");
    bad.packed = bad.size = 20;
    one_refused("data over the next entry", bad, "overlaps");
    bad = t;
    bad.disk = 1;
    one_refused("on another disk", bad, "another disk");
    bad = t;
    bad.header_at = 1;
    one_refused("no header at the offset", bad, "no header");
    bad.header_at = 0x7fffffff;
    one_refused("an offset past the end", bad, "no header");
    bad = t;
    bad.name = "a/folder/";
    one_refused("a folder with data", bad, "folder with data");
}

/* Two entries over the same bytes. */
static void test_overlap(void)
{
    struct entry v[] = {
        { .name = "a/x", .data = "1", .len = 1 },
        { .name = "a/y", .data = "", .len = 0 },
        { .name = "a/y", .data = "", .len = 0 },
    };
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);

    /* Both directory entries of y point at the first of the two headers. */
    v[2].header_at = 30 + 3 + 4 + 1;
    make_zip(&b, v, ARRAY_LEN(v), false);
    bytes_refused("two entries, one header", &b, "overlaps");
}

static void test_end(void)
{
    static const struct entry t = { .name = "a/b", .data = "abc", .len = 3 };
    struct buf good AUTO(buf_free) = BUF_INIT(LIMIT);
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    uint64_t end;

    make_zip(&good, &t, 1, true);
    end = good.len - 22;
#define AGAIN (buf_clear(&b), buf_put(&b, good.p, good.len))
    AGAIN, buf_putc(&b, 'x');
    bytes_refused("a byte behind the end record", &b, "cut short");
    AGAIN, b.p[end + 20] = 1, buf_putc(&b, 'x');
    bytes_refused("a comment", &b, "cut short");
    AGAIN, b.p[end + 4] = 1;
    bytes_refused("several disks", &b, "disagree");
    AGAIN, b.p[end + 8] = 2, b.p[end + 10] = 2;
    bytes_refused("two counts of entries", &b, "disagree");
    AGAIN, b.p[end + 16]++;
    bytes_refused("two offsets of the directory", &b, "disagree");
    AGAIN, b.p[end - 20 + 8]++;
    bytes_refused("a locator that points elsewhere", &b, "locator");
    AGAIN, b.p[end - 20 + 15] = '\x80';
    bytes_refused("a locator that points past the end", &b, "locator");
    AGAIN, b.p[end - 20 + 4] = 1;
    bytes_refused("a locator of another disk", &b, "locator");
    AGAIN, b.p[end - 76 + 4]++;
    bytes_refused("a zip64 record of another size", &b, "wrong size");
    AGAIN, memset(b.p + end - 76 + 24, '\x7f', 16);
    bytes_refused("2^63 entries", &b, "disagree");
#undef AGAIN
    buf_clear(&b);
    make_zip(&b, &t, 1, false);
    end = b.len - 22;
    b.p[end + 8] = b.p[end + 10] = 2;
    bytes_refused("more entries than there are", &b, "does not fit");
    b.p[end + 8] = b.p[end + 10] = 0;
    bytes_refused("fewer entries than there are", &b, "more than its entries");
    b.p[end + 8] = b.p[end + 10] = 1;
    b.p[end + 16]++;
    bytes_refused("a directory one byte further", &b, "does not fit");
    buf_clear(&b);
    bytes_refused("nothing at all", &b, "cut short");
}

static void test_cuts(void)
{
    static const struct entry v[] = {
        { .name = "a/data.pkl", .data = "pickle", .len = 6 },
        { .name = "a/data/0", .data = "zero", .len = 4 },
        { .name = "a/version", .data = "3\n", .len = 2 },
    };
    struct buf b AUTO(buf_free) = BUF_INIT(LIMIT);
    uint64_t parsed = 0;

    make_zip(&b, v, ARRAY_LEN(v), true);
    for (size_t n = 0; n < b.len; n++) {
        struct arena arena AUTO(arena_free) = ARENA_INIT(LIMIT);
        char *copy = malloc(n ? n : 1);
        struct err e = ERR_INIT;
        struct zip z;

        if (copy == NULL)
            break;
        memcpy(copy, b.p, n);
        parsed += zip_read(copy, n, &arena, &z, &e) == 0;
        free(copy);
    }
    is_int((long long)parsed, 0, "no prefix is an archive");
    for (size_t i = 0; i < b.len * 8; i++) {
        struct arena arena AUTO(arena_free) = ARENA_INIT(LIMIT);
        struct err e = ERR_INIT;
        struct zip z;

        b.p[i / 8] = (char)(b.p[i / 8] ^ 1 << i % 8);
        zip_read(b.p, b.len, &arena, &z, &e);
        b.p[i / 8] = (char)(b.p[i / 8] ^ 1 << i % 8);
    }
    ok(true, "any bit may be wrong");
}

int main(void)
{
    test_good();
    test_wide_field();
    test_names();
    test_entries();
    test_overlap();
    test_end();
    test_cuts();
    return done();
}
