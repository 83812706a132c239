/*
 * activate.h - the activations of kinds.h, as ops_activate has them. Every
 * one keeps a NaN. For kernels only.
 */
#ifndef CUDA_ACTIVATE_H
#define CUDA_ACTIVATE_H

#include "cuda/launch.h"
#include "verify-run/kinds.h"

__device__ static inline float gelu_erf(float x)
{
    return 0.5f * x * (1.0f + erff(x * 0.7071067811865476f));
}

__device__ static inline float gelu_tanh(float x)
{
    const float root = 0.7978845608028654f; /* sqrt(2 / pi) */

    return 0.5f * x * (1.0f + tanhf(root * (x + 0.044715f * x * x * x)));
}

__device__ static inline float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

__device__ static inline float clip(float x, float low, float high)
{
    if (x < low)
        return low;
    return x > high ? high : x;
}

__device__ static inline float relu(float x)
{
    return x < 0.0f ? 0.0f : x;
}

/* log(1 + e^x), which is x where e^x would be too large. */
__device__ static inline float softplus(float x)
{
    return x > 20.0f ? x : log1pf(expf(x));
}

__device__ static inline float activate(float x, enum activation act)
{
    switch (act) {
    case ACT_GELU:
        return gelu_erf(x);
    case ACT_GELU_TANH:
        return gelu_tanh(x);
    case ACT_GELU_QUICK:
        return x * sigmoid(1.702f * x);
    case ACT_GELU_CLIP10:
        return clip(gelu_erf(x), -10.0f, 10.0f);
    case ACT_SILU:
        return x / (1.0f + expf(-x));
    case ACT_RELU:
        return relu(x);
    case ACT_RELU2:
        return relu(x) * relu(x);
    case ACT_RELU6:
        return clip(x, 0.0f, 6.0f);
    case ACT_TANH:
        return tanhf(x);
    case ACT_SIGMOID:
        return sigmoid(x);
    case ACT_LINEAR:
        return x;
    case ACT_LEAKY_RELU:
        return x < 0.0f ? 0.01f * x : x;
    case ACT_MISH:
        return x * tanhf(softplus(x));
    }
    return x;
}

#endif
