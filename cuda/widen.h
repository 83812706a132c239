/*
 * widen.h - weights as they are stored, 16 bytes at a time, and as float32.
 * For kernels only.
 */
#ifndef CUDA_WIDEN_H
#define CUDA_WIDEN_H

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstring>
#include <type_traits>

#include "cuda/launch.h"
#include "formats/dtype.h"

__device__ static inline float widen(float v)
{
    return v;
}

__device__ static inline float widen(__half v)
{
    return __half2float(v);
}

__device__ static inline float widen(__nv_bfloat16 v)
{
    return __bfloat162float(v);
}

__device__ static inline float widen(int8_t v)
{
    return (float)v;
}

/*
 * What one load brings: 16 bytes, or one weight where they are not aligned.
 * The 16 bytes stay in four registers until they are used.
 */
template <typename W, bool WIDE> struct pack {
    static constexpr uint32_t n = WIDE ? 16 / sizeof(W) : 1;
    std::conditional_t<WIDE, uint4, W> v;
};

/* Of weights, which are read once: they need not stay in the caches. */
template <typename W, bool WIDE>
__device__ static inline pack<W, WIDE> load_pack(const W *p)
{
    if constexpr (WIDE)
        return { __ldcs(reinterpret_cast<const uint4 *>(p)) };
    else
        return { *p };
}

__device__ static inline uint32_t word_of(const uint4 &v, uint32_t i)
{
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

/*
 * Four bytes as numbers: each becomes the lowest bits of a float32 of 2^23,
 * which costs a quarter of what a conversion does.
 */
__device__ static inline void widen_bytes(uint32_t word, float out[4])
{
    const float zero = 8388608.0f + 128.0f;

    word ^= 0x80808080u;
    for (uint32_t i = 0; i < 4; i++)
        out[i] =
            __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7540u + i)) - zero;
}

/* Weights 4 i .. 4 i + 3 of a pack. */
template <typename W>
__device__ static inline void widen_four(
    const uint4 &v, uint32_t i, float out[4])
{
    constexpr uint32_t words = sizeof(W);

    if constexpr (words == 1) {
        widen_bytes(word_of(v, i), out);
    } else {
        uint32_t bits[words];
        W w[4];

        for (uint32_t k = 0; k < words; k++)
            bits[k] = word_of(v, words * i + k);
        memcpy(w, bits, sizeof(bits));
        for (uint32_t k = 0; k < 4; k++)
            out[k] = widen(w[k]);
    }
}

template <typename W> struct type_tag {
    using type = W;
};

/*
 * with_type - call f with the tag of the type that a tensor has
 * The one place where a dtype becomes a type.
 */
template <typename F> static inline void with_type(enum dtype t, F f)
{
    switch (t) {
    case DTYPE_F16:
        f(type_tag<__half>());
        return;
    case DTYPE_BF16:
        f(type_tag<__nv_bfloat16>());
        return;
    case DTYPE_I8:
        f(type_tag<int8_t>());
        return;
    default:
        f(type_tag<float>());
        return;
    }
}

#endif
