/*
 * t_torch_make.h - zip archives and pickles put together by hand, right or
 * wrong in one place.
 */
#ifndef TESTS_TORCH_MAKE_H
#define TESTS_TORCH_MAKE_H

#include "base/buf.h"

/* A literal with its length: it may hold NUL. */
#define P(text) text, sizeof(text) - 1

/* One entry; what is zero takes its right value. */
struct entry {
    const char *name;
    const char *data;
    size_t len;
    const char *local_name;
    unsigned flags;
    unsigned method;
    unsigned disk;
    uint32_t packed; /* in the directory */
    uint32_t size;
    uint32_t header_at;
    const char *extra; /* of the directory */
    size_t extra_len;
};

static inline void put_le(struct buf *b, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        buf_putc(b, i < 8 ? (char)(v >> (8 * i) & 0xff) : 0);
}

static inline void put_local(struct buf *out, const struct entry *t)
{
    const char *name = t->local_name ? t->local_name : t->name;

    put_le(out, 0x04034b50, 4);
    put_le(out, 0, 2);
    put_le(out, t->flags, 2);
    put_le(out, t->method, 2);
    put_le(out, 0, 16); /* as torch does: no sizes here */
    put_le(out, strlen(name), 2);
    put_le(out, 4, 2);
    buf_puts(out, name);
    buf_put(out, "FB\0\0", 4);
    buf_put(out, t->data, t->len);
}

static inline void put_central(
    struct buf *out, const struct entry *t, uint64_t at)
{
    put_le(out, 0x02014b50, 4);
    put_le(out, 0, 4);
    put_le(out, t->flags, 2);
    put_le(out, t->method, 2);
    put_le(out, 0, 8);
    put_le(out, t->packed ? t->packed : t->len, 4);
    put_le(out, t->size ? t->size : t->len, 4);
    put_le(out, strlen(t->name), 2);
    put_le(out, t->extra_len, 2);
    put_le(out, 0, 2);
    put_le(out, t->disk, 2);
    put_le(out, 0, 6);
    put_le(out, t->header_at ? t->header_at : at, 4);
    buf_puts(out, t->name);
    buf_put(out, t->extra ? t->extra : "", t->extra_len);
}

/* The classic end record. */
static inline void put_end(
    struct buf *out, uint64_t n, uint64_t dir_at, uint64_t dir_len)
{
    put_le(out, 0x06054b50, 4);
    put_le(out, 0, 4);
    put_le(out, n, 2);
    put_le(out, n, 2);
    put_le(out, dir_len, 4);
    put_le(out, dir_at, 4);
    put_le(out, 0, 2);
}

/* The zip64 end record and its locator. */
static inline void put_end64(
    struct buf *out, uint64_t n, uint64_t dir_at, uint64_t dir_len)
{
    uint64_t at = out->len;

    put_le(out, 0x06064b50, 4);
    put_le(out, 44, 8);
    put_le(out, 0, 12);
    put_le(out, n, 8);
    put_le(out, n, 8);
    put_le(out, dir_len, 8);
    put_le(out, dir_at, 8);
    put_le(out, 0x07064b50, 4);
    put_le(out, 0, 4);
    put_le(out, at, 8);
    put_le(out, 1, 4);
}

static inline void make_zip(
    struct buf *out, const struct entry *v, size_t n, bool wide)
{
    struct buf dir AUTO(buf_free) = BUF_INIT(16 << 20);
    uint64_t dir_at;

    for (size_t i = 0; i < n; i++) {
        uint64_t at = out->len;

        put_local(out, &v[i]);
        put_central(&dir, &v[i], at);
    }
    dir_at = out->len;
    buf_put(out, dir.p, dir.len);
    if (wide)
        put_end64(out, n, dir_at, dir.len);
    put_end(out, n, dir_at, dir.len);
}

/* ---- pickles of torch ---- */

static inline void pk_text(struct buf *b, const char *text)
{
    buf_putc(b, 'X');
    put_le(b, strlen(text), 4);
    buf_puts(b, text);
}

static inline void pk_int(struct buf *b, int64_t v)
{
    buf_put(b, "\x8a\x08", 2);
    put_le(b, (uint64_t)v, 8);
}

/* A tuple of n integers. */
static inline void pk_ints(struct buf *b, const int64_t *v, size_t n)
{
    buf_putc(b, '(');
    for (size_t i = 0; i < n; i++)
        pk_int(b, v[i]);
    buf_putc(b, 't');
}

/* ('storage', torch.class, key, 'cpu', numel) BINPERSID */
static inline void pk_storage(
    struct buf *b, const char *class, const char *key, int64_t numel)
{
    buf_putc(b, '(');
    pk_text(b, "storage");
    buf_printf(b, "ctorch\n%s\n", class);
    pk_text(b, key);
    pk_text(b, "cpu");
    pk_int(b, numel);
    buf_puts(b, "tQ");
}

/* The storage is on the stack's top when this is called between the two. */
static inline void pk_tensor_open(struct buf *b)
{
    buf_puts(b, "ctorch._utils\n_rebuild_tensor_v2\n(");
}

static inline void pk_tensor_close(struct buf *b, int64_t offset,
    const int64_t *size, size_t n_size, const int64_t *stride, size_t n_stride)
{
    pk_int(b, offset);
    pk_ints(b, size, n_size);
    pk_ints(b, stride, n_stride);
    buf_puts(b, "\x89"
                "ccollections\nOrderedDict\n)RtR");
}

/* A dense one-dimensional tensor of n floats over a storage of its own. */
static inline void pk_floats(struct buf *b, const char *key, int64_t n)
{
    int64_t one = 1;

    pk_tensor_open(b);
    pk_storage(b, "FloatStorage", key, n);
    pk_tensor_close(b, 0, &n, 1, &one, 1);
}

#endif
