#include "formats/safetensors.h"

#include "tests/unit/stfile.h"
#include "tests/unit/tap.h"

#define ONE "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}"

static const struct {
    const char *why, *header;
    size_t data;
    enum err_kind kind; /* ERR_NONE: accepted */
} cases[] = {
    { "one tensor", "{" ONE "}", 4, ERR_NONE },
    { "no tensor", "{}", 0, ERR_NONE },
    { "blanks around", " \n{" ONE " }\n  \t", 4, ERR_NONE },
    { "null metadata", "{\"__metadata__\":null}", 0, ERR_NONE },
    { "an unknown member",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],"
        "\"x\":[{}]}}",
        1, ERR_NONE },
    { "rank 0",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4,
        ERR_NONE },
    { "no elements",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[0,0]}}", 0,
        ERR_NONE },
    { "out of order",
        "{\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]}," ONE
        "}",
        6, ERR_NONE },
    { "two nibbles",
        "{\"a\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1,
        ERR_NONE },
    { "three nibbles",
        "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2,
        ERR_REFUSED },
    { "bytes behind the last", "{" ONE "}", 5, ERR_REFUSED },
    { "bytes missing", "{" ONE "}", 3, ERR_CORRUPT },
    { "a hole at the front",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}", 4,
        ERR_REFUSED },
    { "a hole between",
        "{" ONE
        ",\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[5,7]}}",
        7, ERR_REFUSED },
    { "an overlap",
        "{" ONE
        ",\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]}}",
        5, ERR_REFUSED },
    { "an empty one inside another",
        "{" ONE
        ",\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]}}",
        4, ERR_REFUSED },
    { "one range under two names",
        "{" ONE
        ",\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
        4, ERR_REFUSED },
    { "one name twice", "{" ONE "," ONE "}", 4, ERR_REFUSED },
    { "the same name in escapes",
        "{" ONE ",\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[4],"
        "\"data_offsets\":[0,4]}}",
        4, ERR_REFUSED },
    { "a size that does not match",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,4]}}", 4,
        ERR_REFUSED },
    { "reversed offsets",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,0]}}", 4,
        ERR_REFUSED },
    { "three offsets",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4,4]}}", 4,
        ERR_REFUSED },
    { "no offsets", "{\"a\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4,
        ERR_REFUSED },
    { "no shape", "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,4]}}", 4,
        ERR_REFUSED },
    { "no dtype", "{\"a\":{\"shape\":[4],\"data_offsets\":[0,4]}}", 4,
        ERR_REFUSED },
    { "an unknown dtype",
        "{\"a\":{\"dtype\":\"u8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4,
        ERR_REFUSED },
    { "C128, which the format lacks",
        "{\"a\":{\"dtype\":\"C128\",\"shape\":[1],\"data_offsets\":[0,16]}}",
        16, ERR_REFUSED },
    { "an entry as an array", "{\"a\":[\"U8\",[4],[0,4]]}", 4, ERR_REFUSED },
    { "a float in the shape",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4.0],\"data_offsets\":[0,4]}}", 4,
        ERR_REFUSED },
    { "a negative size",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[-4],\"data_offsets\":[0,4]}}", 4,
        ERR_REFUSED },
    { "a product that overflows",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296,0],"
        "\"data_offsets\":[0,0]}}",
        0, ERR_REFUSED },
    { "an offset of 2^64 - 1",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],"
        "\"data_offsets\":[0,18446744073709551615]}}",
        4, ERR_REFUSED },
    { "a dimension that a double cannot hold",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[0,9007199254740993],"
        "\"data_offsets\":[0,0]}}",
        0, ERR_REFUSED },
    { "metadata that is no text", "{\"__metadata__\":{\"format\":1}}", 0,
        ERR_REFUSED },
    { "metadata that is a list", "{\"__metadata__\":[]}", 0, ERR_REFUSED },
    { "two metadata", "{\"__metadata__\":{},\"__metadata__\":{}}", 0,
        ERR_REFUSED },
    { "an array at the top", "[]", 0, ERR_REFUSED },
    { "text behind the JSON", "{}x", 0, ERR_REFUSED },
    { "half a JSON", "{\"a\":", 0, ERR_REFUSED },
    { "a name without letters",
        "{\"\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4,
        ERR_REFUSED },
    { "an escape sequence in a name",
        "{\"a\\u001b[2J\":{\"dtype\":\"U8\",\"shape\":[4],"
        "\"data_offsets\":[0,4]}}",
        4, ERR_REFUSED },
    { "NUL in a name",
        "{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[4],"
        "\"data_offsets\":[0,4]}}",
        4, ERR_REFUSED },
};

