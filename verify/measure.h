/*
 * measure.h - two arrays of one dtype: which elements differ, and by how
 * much at most.
 */
#ifndef VERIFY_MEASURE_H
#define VERIFY_MEASURE_H

#include "verify/diff.h"

/* What is known about a run of elements. */
struct measure {
    uint64_t n;     /* elements whose bits differ */
    uint64_t first; /* the first of them, when n > 0 */
    struct diff_most absolute;
    struct diff_most relative;
};

/*
 * measure_add - hold n elements against each other
 * at       index of the first of them
 * a, b     aligned for their type; whole bytes for the packed types
 */
void measure_add(struct measure *m, enum dtype dtype, const void *a,
    const void *b, uint64_t at, uint64_t n);

/* measure_join - what both know; other holds later elements. */
void measure_join(struct measure *m, const struct measure *other);

/* measure_can - elements of this type have values that are measured here. */
bool measure_can(enum dtype dtype);

#endif
