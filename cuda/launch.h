/*
 * launch.h - how a kernel is started and gets its shared memory. These are
 * the two places where CUDA's words are no C++; the emulator of tests/cuda
 * brings its own before this header is read.
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
#endif

#endif
