/*
 * reduce.h - sums and maxima over a warp and over a block, and the mark left
 * by a value that is no number. For kernels only.
 */
#ifndef CUDA_REDUCE_H
#define CUDA_REDUCE_H

#include "cuda/launch.h"

enum { WARP = 32, REDUCE_ROOM = 33 /* floats of shared memory */ };

__device__ static inline float warp_sum(float v)
{
    for (int step = WARP / 2; step > 0; step /= 2)
        v += __shfl_xor_sync(0xffffffffu, v, step);
    return v;
}

__device__ static inline float warp_max(float v)
{
    for (int step = WARP / 2; step > 0; step /= 2)
        v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, step));
    return v;
}

/*
 * block_sum - over all threads of the block; every thread gets it
 * room     (REDUCE_ROOM) shared
 * The first barrier lets whoever still reads the room of an earlier call
 * finish, the second shows the sums of all warps.
 */
__device__ static inline float block_sum(float v, float *room)
{
    float sum = 0;

    v = warp_sum(v);
    __syncthreads();
    if (threadIdx.x % WARP == 0)
        room[threadIdx.x / WARP] = v;
    __syncthreads();
    for (unsigned i = 0; i < blockDim.x / WARP; i++)
        sum += room[i];
    return sum;
}

__device__ static inline float block_max(float v, float *room)
{
    v = warp_max(v);
    __syncthreads();
    if (threadIdx.x % WARP == 0)
        room[threadIdx.x / WARP] = v;
    __syncthreads();
    v = room[0];
    for (unsigned i = 1; i < blockDim.x / WARP; i++)
        v = fmaxf(v, room[i]);
    return v;
}

/* Where in a pass a value that is no number came first. */
struct watch {
    uint32_t *first; /* ~ of the smallest step so far; 0: none */
    uint32_t step;   /* of this kernel */
};

__device__ static inline void watch_value(struct watch w, float v)
{
    if (!isfinite(v))
        atomicMax(w.first, ~w.step);
}

#endif
