/*
 * stfile.h - safetensors files for tests: a header as text, data that
 * count up.
 */
#ifndef TESTS_STFILE_H
#define TESTS_STFILE_H

#include "base/buf.h"

static inline void st_bytes(
    struct buf *out, const char *header, size_t data_len)
{
    size_t n = strlen(header);

    for (int i = 0; i < 8; i++)
        buf_putc(out, (char)((uint64_t)n >> (8 * i) & 0xFF));
    buf_puts(out, header);
    for (size_t i = 0; i < data_len; i++)
        buf_putc(out, (char)(i * 7 + 1));
}

#endif
