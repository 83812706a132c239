/* utf8.h - one code point in, one code point out; strict (no surrogates). */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/str.h"

/*
 * utf8_get - the code point at s.p
 * Returns its length in bytes (1..4), or 0 when the bytes are not
 * well-formed UTF-8 or s is empty.
 */
unsigned utf8_get(struct str s, uint32_t *out);

/* utf8_put - write a code point; returns its length (1..4). */
unsigned utf8_put(char out[4], uint32_t cp);

#endif
