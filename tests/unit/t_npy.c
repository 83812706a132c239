/* The header of a NumPy array: what is read, what is refused, and how. */
#include "formats/npy.h"
#include "formats/npz.h"

#include "tap.h"

enum { MOST = 20000 };

/* An array by its header's text; data are zeros. Returns its length. */
static size_t make(
    unsigned char *out, unsigned version, const char *text, size_t data)
{
    size_t n = strlen(text), at = 8, width = version == 1 ? 2 : 4;

    memcpy(out, "\x93NUMPY", 6);
    out[6] = (unsigned char)version;
    out[7] = 0;
    for (size_t i = 0; i < width; i++)
        out[at++] = (unsigned char)(n >> (8 * i));
    memcpy(out + at, text, n);
    memset(out + at + n, 0, data);
    return at + n + data;
}

static int parse(const char *text, size_t data, struct npy *out, struct err *e)
{
    static unsigned char bytes[MOST];
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 16);
    size_t n = make(bytes, 1, text, data);
    int rc = npy_parse(bytes, n, &arena, out, e);

    out->shape = out->stride = NULL; /* they went with the arena */
    return rc;
}

static void reads(const char *text, size_t data, enum dtype dtype, uint64_t n)
{
    struct err e = ERR_INIT;
    struct npy a;
    int rc = parse(text, data, &a, &e);

    ok(rc == 0 && a.type.dtype == dtype && a.n == n && a.data_len == data,
        "read: %s", text);
    if (rc != 0)
        printf("#   %s\n", e.msg);
}

static void refuses(
    const char *text, size_t data, enum err_kind kind, const char *words)
{
    struct err e = ERR_INIT;
    struct npy a;
    int rc = parse(text, data, &a, &e);

    ok(rc != 0 && e.kind == kind && strstr(e.msg, words) != NULL,
        "refused (%s): %.60s", words, text);
    if (rc == 0 || e.kind != kind || strstr(e.msg, words) == NULL)
        printf("#   got %d '%s'\n", e.kind, e.msg);
}

#define HEAD "{'descr': '<f4', 'fortran_order': False, 'shape': "

static void test_read(void)
{
    reads(HEAD "(2, 3), }", 24, DTYPE_F32, 6);
    reads(HEAD "(2, 3)}", 24, DTYPE_F32, 6);
    reads(HEAD "(2, 3,)}\n", 24, DTYPE_F32, 6);
    reads(HEAD "(), }   \n", 4, DTYPE_F32, 1);
    reads(HEAD "(3,), }", 12, DTYPE_F32, 3);
    reads(HEAD "(3L, 0L), }", 0, DTYPE_F32, 0);
    reads("{\"shape\":(1,),\"descr\":\"|b1\",\"fortran_order\":True}", 1,
        DTYPE_BOOL, 1);
    reads("{'descr': '>c16', 'fortran_order': False, 'shape': (1,)}", 16,
        DTYPE_C128, 1);
    reads("{'descr': 'i8', 'fortran_order': False, 'shape': (1,)}", 8,
        DTYPE_I64, 1);
    reads("{'descr': '=u2', 'fortran_order': False, 'shape': (1,)}", 2,
        DTYPE_U16, 1);
}

static void test_malformed(void)
{
    refuses("", 0, ERR_REFUSED, "not a dict");
    refuses("[]", 0, ERR_REFUSED, "not a dict");
    refuses("{", 0, ERR_REFUSED, "no string");
    refuses("{}", 0, ERR_REFUSED, "missing");
    refuses(
        "{'descr': '<f4', 'fortran_order': False}", 0, ERR_REFUSED, "missing");
    refuses("{'descr': '<f4", 0, ERR_REFUSED, "without an end");
    refuses("{'de\\x73cr': '<f4'}", 0, ERR_REFUSED, "odd character");
    refuses("{'descr': '<f4\n'}", 0, ERR_REFUSED, "odd character");
    refuses("{'evil': '<f4'}", 0, ERR_REFUSED, "none of the three");
    refuses("{'descr': '<f4', 'descr': '<f8'}", 0, ERR_REFUSED, "twice");
    refuses("{'descr' '<f4'}", 0, ERR_REFUSED, "':'");
    refuses("{'descr': '<f4' 'shape': ()}", 0, ERR_REFUSED, "','");
    refuses("{'fortran_order': 0}", 0, ERR_REFUSED, "neither True nor False");
    refuses("{'fortran_order': __import__('os')}", 0, ERR_REFUSED,
        "neither True nor False");
    refuses(HEAD "[2, 3], }", 24, ERR_REFUSED, "not a tuple");
    refuses(HEAD "(3), }", 12, ERR_REFUSED, "not a tuple");
    refuses(HEAD "3, }", 12, ERR_REFUSED, "not a tuple");
    refuses(HEAD "(2 3), }", 24, ERR_REFUSED, "without a comma");
    refuses(HEAD "(-1,), }", 0, ERR_REFUSED, "no size");
    refuses(HEAD "(2.0,), }", 8, ERR_REFUSED, "without a comma");
    refuses(HEAD "(0x2,), }", 8, ERR_REFUSED, "without a comma");
    refuses(HEAD "(02,), }", 8, ERR_REFUSED, "leading zeros");
    refuses(HEAD "(1_0,), }", 40, ERR_REFUSED, "without a comma");
    refuses(HEAD "(((2,),),), }", 8, ERR_REFUSED, "no size");
    refuses(HEAD "(2,), } x", 8, ERR_REFUSED, "follows the dict");
    refuses(HEAD "(18446744073709551616,), }", 0, ERR_REFUSED, "64 bits");
    refuses(HEAD "(4294967296, 4294967296), }", 0, ERR_REFUSED, "too many");
    refuses(HEAD "(4611686018427387904,), }", 0, ERR_REFUSED, "too many");
    refuses(HEAD "(2, 3), }", 25, ERR_REFUSED, "follow");
    refuses(HEAD "(2, 3), }", 23, ERR_CORRUPT, "cut short");
}

