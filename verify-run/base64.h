/* base64.h - the standard alphabet, with its padding, read strictly. */
#ifndef VERIFY_RUN_BASE64_H
#define VERIFY_RUN_BASE64_H

#include "base/str.h"

/* base64_size - bytes that text stands for at most. */
static inline size_t base64_size(size_t len)
{
    return len / 4 * 3;
}

/*
 * base64_decode - read all of text
 * out      of base64_size(text.len) bytes; n gets how many were written
 * Returns  false when text is no base64, or not the one way to write it
 */
bool base64_decode(struct str text, uint8_t *out, size_t *n);

#endif
