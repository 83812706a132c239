/*
 * utf8.h - one code point in, one code point out; strict (no surrogates);
 * and text of strangers as a terminal may have it.
 */
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

enum { UTF8_VISIBLE_MAX = 8 };

/*
 * utf8_visible - the first character of s, harmless to a terminal
 * out      itself; \xNN for a control character and for a byte that is not
 *          UTF-8; \uNNNN for what turns the direction of text around
 * n        bytes written to out
 * Returns  the bytes of s it stands for; 0 at the end of s
 */
unsigned utf8_visible(
    struct str s, char out[static UTF8_VISIBLE_MAX], unsigned *n);

#endif
