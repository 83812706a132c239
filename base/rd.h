/*
 * rd.h - a bounded little-endian cursor over bytes in memory.
 *
 * Every read checks its bound; the first read past the end sets bad, and
 * from then on every read gives zero and moves nothing. Ask once at the end
 * of a group. No parser does pointer arithmetic of its own.
 */
#ifndef BASE_RD_H
#define BASE_RD_H

#include "base/str.h"

struct rd {
    const uint8_t *p;
    uint64_t len; /* bytes at p */
    uint64_t pos; /* next byte to read; pos <= len */
    bool bad;
};

static inline struct rd rd_of(const void *p, uint64_t len)
{
    /* An empty file has no address to count from. */
    return (struct rd){ .p = p != NULL ? p : (const void *)"", .len = len };
}

static inline uint64_t rd_left(const struct rd *r)
{
    return r->len - r->pos;
}

/* rd_bytes - the next n bytes, or NULL and bad. */
static inline const uint8_t *rd_bytes(struct rd *r, uint64_t n)
{
    const uint8_t *at = r->p + r->pos;

    if (r->bad || n > rd_left(r)) {
        r->bad = true;
        return NULL;
    }
    r->pos += n;
    return at;
}

static inline uint64_t rd_le(struct rd *r, unsigned bytes)
{
    const uint8_t *p = rd_bytes(r, bytes);
    uint64_t v = 0;

    if (p == NULL)
        return 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static inline uint8_t rd_u8(struct rd *r)
{
    return (uint8_t)rd_le(r, 1);
}

static inline uint16_t rd_u16(struct rd *r)
{
    return (uint16_t)rd_le(r, 2);
}

static inline uint32_t rd_u32(struct rd *r)
{
    return (uint32_t)rd_le(r, 4);
}

static inline uint64_t rd_u64(struct rd *r)
{
    return rd_le(r, 8);
}

/* rd_seek - move to an absolute position; past the end sets bad. */
static inline void rd_seek(struct rd *r, uint64_t pos)
{
    if (r->bad || pos > r->len)
        r->bad = true;
    else
        r->pos = pos;
}

/* rd_line - text up to the next newline, which is consumed, not returned. */
static inline struct str rd_line(struct rd *r)
{
    const uint8_t *at = r->p + r->pos;
    const uint8_t *end = r->bad ? NULL : memchr(at, '\n', rd_left(r));

    if (end == NULL) {
        r->bad = true;
        return (struct str){ NULL, 0 };
    }
    r->pos += (uint64_t)(end - at) + 1;
    return (struct str){ (const char *)at, (size_t)(end - at) };
}

#endif
