/*
 * audit.h - what a cast did to the values of a tensor, counted while they
 * are at hand. The counts do not depend on how the values were cut up.
 */
#ifndef FORMATS_AUDIT_H
#define FORMATS_AUDIT_H

#include "formats/dtype.h"

struct audit {
    uint64_t n;         /* values looked at */
    uint64_t nan;       /* not numbers, and stay so */
    uint64_t inf;       /* infinite before */
    uint64_t overflow;  /* finite before, infinite after */
    uint64_t underflow; /* not zero before, zero after */
    uint64_t subnormal; /* normal before, subnormal after */
    double error;       /* the largest |before - after| of finite values */
    double largest;     /* finite magnitude before */
};

/*
 * audit_cast - count n values that cast_array turned from in to out
 * from, to   each one of F64 F32 F16 BF16; out may be in when they are equal
 * a          is added to
 */
void audit_cast(struct audit *a, const void *out, enum dtype to, const void *in,
    enum dtype from, uint64_t n);

/* audit_back - the same of n values that read back as those at back. */
void audit_back(struct audit *a, const float *back, const void *in,
    enum dtype from, uint64_t n);

/*
 * How many values have which magnitude: bins[k] counts those from 2^(k-127)
 * up to the next power of two. bins[0] has the zeros and what is smaller
 * than 2^-126, bins[255] the infinities and NaN.
 */
enum { SPECTRUM_BINS = 256, SPECTRUM_ONE = 127 };

struct spectrum {
    uint64_t bins[SPECTRUM_BINS];
};

/* spectrum_add - count n values of a type that dtype_is_float. */
void spectrum_add(struct spectrum *s, const void *in, enum dtype t, uint64_t n);

/* spectrum_join - add what was counted elsewhere. */
void spectrum_join(struct spectrum *s, const struct spectrum *more);

/* audit_join - add what was counted elsewhere. */
void audit_join(struct audit *a, const struct audit *more);

#endif
