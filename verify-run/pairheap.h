/*
 * pairheap.h - the pairs of neighbours that byte-pair encoding may join,
 * best first: lowest rank, then leftmost.
 */
#ifndef VERIFY_RUN_PAIRHEAP_H
#define VERIFY_RUN_PAIRHEAP_H

#include "base/err.h"

struct pairheap {
    uint64_t *v; /* rank in the upper half, place in the lower */
    size_t n;
    size_t cap;
};

#define PAIRHEAP_INIT                                                          \
    {                                                                          \
        .v = NULL                                                              \
    }

void pairheap_free(struct pairheap *h);

/* pairheap_push - 0, or -1 with *e: NOMEM. Cost: log n. */
int pairheap_push(
    struct pairheap *h, uint32_t rank, uint32_t place, struct err *e);

/* pairheap_pop - take out the best pair; false when there is none. */
bool pairheap_pop(struct pairheap *h, uint32_t *rank, uint32_t *place);

#endif
