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

/* What one load brings: 16 bytes, or one weight where they are not aligned. */
template <typename W, bool WIDE> struct pack {
    static constexpr uint32_t n = WIDE ? 16 / sizeof(W) : 1;
    W v[n];
};

/* Of weights, which are read once: they need not stay in the caches. */
template <typename W, bool WIDE>
__device__ static inline pack<W, WIDE> load_pack(const W *p)
{
    pack<W, WIDE> out;

    if constexpr (WIDE) {
        uint4 bits = __ldcs(reinterpret_cast<const uint4 *>(p));

        memcpy(out.v, &bits, sizeof(bits));
    } else {
        out.v[0] = *p;
    }
    return out;
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
