/*
 * charsmap.h - the "precompiled charsmap" of SentencePiece: which characters
 * a normalizer replaces by which. A number of bytes (4, little-endian), a
 * double array of so many bytes that leads from a text to a place, and the
 * replacements, each ended by a zero. Source: tokenizers, section 10.3.
 */
#ifndef VERIFY_RUN_CHARSMAP_H
#define VERIFY_RUN_CHARSMAP_H

#include "base/arena.h"

/* No character is replaced by, and none of the texts replaced has, more. */
enum { CHARSMAP_TEXT_MAX = 256 };

struct charsmap {
    uint32_t *units; /* NULL: nothing is replaced */
    uint64_t n;
    struct str texts; /* good UTF-8, ends with a zero */
};

/*
 * charsmap_load - from bytes; none is a map of nothing
 * Returns  0, or -1 with *e: REFUSED, NOMEM
 * Owns     nothing: all memory is the arena's
 */
int charsmap_load(
    struct charsmap *m, struct str bytes, struct arena *arena, struct err *e);

/* What text starts with, and what stands for it. */
struct charsmap_match {
    size_t len; /* bytes replaced; 0: nothing matches */
    struct str to;
};

/* charsmap_longest, charsmap_shortest - the match at the start of text. */
struct charsmap_match charsmap_longest(
    const struct charsmap *m, struct str text);
struct charsmap_match charsmap_shortest(
    const struct charsmap *m, struct str text);

#endif
