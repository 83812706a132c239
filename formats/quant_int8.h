/*
 * quant_int8.h - weight-only int8 as gpt-fast has it: every row of a matrix,
 * one output channel, becomes signed bytes and one scale; symmetric, without
 * a zero point. Plain and exact.
 *
 *   most  = the largest finite |w| of the row, in float32
 *   scale = max(most / 127.5, 2^-23)
 *   q     = w / scale rounded to nearest even, within -128 .. 127; within
 *           -127 .. 127 where -128 would read back infinite
 *   w     ~ q * scale, the scale as it is kept: in BF16
 *
 * Source: architectures, section 14.1; ml-safetensors(5), INT8.
 */
#ifndef FORMATS_QUANT_INT8_H
#define FORMATS_QUANT_INT8_H

#include "formats/checkpoint.h"

/* What stands in a scale's name where a matrix has ".weight". */
#define INT8_SCALES ".scales"

/* Bits of 2^-23 in BF16, the smallest scale; of the largest finite one. */
enum { INT8_SCALE_LEAST = 0x3400, INT8_SCALE_MOST = 0x7F7F };

/*
 * int8_is_linear - called like the matrix of a linear layer: it ends in
 * ".weight", and the part in front of that is not an embedding's
 */
bool int8_is_linear(struct str name);

/* int8_takes - a matrix of real numbers that becomes int8. */
bool int8_takes(const struct tensor *t);

/* int8_is_made - a matrix that is int8, and must have scales. */
bool int8_is_made(const struct tensor *t);

/*
 * int8_partner - "x.weight" becomes "x.scales", and the other way around
 * Returns  the terminated name in out; .p is NULL when name ends in neither,
 *          or is longer than any
 */
struct str int8_partner(char out[TENSOR_NAME_MAX + 1], struct str name);

/* int8_scales_of - the scales of I8 matrix t in its checkpoint, or NULL. */
const struct tensor *int8_scales_of(
    const struct checkpoint *c, const struct tensor *t);

/* int8_most - the larger of most and every finite magnitude of in[n]. */
float int8_most(float most, const float *in, uint64_t n);

/* int8_scale - of a row whose largest magnitude is most. */
float int8_scale(float most);

/* int8_kept - a scale as a reader finds it: through BF16. */
float int8_kept(float scale);

/* int8_encode - by the exact scale; infinities saturate, NaN is the least. */
void int8_encode(int8_t *out, const float *in, uint64_t n, float scale);

/* int8_decode - by the scale as it is kept. */
void int8_decode(float *out, const int8_t *in, uint64_t n, float kept);

/*
 * int8_read - elements first .. first+n-1 of an I8 matrix as numbers
 * scales   of t, as int8_scales_of() finds them
 * Returns  0, or -1 with *e: as checkpoint_read()
 * Threads  any number at once
 */
int int8_read(const struct checkpoint *c, const struct tensor *t,
    const struct tensor *scales, uint64_t first, uint64_t n, float *out,
    struct err *e);

#endif
