/* The GGUF table: written, read again, and refused when it is not right. */
#include "formats/gguf.h"

#include "tests/unit/tap.h"

static void le(struct buf *b, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        buf_putc(b, (char)(v >> 8 * i & 0xFF));
}

static void text(struct buf *b, const char *s)
{
    le(b, strlen(s), 8);
    buf_puts(b, s);
}

/* Bytes that a case is made of: a count, a size, or a text. */
static void head(struct buf *b, uint64_t tensors, uint64_t values)
{
    buf_puts(b, "GGUF");
    le(b, 3, 4);
    le(b, tensors, 8);
    le(b, values, 8);
}

static void u32(struct buf *b, const char *key, uint32_t v)
{
    text(b, key);
    le(b, GGUF_U32, 4);
    le(b, v, 4);
}

static void info(struct buf *b, const char *name, uint32_t rank,
    const uint64_t *ne, uint32_t type, uint64_t offset)
{
    text(b, name);
    le(b, rank, 4);
    for (uint32_t i = 0; i < rank; i++)
        le(b, ne[i], 8);
    le(b, type, 4);
    le(b, offset, 8);
}

static void pad(struct buf *b, size_t align)
{
    while (b->len % align != 0)
        buf_putc(b, 0);
}

static void data(struct buf *b, size_t n)
{
    pad(b, 32);
    for (size_t i = 0; i < n; i++)
        buf_putc(b, (char)i);
}

#define NE(...) ((const uint64_t[]){ __VA_ARGS__ })

static void plain(struct buf *b)
{
    head(b, 2, 0);
    info(b, "a", 2, NE(4, 2), GGML_F32, 0);
    info(b, "b", 1, NE(32), GGML_Q8_0, 32);
    data(b, 96);
}

static void nothing(struct buf *b)
{
    head(b, 0, 0);
}

static void more_bytes(struct buf *b)
{
    plain(b);
    buf_puts(b, "more");
}

static void version2(struct buf *b)
{
    plain(b);
    b->p[4] = 2;
}

static void version4(struct buf *b)
{
    plain(b);
    b->p[4] = 4;
}

static void big_endian(struct buf *b)
{
    plain(b);
    memcpy(b->p + 4, "\0\0\0\3", 4);
}

static void other_magic(struct buf *b)
{
    plain(b);
    b->p[0] = 'g';
}

static void scalar(struct buf *b)
{
    head(b, 1, 0);
    info(b, "a", 0, NULL, GGML_F32, 0);
    data(b, 32);
}

static void empty(struct buf *b)
{
    head(b, 1, 0);
    info(b, "a", 2, NE(0, 7), GGML_F32, 0);
    data(b, 0);
}

static void five_dims(struct buf *b)
{
    head(b, 1, 0);
    info(b, "a", 5, NE(1, 1, 1, 1, 1), GGML_F32, 0);
    data(b, 32);
}

static void negative_dim(struct buf *b)
{
    head(b, 1, 0);
    info(b, "a", 2, NE(UINT64_MAX, 0), GGML_F32, 0);
    data(b, 32);
}

static void product(struct buf *b)
{
    head(b, 1, 0);
    info(b, "a", 3, NE(1 << 30, 1 << 30, 1 << 30), GGML_F32, 0);
    data(b, 32);
}

static void half_block(struct buf *b)
{
    head(b, 1, 0);
    info(b, "a", 2, NE(16, 2), GGML_Q8_0, 0);
    data(b, 64);
}

static void gap(struct buf *b)
{
    head(b, 2, 0);
    info(b, "a", 1, NE(8), GGML_F32, 0);
    info(b, "b", 1, NE(8), GGML_F32, 64);
    data(b, 96);
}

static void overlap(struct buf *b)
{
    head(b, 2, 0);
    info(b, "a", 1, NE(8), GGML_F32, 0);
    info(b, "b", 1, NE(8), GGML_F32, 0);
    data(b, 32);
}

static void unpadded(struct buf *b)
{
    head(b, 1, 0);
    info(b, "a", 1, NE(9), GGML_F32, 0);
    data(b, 36);
}

