/* CUDA's bfloat16 for the emulator. */
#ifndef EMULATOR_CUDA_BF16_H
#define EMULATOR_CUDA_BF16_H

#include "cuda_runtime.h"

struct __nv_bfloat16 {
    uint16_t bits;
};

static inline float __bfloat162float(__nv_bfloat16 v)
{
    return __uint_as_float((uint32_t)v.bits << 16);
}

/* To the nearest, of two the even one. */
static inline __nv_bfloat16 __float2bfloat16_rn(float v)
{
    uint32_t bits = __float_as_uint(v);

    if (isnan(v))
        return { 0x7fff };
    bits += 0x7fff + (bits >> 16 & 1);
    return { (uint16_t)(bits >> 16) };
}

#endif
