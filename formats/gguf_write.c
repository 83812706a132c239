#include "formats/gguf.h"

static void put_le(struct buf *b, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        buf_putc(b, (char)(v >> (8 * i) & 0xFF));
}

static void put_str(struct buf *b, struct str v)
{
    put_le(b, v.len, 8);
    buf_put(b, v.p, v.len);
}

static void put_f32(struct buf *b, float v)
{
    uint32_t bits;

    memcpy(&bits, &v, sizeof(bits));
    put_le(b, bits, 4);
}

static void put_key(struct gguf_writer *w, const char *key, enum gguf_kind kind)
{
    put_str(&w->kv, str_of(key));
    put_le(&w->kv, kind, 4);
    w->n++;
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    put_key(w, key, GGUF_U32);
    put_le(&w->kv, v, 4);
}

void gguf_put_f32(struct gguf_writer *w, const char *key, float v)
{
    put_key(w, key, GGUF_F32);
    put_f32(&w->kv, v);
}

void gguf_put_bool(struct gguf_writer *w, const char *key, bool v)
{
    put_key(w, key, GGUF_BOOL);
    put_le(&w->kv, v, 1);
}

void gguf_put_str(struct gguf_writer *w, const char *key, struct str v)
{
    put_key(w, key, GGUF_STRING);
    put_str(&w->kv, v);
}

void gguf_put_array(
    struct gguf_writer *w, const char *key, enum gguf_kind of, uint64_t n)
{
    put_key(w, key, GGUF_ARRAY);
    put_le(&w->kv, of, 4);
    put_le(&w->kv, n, 8);
}

void gguf_add_str(struct gguf_writer *w, struct str v)
{
    put_str(&w->kv, v);
}

void gguf_add_f32(struct gguf_writer *w, float v)
{
    put_f32(&w->kv, v);
}

void gguf_add_i32(struct gguf_writer *w, int32_t v)
{
    put_le(&w->kv, (uint32_t)v, 4);
}

/* Sizes that overflow here are refused when the result is read again. */
static uint64_t data_bytes(const struct gguf_tensor *t)
{
    uint64_t n = 1;
    uint32_t count, bytes;

    if (!ggml_block(t->type, &count, &bytes))
        return 0;
    for (uint32_t i = 0; i < t->rank && i < GGUF_RANK_MAX; i++)
        n *= t->ne[i];
    return n / count * bytes;
}

static void put_tensor(struct buf *b, const struct gguf_tensor *t)
{
    put_str(b, t->name);
    put_le(b, t->rank, 4);
    for (uint32_t i = 0; i < t->rank && i < GGUF_RANK_MAX; i++)
        put_le(b, t->ne[i], 8);
    put_le(b, t->type, 4);
    put_le(b, t->offset, 8);
}

int gguf_finish(const struct gguf_writer *w, struct gguf_tensor *tensors,
    uint64_t n, struct buf *header, uint64_t *file_size, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)1 << 30);
    struct gguf again;
    uint64_t at = 0, data_at;

    buf_puts(header, "GGUF");
    put_le(header, GGUF_VERSION, 4);
    put_le(header, n, 8);
    put_le(header, w->n, 8);
    buf_put(header, w->kv.p, w->kv.len);
    for (uint64_t i = 0; i < n; i++) {
        tensors[i].offset = at;
        tensors[i].bytes = data_bytes(&tensors[i]);
        put_tensor(header, &tensors[i]);
        at += size_align(tensors[i].bytes, GGUF_ALIGN);
    }
    data_at = size_align(header->len, GGUF_ALIGN);
    while (n > 0 && header->len < data_at && header->bad == ERR_NONE)
        buf_putc(header, 0);
    if (buf_check(&w->kv, e) != 0 || buf_check(header, e) != 0)
        return -1;
    *file_size = header->len + at;
    for (uint64_t i = 0; i < n; i++)
        tensors[i].offset += data_at;
    /* Only what the strict reader accepts leaves this house. */
    return gguf_parse(header->p, header->len, *file_size, &arena, &again, e);
}

void gguf_writer_free(struct gguf_writer *w)
{
    buf_free(&w->kv);
    w->n = 0;
}