static enum err_kind parse(const void *bytes, size_t len, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 24);
    struct safetensors st;

    *e = (struct err)ERR_INIT;
    safetensors_parse(bytes, len, len, &arena, &st, e);
    return e->kind;
}

static void table(void)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
        struct err e;

        st_bytes(&b, cases[i].header, cases[i].data);
        if (!ok(parse(b.p, b.len, &e) == cases[i].kind, "%s: %s", cases[i].why,
                cases[i].kind == ERR_NONE ? "read" : "refused"))
            printf("#   kind %d: %s\n", e.kind, e.msg);
    }
}

static void fields(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 24);
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    struct safetensors st;
    struct err e = ERR_INIT;
    const struct tensor *t;

    st_bytes(&b,
        "{\"z\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
        "\"__metadata__\":{\"format\":\"pt\",\"ml-safetensors\":\"1\","
        "\"other\":\"x\"},"
        "\"\\u00e9\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]}}",
        16);
    ok(safetensors_parse(b.p, b.len, b.len, &arena, &st, &e) == 0, "parses");
    is_int((long long)st.n, 2, "two tensors");
    is_int((long long)st.data_at, (long long)b.len - 16, "where data start");
    ok(str_is(st.format, "pt") && str_is(st.uniform, "1"), "metadata");
    ok(str_is(st.tensors[0].name, "\xc3\xa9"), "by place, names decoded");
    t = &st.tensors[1];
    ok(t->dtype == DTYPE_BF16 && t->rank == 2 && t->shape[0] == 2 &&
            t->shape[1] == 3 && t->n == 6 && t->stride == NULL,
        "dtype and shape");
    ok(t->offset == st.data_at + 4 && t->storage_at == t->offset &&
            t->storage_len == 12,
        "offsets count from the start of the file");
}

static void lengths(void)
{
    static const struct {
        uint64_t header;
        enum err_kind kind;
    } t[] = { { 0, ERR_REFUSED }, { UINT64_MAX, ERR_REFUSED },
        { UINT64_MAX - 7, ERR_REFUSED }, { 100000001, ERR_REFUSED },
        { 1000, ERR_CORRUPT } };
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        uint8_t bytes[64] = { 0 };
        for (int k = 0; k < 8; k++)
            bytes[k] = (uint8_t)(t[i].header >> (8 * k));
        ok(parse(bytes, sizeof(bytes), &e) == t[i].kind,
            "a header of %llu bytes in a file of 64",
            (unsigned long long)t[i].header);
    }
}

/* Every prefix of a good file is refused, from memory of just its size. */
static void truncated(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    bool all = true;

    st_bytes(&b, "{" ONE "}", 4);
    for (size_t n = 0; n < b.len; n++) {
        char *copy = malloc(n + 1);
        struct err e;
        memcpy(copy, b.p, n);
        copy = realloc(copy, n > 0 ? n : 1);
        all = all && parse(copy, n, &e) != ERR_NONE && e.msg[0] != '\0';
        free(copy);
    }
    ok(all, "cut at every byte: refused");
}

static void bomb(void)
{
    enum { N = 9000000 };
    struct buf b AUTO(buf_free) = BUF_INIT(2 * N + 100);
    char *text = malloc(2 * N + 100);
    size_t n = 0;
    struct err e;

    n += (size_t)sprintf(text, "{\"a\":[0");
    for (int i = 0; i < N; i++, n += 2)
        memcpy(text + n, ",0", 2);
    memcpy(text + n, "]}", 3);
    st_bytes(&b, text, 0);
    ok(parse(b.p, b.len, &e) == ERR_REFUSED && strstr(e.msg, "values"),
        "a header of millions of values is refused before it is built");
    free(text);
}

int main(void)
{
    table();
    fields();
    lengths();
    truncated();
    bomb();
    return done();
}
