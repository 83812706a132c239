/*
 * merges.h - the pairs of tokens that byte-pair encoding joins, by rank.
 */
#ifndef VERIFY_RUN_MERGES_H
#define VERIFY_RUN_MERGES_H

#include "verify-run/vocab.h"

struct merge {
    uint64_t pair; /* left id in the upper half, right id in the lower */
    uint32_t rank; /* the lowest is joined first */
    uint32_t id;   /* of the joined token, plus 1; 0 marks a free slot */
};

struct merges {
    struct merge *slots;
    uint64_t mask;
};

/*
 * merges_load - read a list of "left right" or ["left", "right"]
 * Returns  0, or -1 with *e: REFUSED (naming the merge) when it is no pair or
 *          one of the three tokens is not in the vocabulary; NOMEM
 */
int merges_load(struct merges *m, const struct json *list,
    const struct vocab *vocab, struct arena *arena, struct err *e);

/* merges_find - what joins left and right, or NULL. */
const struct merge *merges_find(
    const struct merges *m, uint32_t left, uint32_t right);

#endif
