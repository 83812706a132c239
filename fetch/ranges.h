/*
 * ranges.h - which bytes of a file there are: sorted, disjoint, never
 * touching ranges [from, to).
 */
#ifndef FETCH_RANGES_H
#define FETCH_RANGES_H

#include "base/err.h"

struct range {
    uint64_t from; /* first byte */
    uint64_t to;   /* behind the last byte */
};

struct ranges {
    struct range *v;
    size_t n;
    size_t cap;
};

#define RANGES_INIT                                                            \
    {                                                                          \
        .v = NULL                                                              \
    }

void ranges_free(struct ranges *r); /* idempotent */

/* ranges_add - these bytes are there now, too. 0, or -1 with *e: NOMEM. */
int ranges_add(struct ranges *r, uint64_t from, uint64_t to, struct err *e);

/* ranges_copy - the same bytes; out is empty before. -1 with *e: NOMEM. */
int ranges_copy(struct ranges *out, const struct ranges *r, struct err *e);

/* ranges_end - the end of the range that holds byte at; at when none. */
uint64_t ranges_end(const struct ranges *r, uint64_t at);

/* ranges_next - the first byte there is from at on, or limit. */
uint64_t ranges_next(const struct ranges *r, uint64_t at, uint64_t limit);

/* ranges_sum - how many bytes there are. */
uint64_t ranges_sum(const struct ranges *r);

#endif
