/* fixed_internal.h - what the twins of fixed.h share. Stays in this room. */
#ifndef VERIFY_RUN_FIXED_INTERNAL_H
#define VERIFY_RUN_FIXED_INTERNAL_H

#include "verify-run/fixed.h"

enum {
    /* A vector is as long as a multiple of this, by zeros. */
    FIXED_STEP = 64,
    /* Columns whose sums fit 32 bits, of any digit below 2^8 in size. */
    FIXED_SLICE = 1 << 16,
    /* From here on the twins that have panels use them. */
    FIXED_MANY = FIXED_PANEL
};

/* Only to be called where ops_x86_nth gives out who has them. */
extern const struct fixed_ops fixed_avx2; /* with AVX2 */
extern const struct fixed_ops fixed_vnni; /* AVX-512 with VNNI and DQ */
extern const struct fixed_ops fixed_amx;  /* the same and AMX, of int8 */

static inline size_t fixed_width(const struct fixed *f)
{
    return (f->cols + FIXED_STEP - 1) / FIXED_STEP * FIXED_STEP;
}

/* Of the four bytes of an integer that every digit takes. */
static inline uint8_t *fixed_at(const struct fixed *f, size_t vector)
{
    return (uint8_t *)f->digits + vector * fixed_width(f) * sizeof(int32_t);
}

/*
 * fixed_unit - choose by the largest of a vector's numbers
 * most     its bits without the sign; those of no number are larger
 * unit     out
 * Returns  s: a number becomes round(x * 2^s); 0 when some is not finite
 */
int fixed_unit(uint32_t most, double *unit);

static inline float fixed_value(int64_t sum, double unit, float scale)
{
    return (float)((double)sum * unit * (double)scale);
}

#endif
