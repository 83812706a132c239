/*
 * audit_kernel.h - the loop below audit_cast, plain and fast, so that tests
 * can hold one against the other. Only audit*.c and their test include it.
 */
#ifndef FORMATS_AUDIT_KERNEL_H
#define FORMATS_AUDIT_KERNEL_H

#include "base/str.h"

enum { AUDIT_BLOCK = 1024 };

/* Counts of one block; magnitudes as the bits of a float. */
struct audit_sums {
    uint32_t nan, inf, overflow, underflow, subnormal;
    uint32_t error, largest;
};

/* The smallest normal magnitudes before and after, as the bits of a float. */
struct audit_limits {
    uint32_t before, after;
};

/*
 * x[n] before and y[n] after, n at most AUDIT_BLOCK
 * error    max |x - y| where both are finite: exact, since y is x rounded
 */
typedef void audit_block_fn(struct audit_sums *out, const float *x,
    const float *y, size_t n, struct audit_limits limits);

/* audit_block_plain - the reference. */
audit_block_fn audit_block_plain;

/* audit_block_x86 - a faster one, or NULL when this processor has none. */
audit_block_fn *audit_block_x86(void);

#endif
