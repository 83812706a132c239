/*
 * quant_q8.h - Q8_0, the 8-bit block type of GGUF: 32 numbers become a
 * float16 step and 32 signed bytes. Plain and bit-exact, the reference for
 * anything faster.
 * Source: checkpoint formats, section 11.2, with a golden vector.
 */
#ifndef FORMATS_QUANT_Q8_H
#define FORMATS_QUANT_Q8_H

#include "base/sys.h"

enum { Q8_COUNT = 32, Q8_BYTES = 34 }; /* of one block */

/* Largest magnitude whose step is still a finite float16 when rounded. */
#define Q8_LARGEST (65504.0F * 127.0F)

/*
 * q8_encode - n finite numbers, n a multiple of Q8_COUNT, no magnitude over
 * Q8_LARGEST, into n / Q8_COUNT blocks
 */
void q8_encode(uint8_t *out, const float *in, uint64_t n);

/* q8_decode - the same n numbers again, each within half a step. */
void q8_decode(float *out, const uint8_t *in, uint64_t n);

#endif
