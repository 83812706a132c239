/*
 * cast_kernel.h - the loops below cast_array, plain and fast, so that tests
 * can hold one against the other. Only cast*.c, audit.c and their tests
 * include it.
 */
#ifndef FORMATS_CAST_KERNEL_H
#define FORMATS_CAST_KERNEL_H

#include "formats/dtype.h"

/* One entry per type that dtype_is_float; n is at most a few thousand. */
struct cast_kernels {
    void (*load[DTYPE_COUNT])(float *out, const void *in, size_t n);
    void (*store[DTYPE_COUNT])(void *out, const float *in, size_t n);
    /* How many are finite and have a magnitude (as bits) >= limit. */
    size_t (*count_over)(const float *in, size_t n, uint32_t limit);
};

/* cast_kernels_plain - the reference. */
void cast_kernels_plain(struct cast_kernels *out);

/*
 * cast_kernels_x86 - put in what this processor can do faster
 * Returns true when it changed anything.
 */
bool cast_kernels_x86(struct cast_kernels *out);

/*
 * cast_kernels_best - the fastest there are here
 * Cost     tens of nanoseconds; more where the C library does not know the
 *          processor: once for many values
 */
void cast_kernels_best(struct cast_kernels *out);

/*
 * cast_floats - n elements of type t at in as floats: where they lie when
 * they are that already, else in room
 */
const float *cast_floats(const struct cast_kernels *k, const void *in,
    enum dtype t, size_t n, float *room);

/* cast_array_with - cast_array through the given kernels. */
void cast_array_with(const struct cast_kernels *k, void *out, enum dtype to,
    const void *in, enum dtype from, uint64_t n);

#endif
