#include "formats/uniform.h"

#include "base/hash.h"
#include "tests/unit/tap.h"

static const uint64_t page[] = { 64, 32 }, row[] = { 3 }, none[] = { 0, 5 };

static struct tensor tensor(
    const char *name, enum dtype t, const uint64_t *shape, uint32_t rank)
{
    struct tensor out = {
        .name = str_of(name), .dtype = t, .shape = shape, .rank = rank
    };

    tensor_count(shape, rank, &out.n);
    return out;
}

/* The worked example of ml-safetensors(5). */
static void example(void)
{
    struct tensor t[] = { tensor("norm.weight", DTYPE_F16, row, 1),
        tensor("embed.weight", DTYPE_F16, page, 2),
        tensor("step", DTYPE_I64, NULL, 0) };
    static const char want[] =
        "{\"__metadata__\":{\"format\":\"pt\",\"ml-safetensors\":\"1\"},"
        "\"embed.weight\":{\"dtype\":\"F16\",\"shape\":[64,32],"
        "\"data_offsets\":[0,4096]},"
        "\"step\":{\"dtype\":\"I64\",\"shape\":[],"
        "\"data_offsets\":[4096,4104]},"
        "\"norm.weight\":{\"dtype\":\"F16\",\"shape\":[3],"
        "\"data_offsets\":[4104,4110]}} ";
    struct buf h AUTO(buf_free) = BUF_INIT(1 << 20);
    static const char zeros[4096];
    struct digest d = { .hex = "" };
    struct err e = ERR_INIT;
    uint64_t size = 0;

    ok(uniform_layout(t, 3, &h, &size, &e) == 0, "lays out");
    is_int((long long)h.len, 4096, "the data start on a page");
    ok(memcmp(h.p, "\xf8\x0f\0\0\0\0\0\0", 8) == 0, "4088 bytes of header");
    ok(strncmp(h.p + 8, want, sizeof(want) - 1) == 0, "canonical text");
    ok(h.p[4095] == ' ', "padded with spaces");
    is_int((long long)size, 4096 + 4110, "file size");
    ok(str_is(t[0].name, "embed.weight") && t[0].offset == 4096 &&
            str_is(t[1].name, "step") && t[1].offset == 8192 &&
            str_is(t[2].name, "norm.weight") && t[2].offset == 8200,
        "pages first, then by falling element size");
    buf_put(&h, zeros, sizeof(zeros));
    buf_put(&h,
        "\7\0\0\0\0\0\0\0"
        "\x00\x3c\x00\x40\x00\x42",
        14);
    hash_bytes(HASH_SHA256, h.p, h.len, &d, &e);
    is_str(d.hex,
        "fbd458f4780971f9a614c20abfdea2d8e23ed1f19a190cc9895792844b349258",
        "the whole file is the one in the manual");
}

static void any_order(void)
{
    struct tensor t[] = { tensor("a", DTYPE_U8, row, 1),
        tensor("b", DTYPE_F32, row, 1), tensor("c", DTYPE_F32, page, 2),
        tensor("d", DTYPE_F16, none, 2), tensor("e", DTYPE_F16, page, 2) };
    struct buf first AUTO(buf_free) = BUF_INIT(1 << 20);
    uint64_t size;
    struct err e = ERR_INIT;
    bool same = true;

    uniform_layout(t, 5, &first, &size, &e);
    for (int turn = 0; turn < 20; turn++) {
        struct buf h AUTO(buf_free) = BUF_INIT(1 << 20);
        struct tensor swap = t[turn % 5];
        t[turn % 5] = t[turn * 3 % 5];
        t[turn * 3 % 5] = swap;
        same = same && uniform_layout(t, 5, &h, &size, &e) == 0 &&
               str_eq(buf_str(&h), buf_str(&first));
    }
    ok(same, "whatever order the tensors come in, the bytes are the same");
}

static void refusals(void)
{
    static const char *const names[] = { "", "__metadata__", "a\nb", "a\xffz",
        "\x7f" };
    struct buf h AUTO(buf_free) = BUF_INIT(1 << 20);
    uint64_t size, huge[] = { (uint64_t)1 << 60 };
    struct tensor t;
    struct err e = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        t = tensor(names[i], DTYPE_U8, row, 1);
        e = (struct err)ERR_INIT;
        ok(uniform_layout(&t, 1, &h, &size, &e) == -1 && e.kind == ERR_REFUSED,
            "a name that the form cannot hold (%zu)", i);
    }
    t = tensor("a", DTYPE_C128, row, 1);
    e = (struct err)ERR_INIT;
    ok(uniform_layout(&t, 1, &h, &size, &e) == -1 && strstr(e.msg, "C128"),
        "complex doubles");
    t = tensor("a", DTYPE_F64, huge, 1);
    e = (struct err)ERR_INIT;
    ok(uniform_layout(&t, 1, &h, &size, &e) == -1, "more bytes than a file");
}

/* Parse a header and check it; data are only claimed to be there. */
static enum err_kind check(const char *text, size_t pad_to, uint64_t data)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    struct safetensors st;
    struct err e = ERR_INIT;
    size_t n = size_max(strlen(text), pad_to - 8);

    for (int i = 0; i < 8; i++)
        buf_putc(&b, (char)(n >> (8 * i) & 0xFF));
    buf_puts(&b, text);
    while (b.len < n + 8)
        buf_putc(&b, ' ');
    if (safetensors_parse(b.p, b.len, b.len + data, &arena, &st, &e) != 0) {
        printf("#   %s\n", e.msg);
        return ERR_BUG;
    }
    uniform_check(&st, b.p, &e);
    return e.kind;
}

#define META "{\"__metadata__\":{\"format\":\"pt\",\"ml-safetensors\":\"1\"},"
#define A "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":"
#define B "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":"

static void promises(void)
{
    is_int(check(META B "[0,4]}," A "[4,7]}}", 4096, 7), ERR_NONE,
        "a file that keeps every promise");
    is_int(check(META A "[0,3]}," B "[3,7]}}", 4096, 7), ERR_VERDICT,
        "small elements in front");
    is_int(check(META A "[4,7]}," B "[0,4]}}", 4096, 7), ERR_VERDICT,
        "a header not in data order");
    is_int(check(META B "[0,4]}, " A "[4,7]}}", 4096, 7), ERR_VERDICT,
        "a blank inside");
    is_int(check(META B "[0,4]}," A "[4,7]}}", 8192, 7), ERR_VERDICT,
        "more padding than needed");
    is_int(check(META B "[0,4]}," A "[4,7]}}", 1024, 7), ERR_VERDICT,
        "data off the page");
    is_int(check("{" B "[0,4]}," A "[4,7]}}", 4096, 7), ERR_VERDICT, "no mark");
    is_int(check("{\"__metadata__\":{\"format\":\"pt\","
                 "\"ml-safetensors\":\"2\"}," B "[0,4]}}",
               4096, 4),
        ERR_VERDICT, "a version of the future");
    is_int(check("{\"__metadata__\":{\"format\":\"pt\",\"x\":\"y\","
                 "\"ml-safetensors\":\"1\"}," B "[0,4]}}",
               4096, 4),
        ERR_VERDICT, "metadata that tell where it came from");
}

int main(void)
{
    example();
    any_order();
    refusals();
    promises();
    return done();
}