static void removed_type(struct buf *b)
{
    head(b, 1, 0);
    info(b, "a", 1, NE(32), 4, 0);
    data(b, 64);
}

static void no_type(struct buf *b)
{
    head(b, 1, 0);
    info(b, "a", 1, NE(32), 4000000000U, 0);
    data(b, 64);
}

static void named(struct buf *b, size_t len)
{
    char name[100];

    memset(name, 'x', len);
    name[len] = '\0';
    head(b, 1, 0);
    info(b, name, 1, NE(8), GGML_F32, 0);
    data(b, 32);
}

static void name63(struct buf *b)
{
    named(b, 63);
}

static void name64(struct buf *b)
{
    named(b, 64);
}

static void no_name(struct buf *b)
{
    named(b, 0);
}

static void twice(struct buf *b)
{
    head(b, 2, 0);
    info(b, "a", 1, NE(8), GGML_F32, 0);
    info(b, "a", 1, NE(8), GGML_F32, 32);
    data(b, 64);
}

static void key_twice(struct buf *b)
{
    head(b, 0, 2);
    u32(b, "k", 1);
    u32(b, "k", 1);
}

static void no_key(struct buf *b)
{
    head(b, 0, 1);
    u32(b, "", 1);
}

static void unknown_kind(struct buf *b)
{
    head(b, 0, 1);
    text(b, "k");
    le(b, 13, 4);
    le(b, 0, 8);
}

static void truth2(struct buf *b)
{
    head(b, 0, 1);
    text(b, "k");
    le(b, GGUF_BOOL, 4);
    le(b, 2, 1);
}

static void array(struct buf *b, uint32_t of, uint64_t n, size_t bytes)
{
    head(b, 0, 1);
    text(b, "k");
    le(b, GGUF_ARRAY, 4);
    le(b, of, 4);
    le(b, n, 8);
    for (size_t i = 0; i < bytes; i++)
        buf_putc(b, 0);
}

static void strings(struct buf *b)
{
    array(b, GGUF_STRING, 3, 24);
}

static void nested(struct buf *b)
{
    array(b, GGUF_ARRAY, 1, 24);
}

static void too_many(struct buf *b)
{
    array(b, GGUF_U64, (uint64_t)1 << 61, 64);
}

static void too_many_strings(struct buf *b)
{
    array(b, GGUF_STRING, UINT64_MAX, 64);
}

static void long_string(struct buf *b)
{
    head(b, 0, 1);
    text(b, "k");
    le(b, GGUF_STRING, 4);
    le(b, UINT64_MAX, 8);
    le(b, 0, 8);
}

static void many_tensors(struct buf *b)
{
    head(b, UINT64_MAX, 0);
    le(b, 0, 8);
}

static void many_values(struct buf *b)
{
    head(b, 0, (uint64_t)1 << 40);
    le(b, 0, 8);
}

static void aligned(struct buf *b, uint32_t align)
{
    head(b, 1, 1);
    u32(b, "general.alignment", align);
    info(b, "a", 1, NE(8), GGML_F32, 0);
    pad(b, 4096);
    for (int i = 0; i < 4096; i++)
        buf_putc(b, 0);
}

static void align4096(struct buf *b)
{
    aligned(b, 4096);
}

static void align0(struct buf *b)
{
    aligned(b, 0);
}

static void align12(struct buf *b)
{
    aligned(b, 12);
}

static void align_huge(struct buf *b)
{
    aligned(b, (uint32_t)1 << 31);
}

static void align_text(struct buf *b)
{
    head(b, 0, 1);
    text(b, "general.alignment");
    le(b, GGUF_STRING, 4);
    text(b, "32");
}