static void test_types(void)
{
    static const char *const codes[] = { "|O", "|S4", "<U4", "<M8[ns]", "<f16",
        "<c32", "<V2", "|V1", "<f3", "f", "", "<", ">>f4", "<f4 ", "float32" };

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        char text[120];

        snprintf(text, sizeof(text),
            "{'descr': '%s', 'fortran_order': False, 'shape': (1,)}", codes[i]);
        refuses(text, 4, ERR_UNSUPPORTED, codes[i]);
    }
    refuses("{'descr': [('a', '<f4')], 'fortran_order': False}", 0,
        ERR_UNSUPPORTED, "structured");
    refuses("{'descr': ('<f4', (2,)), 'fortran_order': False}", 0,
        ERR_UNSUPPORTED, "structured");
}

static void test_nul(void)
{
    static unsigned char bytes[MOST];
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    size_t n = make(bytes, 1, HEAD "(1,), }   ", 4);
    struct err e = ERR_INIT;
    struct npy a;

    bytes[n - 5] = '\0';
    ok(npy_parse(bytes, n, &arena, &a, &e) != 0 && e.kind == ERR_REFUSED,
        "a NUL behind the dict");
}

static void test_deep(void)
{
    static char text[9000];
    static unsigned char bytes[MOST];
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT, e2 = ERR_INIT, e3 = ERR_INIT;
    struct npy a;
    size_t n;

    memset(text, '(', sizeof(text) - 1);
    memcpy(text, HEAD, strlen(HEAD));
    ok(parse(text, 0, &a, &e) != 0 && e.kind == ERR_REFUSED,
        "nine thousand brackets");
    n = make(bytes, 2, HEAD "(1,), }", 4);
    bytes[10] = 1; /* 64 KiB more than there are */
    ok(npy_parse(bytes, n, &arena, &a, &e2) != 0 && e2.kind == ERR_REFUSED,
        "a header longer than NumPy reads");
    bytes[6] = 4;
    ok(npy_parse(bytes, n, &arena, &a, &e3) != 0 && e3.kind == ERR_REFUSED &&
            strstr(e3.msg, "version 4") != NULL,
        "version 4");
}

/* Every front of a file, and every byte of its header changed. */
static void test_cut_and_changed(void)
{
    static unsigned char bytes[MOST];
    size_t n = make(bytes, 3, HEAD "(2, 3), }   \n", 24), bad = 0;

    for (size_t cut = 0; cut < n; cut++) {
        struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 16);
        struct err e = ERR_INIT;
        struct npz t;

        bad += npy_table(bytes, cut, &arena, &t, &e) == 0 ||
               e.kind == ERR_NONE || e.kind == ERR_BUG;
    }
    is_int((long long)bad, 0, "cut short anywhere: refused");
    for (size_t at = 0; at < n - 24; at++) {
        unsigned char was = bytes[at];

        for (unsigned v = 0; v < 256; v++) {
            struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 16);
            struct err e = ERR_INIT;
            struct npy a;

            bytes[at] = (unsigned char)v;
            if (npy_parse(bytes, n, &arena, &a, &e) == 0)
                bad += a.data_at + a.data_len != n;
            else
                bad += e.kind == ERR_NONE || e.kind == ERR_BUG;
        }
        bytes[at] = was;
    }
    is_int((long long)bad, 0, "one byte changed: refused, or all of it used");
}

int main(void)
{
    test_read();
    test_malformed();
    test_types();
    test_nul();
    test_deep();
    test_cut_and_changed();
    return done();
}
