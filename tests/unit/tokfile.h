/*
 * tokfile.h - tokenizer files made in memory: SentencePiece models field by
 * field, tables of tokens line by line.
 */
#ifndef TESTS_TOKFILE_H
#define TESTS_TOKFILE_H

#include <string.h>

#include "base/buf.h"

static inline void pb_varint(struct buf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_putc(out, (char)(v | 0x80));
    buf_putc(out, (char)v);
}

static inline void pb_int(struct buf *out, unsigned field, int64_t v)
{
    pb_varint(out, field << 3);
    pb_varint(out, (uint64_t)v);
}

static inline void pb_bytes(struct buf *out, unsigned field, struct str s)
{
    pb_varint(out, field << 3 | 2);
    pb_varint(out, s.len);
    buf_put(out, s.p, s.len);
}

static inline void pb_float(struct buf *out, unsigned field, float v)
{
    uint32_t bits;

    memcpy(&bits, &v, sizeof(bits));
    pb_varint(out, field << 3 | 5);
    for (unsigned i = 0; i < 4; i++)
        buf_putc(out, (char)(bits >> 8 * i));
}

static inline void pb_piece(
    struct buf *out, struct str text, float score, int type)
{
    struct buf piece AUTO(buf_free) = BUF_INIT(1 << 16);

    pb_bytes(&piece, 1, text);
    pb_float(&piece, 2, score);
    pb_int(&piece, 3, type);
    pb_bytes(out, 1, buf_str(&piece));
}

static inline void put_base64(struct buf *out, const void *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes;

    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)p[i] << 16;

        bits |= n > 1 ? (uint32_t)p[i + 1] << 8 : 0;
        bits |= n > 2 ? p[i + 2] : 0;
        for (size_t k = 0; k < 4; k++)
            buf_putc(out, k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=');
    }
}

/* A token that stands in no text: it is no UTF-8. */
static inline void put_filler(struct buf *out, uint32_t rank)
{
    unsigned char bytes[6] = { 0xFF, 0xFE, (unsigned char)(rank >> 24),
        (unsigned char)(rank >> 16), (unsigned char)(rank >> 8),
        (unsigned char)rank };

    put_base64(out, bytes, sizeof(bytes));
    buf_printf(out, " %u\n", rank);
}

#endif
