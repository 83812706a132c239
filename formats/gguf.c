#include "formats/gguf.h"

#include <stdlib.h>

/* Smallest records, so that a count cannot ask for more than the bytes. */
enum { VALUE_BYTES_MIN = 8 + 1 + 4 + 1, TENSOR_BYTES_MIN = 8 + 4 + 4 + 8 };

/* Sums of sizes stay far from the end of the numbers. */
static const uint64_t SIZE_LIMIT = (uint64_t)1 << 62;

static const struct {
    uint16_t count, bytes; /* of a block; count 0: no such type */
} blocks[] = {
    [0] = { 1, 4 },
    [1] = { 1, 2 },
    [2] = { 32, 18 },
    [3] = { 32, 20 },
    [6] = { 32, 22 },
    [7] = { 32, 24 },
    [8] = { 32, 34 },
    [9] = { 32, 36 },
    [10] = { 256, 84 },
    [11] = { 256, 110 },
    [12] = { 256, 144 },
    [13] = { 256, 176 },
    [14] = { 256, 210 },
    [15] = { 256, 292 },
    [16] = { 256, 66 },
    [17] = { 256, 74 },
    [18] = { 256, 98 },
    [19] = { 256, 50 },
    [20] = { 32, 18 },
    [21] = { 256, 110 },
    [22] = { 256, 82 },
    [23] = { 256, 136 },
    [24] = { 1, 1 },
    [25] = { 1, 2 },
    [26] = { 1, 4 },
    [27] = { 1, 8 },
    [28] = { 1, 8 },
    [29] = { 256, 56 },
    [30] = { 1, 2 },
    [34] = { 256, 54 },
    [35] = { 256, 66 },
    [39] = { 32, 17 },
    [40] = { 64, 36 },
};

bool ggml_block(uint32_t type, uint32_t *count, uint32_t *bytes)
{
    if (type >= ARRAY_LEN(blocks) || blocks[type].count == 0)
        return false;
    *count = blocks[type].count;
    *bytes = blocks[type].bytes;
    return true;
}

/* Bytes of one value; 0 where that depends on the value. */
static unsigned kind_bytes(uint32_t kind)
{
    static const uint8_t sizes[GGUF_KINDS] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8,
        8, 8 };

    return sizes[kind];
}

/* ---- reading ---- */

struct str gguf_next_str(struct rd *r)
{
    uint64_t n = rd_u64(r);
    const uint8_t *p = rd_bytes(r, n);

    return (struct str){ (const char *)p, p != NULL ? n : 0 };
}

static int short_file(uint64_t at, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "offset %llu: the header is cut short",
        (unsigned long long)at);
}

static int check_bools(const struct gguf_value *v, struct err *e)
{
    for (size_t i = 0; v->of == GGUF_BOOL && i < v->raw.len; i++)
        if ((uint8_t)v->raw.p[i] > 1)
            return err_set(e, ERR_REFUSED, "'%.*s': a truth value of %u",
                STR_ARG(v->key), (uint8_t)v->raw.p[i]);
    return 0;
}

static int read_kind(
    struct rd *r, struct str key, enum gguf_kind *out, struct err *e)
{
    uint32_t kind = rd_u32(r);

    if (r->bad)
        return short_file(r->pos, e);
    if (kind >= GGUF_KINDS)
        return err_set(e, ERR_REFUSED, "'%.*s': a value of unknown type %u",
            STR_ARG(key), kind);
    *out = (enum gguf_kind)kind;
    return 0;
}

static int read_elements(struct rd *r, struct gguf_value *v, struct err *e)
{
    uint64_t at = r->pos, bytes;

    if (kind_bytes(v->of) > 0) {
        if (!size_mul(v->n, kind_bytes(v->of), &bytes))
            return short_file(at, e);
        rd_bytes(r, bytes);
    } else {
        /* Each takes 8 bytes or ends the loop. */
        for (uint64_t i = 0; i < v->n && !r->bad; i++)
            gguf_next_str(r);
    }
    if (r->bad)
        return short_file(at, e);
    v->raw = (struct str){ (const char *)r->p + at, r->pos - at };
    return check_bools(v, e);
}