static const struct {
    const char *why;
    void (*make)(struct buf *b);
    enum err_kind kind; /* ERR_NONE: accepted */
} cases[] = {
    { "two tensors", plain, ERR_NONE },
    { "no tensors: 24 bytes", nothing, ERR_NONE },
    { "bytes behind the last tensor", more_bytes, ERR_NONE },
    { "version 2", version2, ERR_NONE },
    { "version 4", version4, ERR_UNSUPPORTED },
    { "big-endian", big_endian, ERR_UNSUPPORTED },
    { "another magic", other_magic, ERR_REFUSED },
    { "a scalar", scalar, ERR_NONE },
    { "no elements", empty, ERR_NONE },
    { "five dimensions", five_dims, ERR_REFUSED },
    { "a negative dimension beside a zero", negative_dim, ERR_REFUSED },
    { "a product that overflows", product, ERR_REFUSED },
    { "half a block in a row", half_block, ERR_REFUSED },
    { "a gap", gap, ERR_REFUSED },
    { "an overlap", overlap, ERR_REFUSED },
    { "the last tensor not padded", unpadded, ERR_CORRUPT },
    { "a removed type", removed_type, ERR_REFUSED },
    { "no type at all", no_type, ERR_REFUSED },
    { "a name of 63 bytes", name63, ERR_NONE },
    { "a name of 64 bytes", name64, ERR_REFUSED },
    { "an empty name", no_name, ERR_NONE },
    { "a tensor twice", twice, ERR_REFUSED },
    { "a key twice", key_twice, ERR_REFUSED },
    { "an empty key", no_key, ERR_REFUSED },
    { "a value of unknown type", unknown_kind, ERR_REFUSED },
    { "a truth value of 2", truth2, ERR_REFUSED },
    { "an array of strings", strings, ERR_NONE },
    { "an array of arrays", nested, ERR_REFUSED },
    { "more elements than bytes", too_many, ERR_CORRUPT },
    { "more strings than bytes", too_many_strings, ERR_CORRUPT },
    { "a string of 2^64-1 bytes", long_string, ERR_CORRUPT },
    { "2^64-1 tensors", many_tensors, ERR_CORRUPT },
    { "2^40 values", many_values, ERR_CORRUPT },
    { "alignment 4096", align4096, ERR_NONE },
    { "alignment 0", align0, ERR_REFUSED },
    { "alignment 12", align12, ERR_REFUSED },
    { "alignment 2^31", align_huge, ERR_REFUSED },
    { "alignment as text", align_text, ERR_REFUSED },
};

static int parse(const struct buf *b, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 24);
    struct gguf g;

    return gguf_parse(b->p, b->len, b->len, &arena, &g, e);
}

static void check_cases(void)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b AUTO(buf_free) = BUF_INIT(1 << 16);
        struct err e = ERR_INIT;
        int rc;

        cases[i].make(&b);
        rc = parse(&b, &e);
        ok(rc == (cases[i].kind == ERR_NONE ? 0 : -1) &&
                e.kind == cases[i].kind && (rc == 0 || e.msg[0] != '\0'),
            "%s: %s", cases[i].why, rc == 0 ? "accepted" : e.msg);
    }
}

/* A file with a bit of everything, as the writer makes it. */
static void make(struct buf *header, struct gguf_tensor t[2], uint64_t *size)
{
    struct gguf_writer w AUTO(gguf_writer_free) = GGUF_WRITER_INIT(1 << 16);
    struct err e = ERR_INIT;

    t[0] = (struct gguf_tensor){
        .name = str_of("matrix"), .type = GGML_Q8_0, .rank = 2, .ne = { 64, 3 }
    };
    t[1] = (struct gguf_tensor){
        .name = str_of("vector"), .type = GGML_BF16, .rank = 1, .ne = { 5 }
    };
    gguf_put_str(&w, "name", str_of("a model"));
    gguf_put_u32(&w, "count", 4000000000U);
    gguf_put_f32(&w, "eps", 1e-5F);
    gguf_put_bool(&w, "yes", true);
    gguf_put_array(&w, "words", GGUF_STRING, 2);
    gguf_add_str(&w, str_of("one"));
    gguf_add_str(&w, str_of(""));
    gguf_put_array(&w, "numbers", GGUF_I32, 2);
    gguf_add_i32(&w, -1);
    gguf_add_i32(&w, 7);
    gguf_put_array(&w, "reals", GGUF_F32, 1);
    gguf_add_f32(&w, 0.5F);
    ok(gguf_finish(&w, t, 2, header, size, &e) == 0, "written %s", e.msg);
}

