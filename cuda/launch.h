/*
 * launch.h - how a kernel is started and gets its shared memory, and how it
 * starts before the one in front of it is done. These are the places where
 * CUDA's words are no C++; the emulator of tests/cuda brings its own before
 * this header is read.
 *
 * A kernel of LAUNCH_EARLY may start (where `early` is set, which wants a
 * device of generation 9 or later and code that was compiled for one:
 * knows_waiting) as soon as all blocks of the kernel in front of it have called
 * others_may_start. So before it reads what another kernel wrote, or writes
 * anything, all its threads call wait_for_others: then all kernels in front of
 * it are done. Weights it may fetch before that.
 */
#ifndef CUDA_LAUNCH_H
#define CUDA_LAUNCH_H

#include <cuda_runtime.h>

#include <cstdint>

#ifndef LAUNCH
#define LAUNCH(kernel, grid, block, shared, stream, ...)                       \
    (kernel)<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__)
/* name: the block's shared memory, of the size given at the launch. */
#define SHARED(type, name)                                                     \
    extern __shared__ uint4 shared_room[];                                     \
    type *name = reinterpret_cast<type *>(shared_room)
/* By all of a warp: what was loaded before is not put off until it is used,
   as the compiler would have it. */
#define HOLD_LOADS() __syncwarp()

#define LAUNCH_EARLY(early, kernel, grid, block, shared, stream, ...)          \
    launch_early(early, kernel, grid, block, shared, stream, __VA_ARGS__)

/* Code of an older generation has no word to wait, whatever runs it. */
static inline bool knows_waiting(const void *kernel)
{
    cudaFuncAttributes a = {};

    return cudaFuncGetAttributes(&a, kernel) == cudaSuccess &&
           a.ptxVersion >= 90;
}

/* A failure stays with the runtime, as with LAUNCH. */
template <typename... P, typename... A>
static inline void launch_early(bool early, void (*kernel)(P...), dim3 grid,
    dim3 block, size_t shared, cudaStream_t q, A... args)
{
    cudaLaunchAttribute how = {};
    cudaLaunchConfig_t c = {};

    how.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    how.val.programmaticStreamSerializationAllowed = 1;
    c.gridDim = grid;
    c.blockDim = block;
    c.dynamicSmemBytes = shared;
    c.stream = q;
    c.attrs = &how;
    c.numAttrs = early ? 1 : 0;
    if (early) /* one cut of the memory for all, or they would not overlap */
        cudaFuncSetAttribute((const void *)kernel,
            cudaFuncAttributePreferredSharedMemoryCarveout,
            cudaSharedmemCarveoutMaxShared);
    cudaLaunchKernelEx(&c, kernel, args...);
}

__device__ static inline void others_may_start(void)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

__device__ static inline void wait_for_others(void)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/* By one thread: n bytes, both multiples of 16, come into the device's cache.
 */
__device__ static inline void fetch_ahead(const void *p, uint32_t n)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(
                     __cvta_generic_to_global(p)),
                 "r"(n)
                 : "memory");
#else
    (void)p;
    (void)n;
#endif
}
#endif

#endif