static int read_value(struct rd *r, struct gguf_value *v, struct err *e)
{
    v->key = gguf_next_str(r);
    if (!r->bad && v->key.len == 0)
        return err_set(e, ERR_REFUSED, "offset %llu: a value without a key",
            (unsigned long long)r->pos);
    if (read_kind(r, v->key, &v->kind, e) != 0)
        return -1;
    v->of = v->kind;
    v->n = 1;
    if (v->kind == GGUF_ARRAY) {
        if (read_kind(r, v->key, &v->of, e) != 0)
            return -1;
        if (v->of == GGUF_ARRAY)
            return err_set(
                e, ERR_REFUSED, "'%.*s': an array of arrays", STR_ARG(v->key));
        v->n = rd_u64(r);
    }
    return read_elements(r, v, e);
}

/* The bytes that its type and sizes ask for. */
static int size_tensor(struct gguf_tensor *t, struct err *e)
{
    uint64_t n = 1;
    uint32_t count, bytes;
    bool fits = true;

    if (!ggml_block(t->type, &count, &bytes))
        return err_set(e, ERR_REFUSED, "tensor '%.*s': unknown type %u",
            STR_ARG(t->name), t->type);
    for (uint32_t i = 0; i < GGUF_RANK_MAX; i++)
        fits = fits && t->ne[i] <= SIZE_LIMIT && size_mul(n, t->ne[i], &n);
    if (!fits || n > SIZE_LIMIT || !size_mul(n / count, bytes, &t->bytes) ||
        t->bytes > SIZE_LIMIT)
        return err_set(
            e, ERR_REFUSED, "tensor '%.*s': too large", STR_ARG(t->name));
    if (t->ne[0] % count != 0)
        return err_set(e, ERR_REFUSED,
            "tensor '%.*s': rows of %llu, not whole blocks of %u",
            STR_ARG(t->name), (unsigned long long)t->ne[0], count);
    return 0;
}

static int read_tensor(struct rd *r, struct gguf_tensor *t, struct err *e)
{
    t->name = gguf_next_str(r);
    t->rank = rd_u32(r);
    if (r->bad)
        return short_file(r->pos, e);
    if (t->name.len > GGUF_NAME_MAX)
        return err_set(e, ERR_REFUSED, "tensor '%.*s...': name too long",
            GGUF_NAME_MAX, t->name.p);
    if (t->rank > GGUF_RANK_MAX)
        return err_set(e, ERR_REFUSED, "tensor '%.*s': %u dimensions",
            STR_ARG(t->name), t->rank);
    for (uint32_t i = 0; i < GGUF_RANK_MAX; i++)
        t->ne[i] = i < t->rank ? rd_u64(r) : 1;
    t->type = rd_u32(r);
    t->offset = rd_u64(r);
    if (r->bad)
        return short_file(r->pos, e);
    return size_tensor(t, e);
}

