/*
 * normal.h - what a norm does to one value, once the vector's mean and
 * spread are known. For kernels only.
 */
#ifndef CUDA_NORMAL_H
#define CUDA_NORMAL_H

#include "cuda/kernels.h"
#include "cuda/reduce.h"

struct normal {
    float mean;  /* 0 unless it is a layer norm */
    float scale; /* 1 / root of the variance, or of the mean square */
};

__device__ static inline bool norm_is_rms(enum norm_kind kind)
{
    return kind == NORM_RMS || kind == NORM_RMS_PLUS_ONE;
}

/* One entry, of which w and b are the weight's and the bias's. */
__device__ static inline float normal_value(enum norm_kind kind,
    struct normal m, float x, const float *w, const float *b)
{
    float y = (x - m.mean) * m.scale;

    if (kind == NORM_RMS_PLUS_ONE)
        return y * (1.0f + *w);
    if (w != nullptr)
        y *= *w;
    return b != nullptr ? y + *b : y;
}

/*
 * normal_of - by a whole block; value(c) is entry c, asked for twice
 * room     (REDUCE_ROOM) shared
 */
template <typename F>
__device__ static inline struct normal normal_of(
    enum norm_kind kind, float eps, uint32_t cols, float *room, F value)
{
    struct normal m = { 0, 0 };
    float sum = 0;

    if (!norm_is_rms(kind)) {
        for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x)
            sum += value(c);
        m.mean = block_sum(sum, room) / (float)cols;
        sum = 0;
    }
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) {
        float d = value(c) - m.mean;

        sum += d * d;
    }
    m.scale = 1.0f / sqrtf(block_sum(sum, room) / (float)cols + eps);
    return m;
}

__device__ static inline struct watch watch_of(struct gpu_watch w)
{
    return { w.first, w.step };
}

#endif
