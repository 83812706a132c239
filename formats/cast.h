/*
 * cast.h - numbers from one floating type to another, exactly as the
 * reference does: round to nearest, ties to even, gradual underflow, NaN
 * and infinity kept (a NaN stays a NaN, its sign too).
 *
 * F64 to F16 or BF16 goes through F32, as torch does it.
 * Source: checkpoint formats, section 4.3, with golden values.
 */
#ifndef FORMATS_CAST_H
#define FORMATS_CAST_H

#include "formats/dtype.h"

uint16_t cast_f32_to_f16(float v);
uint16_t cast_f32_to_bf16(float v);
float cast_f16_to_f32(uint16_t v);
float cast_bf16_to_f32(uint16_t v);

/*
 * cast_array - n elements of type from at in become type to at out
 * from, to   each one of F64 F32 F16 BF16 (dtype_is_float)
 * in, out    need no alignment and must not overlap, unless from == to
 */
void cast_array(
    void *out, enum dtype to, const void *in, enum dtype from, uint64_t n);

/*
 * cast_overflows - how many of n finite elements become infinite in type to
 * first      when not NULL and the count is not 0: the index of the first
 */
uint64_t cast_overflows(enum dtype to, const void *in, enum dtype from,
    uint64_t n, uint64_t *first);

#endif
