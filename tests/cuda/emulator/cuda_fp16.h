/* CUDA's half for the emulator. */
#ifndef EMULATOR_CUDA_FP16_H
#define EMULATOR_CUDA_FP16_H

#include "cuda_runtime.h"

struct __half {
    uint16_t bits;
};

static inline float __half2float(__half h)
{
    uint32_t sign = (uint32_t)(h.bits >> 15) << 31;
    uint32_t exponent = h.bits >> 10 & 31;
    uint32_t fraction = h.bits & 1023;

    if (exponent == 31)
        return __uint_as_float(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0)
        return (sign != 0 ? -1.0f : 1.0f) * ldexpf((float)fraction, -24);
    return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
}

/* To the nearest, of two the even one. */
static inline __half __float2half_rn(float v)
{
    uint32_t bits = __float_as_uint(v);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    float size = fabsf(v);

    if (isnan(v))
        return { (uint16_t)(sign | 0x7fff) };
    if (size >= 65520.0f)
        return { (uint16_t)(sign | 0x7c00) };
    if (size < 6.103515625e-05f)
        return { (uint16_t)(sign | (uint16_t)nearbyintf(ldexpf(size, 24))) };
    bits = (bits & 0x7fffffff) - (112u << 23);
    bits += 0xfff + (bits >> 13 & 1);
    return { (uint16_t)(sign | (uint16_t)(bits >> 13)) };
}

#endif
