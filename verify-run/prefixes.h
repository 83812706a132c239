/*
 * prefixes.h - a set of texts, and which of them a text starts with. The
 * texts stand sorted; a walk narrows them down byte by byte and ends where
 * none is left.
 */
#ifndef VERIFY_RUN_PREFIXES_H
#define VERIFY_RUN_PREFIXES_H

#include "base/arena.h"

struct prefix_text {
    struct str text;
    uint32_t id;
};

struct prefixes {
    struct prefix_text *v;
    uint32_t n;
    uint32_t first[257]; /* where texts with this first byte start */
};

enum { PREFIX_NONE = UINT32_MAX };

/*
 * prefixes_make - a set with room for n texts, still empty
 * Returns 0, or -1 with *e: NOMEM, REFUSED
 */
int prefixes_make(
    struct prefixes *p, uint32_t n, struct arena *arena, struct err *e);

/* prefixes_add - a text, not empty, that lives as long; there is room. */
void prefixes_add(struct prefixes *p, struct str text, uint32_t id);

/* prefixes_sort - once all are added. Of equal texts the last id counts. */
void prefixes_sort(struct prefixes *p);

/* A walk along one text; begin with { 0 }. */
struct prefix_walk {
    uint32_t lo; /* texts that start with what was walked */
    uint32_t hi;
    size_t depth; /* bytes walked */
};

/*
 * prefixes_step - go on by one byte
 * id       the text that ends here, or PREFIX_NONE
 * Returns  false when no text goes on like this
 * Cost     log n
 */
bool prefixes_step(const struct prefixes *p, struct prefix_walk *w,
    unsigned char byte, uint32_t *id);

/* prefixes_longest - the bytes of the longest text that s starts with, or 0. */
size_t prefixes_longest(const struct prefixes *p, struct str s, uint32_t *id);

#endif
