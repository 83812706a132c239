#include "formats/safetensors.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/rd.h"

/*
 * The largest header met has 36,000 tensors. A JSON value costs about 100
 * bytes of memory, so a header of nothing but values must not get far.
 */
enum { VALUES_MAX = 4000000 };

/* Above this json.h's numbers may have been rounded. */
static const uint64_t INTEGER_MAX = ((uint64_t)1 << 53) - 1;

static uint64_t count_values(struct str text)
{
    bool quoted = false;
    uint64_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == ',' || c == '[' || c == '{'))
            n++;
    }
    return n;
}

static int refuse(struct err *e, const char *name, const char *why)
{
    return err_set(e, ERR_REFUSED, "tensor '%.200s': %s", name, why);
}

static int check_name(const char *name, struct err *e)
{
    if (strlen(name) > TENSOR_NAME_MAX)
        return refuse(e, name, "name of more than 4096 bytes");
    if (name[0] == '\0')
        return err_set(e, ERR_REFUSED, "a tensor without a name");
    for (const char *p = name; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            return refuse(e, name, "control character in the name");
    return 0;
}

static int get_integer(const struct json *v, uint64_t *out)
{
    return json_u64(v, out) && *out <= INTEGER_MAX ? 0 : -1;
}

static int read_shape(struct tensor *t, const char *name, const struct json *v,
    struct arena *arena, struct err *e)
{
    size_t rank = json_count(v), i = 0;
    uint64_t *shape;

    if (v == NULL || json_kind(v) != JSON_ARRAY)
        return refuse(e, name, "no shape");
    if (rank > TENSOR_RANK_MAX)
        return refuse(e, name, "more than 64 dimensions");
    shape = arena_alloc(arena, rank, sizeof(*shape), e);
    if (shape == NULL)
        return -1;
    for (const struct json *d = json_first(v); d != NULL; d = json_next(d))
        if (get_integer(d, &shape[i++]) != 0)
            return refuse(e, name, "a dimension is not a size");
    t->rank = (uint32_t)rank;
    t->shape = shape;
    if (!tensor_count(shape, t->rank, &t->n))
        return refuse(e, name, "the shape overflows");
    return 0;
}

static int read_offsets(struct tensor *t, const char *name,
    const struct json *v, uint64_t data_len, struct err *e)
{
    const struct json *first = json_first(v);
    uint64_t begin, end;

    if (v == NULL || json_kind(v) != JSON_ARRAY || json_count(v) != 2)
        return refuse(e, name, "data_offsets must be two numbers");
    if (get_integer(first, &begin) != 0 ||
        get_integer(json_next(first), &end) != 0)
        return refuse(e, name, "data_offsets must be two numbers");
    if (begin > end)
        return refuse(e, name, "ends before it begins");
    if (end > data_len)
        return err_set(e, ERR_CORRUPT,
            "tensor '%.200s': ends at byte %llu of the data, the file has %llu",
            name, (unsigned long long)end, (unsigned long long)data_len);
    if (t->n * dtype_bits(t->dtype) % 8 != 0)
        return refuse(e, name, "not a whole number of bytes");
    if (end - begin != tensor_bytes(t))
        return err_set(e, ERR_REFUSED,
            "tensor '%.200s': %llu bytes, its shape needs %llu", name,
            (unsigned long long)(end - begin),
            (unsigned long long)tensor_bytes(t));
    t->offset = begin;
    return 0;
}

static int read_tensor(struct tensor *t, const struct json *v,
    uint64_t data_len, struct arena *arena, struct err *e)
{
    const char *name = json_key(v), *type;

    if (check_name(name, e) != 0)
        return -1;
    if (json_kind(v) != JSON_OBJECT)
        return refuse(e, name, "its entry is not an object");
    if (!json_str(json_get(v, "dtype"), &type))
        return refuse(e, name, "no dtype");
    t->dtype = dtype_parse(str_of(type));
    if (t->dtype == DTYPE_NONE || t->dtype == DTYPE_C128)
        return err_set(e, ERR_REFUSED, "tensor '%.200s': unknown dtype '%.40s'",
            name, type);
    if (read_shape(t, name, json_get(v, "shape"), arena, e) != 0 ||
        read_offsets(t, name, json_get(v, "data_offsets"), data_len, e) != 0)
        return -1;
    t->name = arena_str(arena, str_of(name), e);
    return t->name.p == NULL ? -1 : 0;
}

static int read_metadata(struct safetensors *st, const struct json *v,
    struct arena *arena, struct err *e)
{
    if (json_kind(v) == JSON_NULL)
        return 0;
    if (json_kind(v) != JSON_OBJECT)
        return err_set(e, ERR_REFUSED, "__metadata__ is not an object");
    for (const struct json *m = json_first(v); m != NULL; m = json_next(m)) {
        const char *text;
        struct str *out = NULL;

        if (!json_str(m, &text))
            return err_set(e, ERR_REFUSED,
                "__metadata__: '%.200s' is not a string", json_key(m));
        if (strcmp(json_key(m), "format") == 0)
            out = &st->format;
        else if (strcmp(json_key(m), "ml-safetensors") == 0)
            out = &st->uniform;
        if (out == NULL)
            continue;
        *out = arena_str(arena, str_of(text), e);
        if (out->p == NULL)
            return -1;
    }
    return 0;
}

static int cmp_place(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    uint64_t xe = x->offset + tensor_bytes(x), ye = y->offset + tensor_bytes(y);

    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    if (xe != ye)
        return xe < ye ? -1 : 1;
    return str_cmp(x->name, y->name);
}

/* Side by side from the first byte to the last: no hole, no overlap. */
static int check_places(
    struct safetensors *st, uint64_t data_len, struct err *e)
{
    uint64_t at = 0;

    if (st->n > 1)
        qsort(st->tensors, st->n, sizeof(*st->tensors), cmp_place);
    for (uint64_t i = 0; i < st->n; i++) {
        struct tensor *t = &st->tensors[i];
        if (t->offset != at)
            return err_set(e, ERR_REFUSED,
                "tensor '%.*s': begins at byte %llu of the data, %s %llu",
                STR_ARG(t->name), (unsigned long long)t->offset,
                t->offset < at ? "overlaps what ends at" : "leaves a hole from",
                (unsigned long long)at);
        at += tensor_bytes(t);
        t->offset += st->data_at;
        t->storage_at = t->offset;
        t->storage_len = tensor_bytes(t);
    }
    if (at != data_len)
        return err_set(e, ERR_REFUSED,
            "%llu bytes behind the last tensor belong to none",
            (unsigned long long)(data_len - at));
    return 0;
}

static int read_table(struct safetensors *st, struct str text,
    uint64_t data_len, struct arena *arena, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    const struct json *v;

    if (count_values(text) > VALUES_MAX)
        return err_set(
            e, ERR_REFUSED, "header with more than %d values", VALUES_MAX);
    if (json_parse(&doc, text, JSON_PLAIN_INTS, e) != 0)
        return -1;
    if (json_kind(doc.root) != JSON_OBJECT)
        return err_set(e, ERR_REFUSED, "the header is not a JSON object");
    st->tensors =
        arena_alloc(arena, json_count(doc.root), sizeof(*st->tensors), e);
    if (st->tensors == NULL)
        return -1;
    for (v = json_first(doc.root); v != NULL; v = json_next(v)) {
        if (strcmp(json_key(v), "__metadata__") == 0) {
            if (read_metadata(st, v, arena, e) != 0)
                return -1;
            continue;
        }
        if (read_tensor(&st->tensors[st->n], v, data_len, arena, e) != 0)
            return -1;
        st->n++;
    }
    return 0;
}

int safetensors_parse(const void *bytes, uint64_t len, uint64_t file_size,
    struct arena *arena, struct safetensors *out, struct err *e)
{
    struct rd r = rd_of(bytes, len);
    uint64_t header = rd_u64(&r);
    struct str text;

    *out = (struct safetensors){ .format = { "", 0 }, .uniform = { "", 0 } };
    if (r.bad)
        return err_set(e, ERR_REFUSED,
            "shorter than the 8 bytes it starts "
            "with");
    if (header == 0 || header > SAFETENSORS_HEADER_MAX)
        return err_set(e, ERR_REFUSED, "a header of %llu bytes",
            (unsigned long long)header);
    if (header > file_size - 8)
        return err_set(e, ERR_CORRUPT,
            "ends inside its header: %llu bytes of %llu",
            (unsigned long long)(file_size - 8), (unsigned long long)header);
    text.p = (const char *)rd_bytes(&r, header);
    text.len = (size_t)header;
    if (r.bad)
        return err_set(e, ERR_BUG, "header not given whole");
    out->data_at = 8 + header;
    if (read_table(out, text, file_size - out->data_at, arena, e) != 0)
        return -1;
    return check_places(out, file_size - out->data_at, e);
}
