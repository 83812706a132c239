#include "formats/uniform.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"

static bool is_paged(const struct tensor *t)
{
    return tensor_bytes(t) % UNIFORM_ALIGN == 0;
}

int uniform_order(const struct tensor *a, const struct tensor *b)
{
    unsigned x = dtype_bits(a->dtype), y = dtype_bits(b->dtype);

    if (is_paged(a) != is_paged(b))
        return is_paged(a) ? -1 : 1;
    if (!is_paged(a) && x != y)
        return x > y ? -1 : 1;
    return str_cmp(a->name, b->name);
}

static int cmp_order(const void *a, const void *b)
{
    return uniform_order(a, b);
}

static int check_tensor(const struct tensor *t, struct err *e)
{
    struct str rest = t->name;

    if (rest.len == 0 || rest.len > TENSOR_NAME_MAX ||
        str_is(rest, "__metadata__"))
        return err_set(e, ERR_REFUSED,
            "tensor '%.*s': safetensors has no room for this name",
            (int)size_min(rest.len, 200), rest.len > 0 ? rest.p : "");
    while (rest.len > 0) {
        uint32_t cp = 0;
        unsigned n = utf8_get(rest, &cp);

        if (n == 0 || cp < 0x20 || cp == 0x7F)
            return err_set(e, ERR_REFUSED,
                "tensor '%.*s': the name has a %s at byte %zu",
                STR_ARG(t->name),
                n == 0 ? "byte that is not UTF-8" : "control character",
                t->name.len - rest.len);
        rest.p += n;
        rest.len -= n;
    }
    if (t->dtype == DTYPE_C128 || t->dtype == DTYPE_NONE)
        return err_set(e, ERR_REFUSED, "tensor '%.*s': safetensors has no %s",
            STR_ARG(t->name), dtype_name(t->dtype));
    if (t->n % 8 * dtype_bits(t->dtype) % 8 != 0)
        return err_set(e, ERR_REFUSED,
            "tensor '%.*s': not a whole number of bytes", STR_ARG(t->name));
    return 0;
}

static void write_entry(struct buf *out, const struct tensor *t, uint64_t begin)
{
    json_quote(out, t->name);
    buf_printf(out, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(t->dtype));
    for (uint32_t i = 0; i < t->rank; i++)
        buf_printf(
            out, "%s%llu", i > 0 ? "," : "", (unsigned long long)t->shape[i]);
    buf_printf(out, "],\"data_offsets\":[%llu,%llu]}",
        (unsigned long long)begin,
        (unsigned long long)(begin + tensor_bytes(t)));
}

/* The first 8 bytes hold the length of the rest; spaces up to a page. */
static int finish_header(struct buf *header, struct err *e)
{
    uint64_t len;

    if (buf_check(header, e) != 0)
        return err_ctx(e, "safetensors header");
    len = size_align(header->len, UNIFORM_ALIGN) - header->len;
    if (buf_room(header, len) == NULL)
        return buf_check(header, e);
    memset(header->p + header->len, ' ', len);
    header->len += len;
    header->p[header->len] = '\0';
    len = header->len - 8;
    for (int i = 0; i < 8; i++)
        header->p[i] = (char)(len >> (8 * i) & 0xFF);
    return 0;
}

int uniform_layout(struct tensor *tensors, uint64_t n, struct buf *header,
    uint64_t *file_size, struct err *e)
{
    uint64_t at = 0;

    for (uint64_t i = 0; i < n; i++)
        if (check_tensor(&tensors[i], e) != 0)
            return -1;
    if (n > 1)
        qsort(tensors, n, sizeof(*tensors), cmp_order);
    buf_put(header, "\0\0\0\0\0\0\0\0", 8);
    buf_puts(header, "{\"__metadata__\":{\"format\":\"pt\","
                     "\"ml-safetensors\":\"" UNIFORM_VERSION "\"}");
    for (uint64_t i = 0; i < n; i++) {
        struct tensor *t = &tensors[i];

        buf_putc(header, ',');
        write_entry(header, t, at);
        t->offset = at;
        if (!size_add(at, tensor_bytes(t), &at) || at > (uint64_t)1 << 52)
            return err_set(e, ERR_REFUSED,
                "tensor '%.*s': the file would be too large", STR_ARG(t->name));
    }
    buf_putc(header, '}');
    if (finish_header(header, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        tensors[i].offset += header->len;
    *file_size = header->len + at;
    return 0;
}

static int check_marks(const struct safetensors *st, struct err *e)
{
    if (!str_is(st->uniform, UNIFORM_VERSION) || !str_is(st->format, "pt"))
        return err_set(e, ERR_VERDICT,
            "not marked as the uniform form, version %s", UNIFORM_VERSION);
    if (st->data_at % UNIFORM_ALIGN != 0)
        return err_set(e, ERR_VERDICT,
            "the data start at byte %llu, not at a multiple of 4096",
            (unsigned long long)st->data_at);
    return 0;
}

static int check_order(const struct safetensors *st, struct err *e)
{
    for (uint64_t i = 1; i < st->n; i++) {
        const struct tensor *a = &st->tensors[i - 1], *b = a + 1;
        if (cmp_order(a, b) > 0)
            return err_set(e, ERR_VERDICT,
                "tensor '%.*s' must come before '%.*s'", STR_ARG(b->name),
                STR_ARG(a->name));
    }
    return 0;
}

int uniform_check(
    const struct safetensors *st, const void *bytes, struct err *e)
{
    struct buf header AUTO(buf_free) =
        BUF_INIT(SAFETENSORS_HEADER_MAX + UNIFORM_ALIGN);
    struct tensor *copy;
    const char *p = bytes;
    uint64_t size;
    size_t i;
    int rc;

    if (check_marks(st, e) != 0 || check_order(st, e) != 0)
        return -1;
    copy = malloc((st->n + 1) * sizeof(*copy));
    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (st->n > 0)
        memcpy(copy, st->tensors, st->n * sizeof(*copy));
    rc = uniform_layout(copy, st->n, &header, &size, e);
    free(copy);
    if (rc != 0)
        return -1;
    for (i = 0; i < header.len && i < st->data_at; i++)
        if (p[i] != header.p[i])
            break;
    if (i < header.len || header.len != st->data_at)
        return err_set(e, ERR_VERDICT,
            "the header is not in its canonical form from byte %zu on", i);
    return 0;
}
