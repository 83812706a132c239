/*
 * occupancy.h - how many blocks of a kernel a device runs at a time, with
 * leave for more shared memory than a kernel has by default. Host code.
 */
#ifndef CUDA_OCCUPANCY_H
#define CUDA_OCCUPANCY_H

#include "cuda/kernels.h"

/*
 * gpu_blocks - at least 1
 * A failure stays with the runtime, which tells it after the launch.
 */
static inline uint32_t gpu_blocks(
    const void *kernel, int threads, size_t shared, const struct gpu_device *d)
{
    int each = 0;

    if (shared > 48 << 10)
        cudaFuncSetAttribute(
            kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
    if (cudaOccupancyMaxActiveBlocksPerMultiprocessor(
            &each, kernel, threads, shared) != cudaSuccess ||
        each < 1)
        each = 1;
    return (uint32_t)each * d->processors;
}

#endif
