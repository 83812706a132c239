/*
 * CUDA's words for kernels, for the emulator: a block's threads are fibers of
 * one thread, which run in an order drawn by chance from one meeting point to
 * the next. Shared memory is new for every block, exactly as large as asked
 * for, and full of what is no number.
 */
#ifndef EMULATOR_CUDA_RUNTIME_H
#define EMULATOR_CUDA_RUNTIME_H

#include <cmath>
#include <cstring>
#include <functional>

#include "cuda_runtime_api.h"

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)

using std::isfinite;
using std::isnan;

struct uint4 {
    unsigned x, y, z, w;
};

struct float4 {
    float x, y, z, w;
};

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c)
    {
    }
};

struct emulated_thread {
    dim3 index;
    unsigned lane;
};

extern struct emulated_thread *emulated_self;
extern dim3 blockIdx, blockDim, gridDim;
#define threadIdx (emulated_self->index)

void emulated_launch(const char *name, dim3 grid, dim3 block, size_t shared,
    cudaStream_t q, std::function<void()> body, bool early = false);
/* A thread of a kernel that started early: what is in front of it is done. */
void emulated_others(const char *file, int line);
void emulated_fetch(const void *p, size_t n);
void *emulated_shared(void);
void emulated_meet_block(const char *file, int line);
void emulated_meet_warp(const char *file, int line);
/* What lane `from` of this warp brings; all of the warp call it. */
uint64_t emulated_exchange(uint64_t mine, unsigned from);

#define SHARED(type, name) type *name = (type *)emulated_shared()
#define LAUNCH(kernel, grid, block, shared, stream, ...)                       \
    emulated_start(                                                            \
        #kernel, false, grid, block, shared, stream, kernel, __VA_ARGS__)
#define LAUNCH_EARLY(early, kernel, grid, block, shared, stream, ...)          \
    emulated_start(                                                            \
        #kernel, early, grid, block, shared, stream, kernel, __VA_ARGS__)
#define HOLD_LOADS() ((void)0)
#define wait_for_others() emulated_others(__FILE__, __LINE__)
#define fetch_ahead(p, n) emulated_fetch(p, n)
static inline void others_may_start(void)
{
}

static inline bool knows_waiting(const void *)
{
    return true;
}

template <typename K, typename... A>
static inline void emulated_start(const char *name, bool early, dim3 grid,
    dim3 block, size_t shared, cudaStream_t q, K kernel, A... args)
{
    emulated_launch(
        name, grid, block, shared, q, [=] { kernel(args...); }, early);
}

#define __syncthreads() emulated_meet_block(__FILE__, __LINE__)
#define __syncwarp() emulated_meet_warp(__FILE__, __LINE__)
static inline void __threadfence(void)
{
}

template <typename T> static inline T __shfl_sync(unsigned, T v, unsigned from)
{
    uint64_t bits = 0;
    T out;

    memcpy(&bits, &v, sizeof(v));
    bits = emulated_exchange(bits, from);
    memcpy(&out, &bits, sizeof(out));
    return out;
}

template <typename T>
static inline T __shfl_xor_sync(unsigned mask, T v, unsigned step)
{
    return __shfl_sync(mask, v, emulated_self->lane ^ step);
}

template <typename T> static inline T __ldcs(const T *p)
{
    if ((uintptr_t)p % alignof(T) != 0 || (uintptr_t)p % sizeof(T) != 0)
        __builtin_trap(); /* a device would stop here, too */
    return *p;
}

/* Bytes of both, by the numbers in `how`: 4 to 7 are b's. */
static inline uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t how)
{
    uint64_t both = (uint64_t)b << 32 | a;
    uint32_t out = 0;

    for (int i = 0; i < 4; i++)
        out |= (uint32_t)(both >> (how >> 4 * i & 7) * 8 & 255) << 8 * i;
    return out;
}

template <typename T> static inline T atomicMax(T *p, T v)
{
    T old = *p;

    *p = v > old ? v : old;
    return old;
}

static inline uint32_t atomicAdd(uint32_t *p, uint32_t v)
{
    uint32_t old = *p;

    *p += v;
    return old;
}

static inline uint32_t __float_as_uint(float v)
{
    uint32_t out;

    memcpy(&out, &v, sizeof(out));
    return out;
}

static inline float __uint_as_float(uint32_t v)
{
    float out;

    memcpy(&out, &v, sizeof(out));
    return out;
}

#endif