static void check_values(const struct gguf *g)
{
    const struct gguf_value *words = gguf_find(g, "words");
    struct rd r = rd_of(words->raw.p, words->raw.len);
    struct str name = { NULL, 0 }, one = gguf_next_str(&r);
    uint32_t count = 0;
    float eps = 0;
    bool yes = false;

    ok(gguf_str(gguf_find(g, "name"), &name) && str_is(name, "a model"),
        "a text");
    ok(gguf_u32(gguf_find(g, "count"), &count) && count == 4000000000U,
        "a count");
    ok(gguf_f32(gguf_find(g, "eps"), &eps) && eps == 1e-5F, "a real");
    ok(gguf_bool(gguf_find(g, "yes"), &yes) && yes, "a truth value");
    ok(words->n == 2 && str_is(one, "one") && gguf_next_str(&r).len == 0 &&
            !r.bad && rd_left(&r) == 0,
        "an array of texts");
    ok(!gguf_u32(gguf_find(g, "eps"), &count) &&
            !gguf_f32(gguf_find(g, "count"), &eps) &&
            !gguf_bool(gguf_find(g, "name"), &yes) && !gguf_str(words, &name) &&
            !gguf_u32(NULL, &count) && gguf_find(g, "nam") == NULL,
        "values of another kind are none");
}

static void round_trip(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 16);
    struct gguf_tensor t[2];
    struct err e = ERR_INIT;
    struct gguf g;
    uint64_t size;

    make(&b, t, &size);
    ok(size == b.len + 224 + 32, "the last tensor is padded, too");
    if (!ok(gguf_parse(b.p, b.len, size, &arena, &g, &e) == 0 &&
                g.n_tensors == 2 && g.n_values == 7 && g.data_at == b.len,
            "read again %s", e.msg))
        return;
    for (int i = 0; i < 2; i++)
        ok(str_eq(g.tensors[i].name, t[i].name) &&
                g.tensors[i].type == t[i].type &&
                g.tensors[i].ne[0] == t[i].ne[0] &&
                g.tensors[i].bytes == t[i].bytes &&
                g.tensors[i].offset == t[i].offset &&
                t[i].offset % GGUF_ALIGN == 0,
            "tensor %d is the same", i);
    is_int((long long)t[0].bytes, 204, "blocks of 34 bytes");
    check_values(&g);
}

/* The writer makes nothing that its reader would refuse. */
static void refuses_itself(void)
{
    struct gguf_writer w AUTO(gguf_writer_free) = GGUF_WRITER_INIT(1 << 16);
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;
    uint64_t size;

    gguf_put_u32(&w, "k", 1);
    gguf_put_u32(&w, "k", 2);
    ok(gguf_finish(&w, NULL, 0, &b, &size, &e) != 0 && e.kind == ERR_REFUSED,
        "written: a key twice is refused");
}

/* Every prefix is refused; every changed byte is read without harm. */
static void damage(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 16);
    struct gguf_tensor t[2];
    struct err e = ERR_INIT;
    uint64_t size, whole;
    bool refused = true;

    make(&b, t, &size);
    while (b.len < size)
        buf_putc(&b, 0);
    whole = b.len;
    for (b.len = 0; b.len < whole; b.len++) {
        struct buf copy AUTO(buf_free) = BUF_INIT(1 << 16);

        /* Its own memory, so that a read beyond its end is seen. */
        buf_put(&copy, b.p, b.len);
        err_clear(&e);
        refused = refused && parse(&copy, &e) != 0;
    }
    ok(refused, "every prefix is refused");
    for (uint64_t i = 0; i < whole; i++)
        for (int bit = 0; bit < 8; bit++) {
            b.p[i] = (char)(b.p[i] ^ 1 << bit);
            err_clear(&e);
            parse(&b, &e);
            b.p[i] = (char)(b.p[i] ^ 1 << bit);
        }
    ok(true, "every flipped bit is survived");
}

int main(void)
{
    check_cases();
    round_trip();
    refuses_itself();
    damage();
    return done();
}