static int cmp_str(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* No two of the n names, which start at first and lie step bytes apart. */
static int check_unique(const void *first, uint64_t n, size_t step,
    struct arena *arena, struct err *e)
{
    struct str *names = arena_alloc(arena, n, sizeof(*names), e);

    if (names == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        memcpy(&names[i], (const char *)first + i * step, sizeof(*names));
    qsort(names, n, sizeof(*names), cmp_str);
    for (uint64_t i = 1; i < n; i++)
        if (str_eq(names[i - 1], names[i]))
            return err_set(
                e, ERR_REFUSED, "'%.*s' stands there twice", STR_ARG(names[i]));
    return 0;
}

static int find_align(struct gguf *g, struct err *e)
{
    const struct gguf_value *v = gguf_find(g, "general.alignment");

    g->align = GGUF_ALIGN;
    if (v == NULL)
        return 0;
    if (!gguf_u32(v, &g->align) || g->align == 0 || g->align > GGUF_ALIGN_MAX ||
        (g->align & (g->align - 1)) != 0)
        return err_set(e, ERR_REFUSED,
            "'general.alignment' is no power of two up to 2^24");
    return 0;
}

/* Offsets in the file must be the running sum of padded sizes. */
static int place(struct gguf *g, uint64_t file_size, struct err *e)
{
    uint64_t at = 0, padded;

    for (uint64_t i = 0; i < g->n_tensors; i++) {
        struct gguf_tensor *t = &g->tensors[i];

        if (t->offset != at)
            return err_set(e, ERR_REFUSED,
                "tensor '%.*s' is at %llu of the data, not at %llu",
                STR_ARG(t->name), (unsigned long long)t->offset,
                (unsigned long long)at);
        t->offset += g->data_at;
        padded = size_align(t->bytes, g->align);
        if (g->data_at > file_size || padded > file_size - g->data_at - at)
            return err_set(e, ERR_CORRUPT,
                "tensor '%.*s' ends behind the end of the file",
                STR_ARG(t->name));
        at += padded;
    }
    return 0;
}

static int read_counts(struct rd *r, struct gguf *g, struct err *e)
{
    const uint8_t *magic = rd_bytes(r, 4);
    uint32_t version = rd_u32(r);

    if (magic == NULL || memcmp(magic, "GGUF", 4) != 0)
        return err_set(e, ERR_REFUSED, "not a GGUF file");
    if (!r->bad && version != GGUF_VERSION && version != 2)
        return err_set(e, ERR_UNSUPPORTED, "GGUF version %u%s", version,
            version == (uint32_t)GGUF_VERSION << 24 ? ", big-endian" : "");
    g->n_tensors = rd_u64(r);
    g->n_values = rd_u64(r);
    if (r->bad)
        return short_file(r->pos, e);
    if (g->n_tensors > rd_left(r) / TENSOR_BYTES_MIN ||
        g->n_values > rd_left(r) / VALUE_BYTES_MIN)
        return err_set(e, ERR_CORRUPT,
            "%llu tensors and %llu values cannot stand in %llu bytes",
            (unsigned long long)g->n_tensors, (unsigned long long)g->n_values,
            (unsigned long long)rd_left(r));
    return 0;
}

static int read_tables(
    struct rd *r, struct gguf *g, struct arena *arena, struct err *e)
{
    g->values = arena_alloc(arena, g->n_values, sizeof(*g->values), e);
    g->tensors = arena_alloc(arena, g->n_tensors, sizeof(*g->tensors), e);
    if (g->values == NULL || g->tensors == NULL)
        return -1;
    for (uint64_t i = 0; i < g->n_values; i++)
        if (read_value(r, &g->values[i], e) != 0)
            return -1;
    for (uint64_t i = 0; i < g->n_tensors; i++)
        if (read_tensor(r, &g->tensors[i], e) != 0)
            return -1;
    return 0;
}

int gguf_parse(const void *bytes, uint64_t len, uint64_t file_size,
    struct arena *arena, struct gguf *out, struct err *e)
{
    struct rd r = rd_of(bytes, len);

    *out = (struct gguf){ .align = GGUF_ALIGN };
    if (read_counts(&r, out, e) != 0 || read_tables(&r, out, arena, e) != 0 ||
        check_unique(&out->values->key, out->n_values, sizeof(*out->values),
            arena, e) != 0 ||
        check_unique(&out->tensors->name, out->n_tensors, sizeof(*out->tensors),
            arena, e) != 0 ||
        find_align(out, e) != 0)
        return -1;
    out->data_at = size_align(r.pos, out->align);
    return place(out, file_size, e);
}

const struct gguf_value *gguf_find(const struct gguf *g, const char *key)
{
    for (uint64_t i = 0; i < g->n_values; i++)
        if (str_is(g->values[i].key, key))
            return &g->values[i];
    return NULL;
}

static bool is_kind(const struct gguf_value *v, enum gguf_kind kind)
{
    return v != NULL && v->kind == kind;
}

bool gguf_u32(const struct gguf_value *v, uint32_t *out)
{
    struct rd r;

    if (!is_kind(v, GGUF_U32))
        return false;
    r = rd_of(v->raw.p, v->raw.len);
    *out = rd_u32(&r);
    return true;
}

bool gguf_f32(const struct gguf_value *v, float *out)
{
    struct rd r;
    uint32_t bits;

    if (!is_kind(v, GGUF_F32))
        return false;
    r = rd_of(v->raw.p, v->raw.len);
    bits = rd_u32(&r);
    memcpy(out, &bits, sizeof(*out));
    return true;
}

bool gguf_bool(const struct gguf_value *v, bool *out)
{
    if (!is_kind(v, GGUF_BOOL))
        return false;
    *out = v->raw.p[0] != 0;
    return true;
}

bool gguf_str(const struct gguf_value *v, struct str *out)
{
    struct rd r;

    if (!is_kind(v, GGUF_STRING))
        return false;
    r = rd_of(v->raw.p, v->raw.len);
    *out = gguf_next_str(&r);
    return true;
}
