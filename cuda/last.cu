/* The small steps around the layers: sums, the choice, ranges of values. */
#include "cuda/kernels.h"
#include "cuda/normal.h"

static const size_t most_blocks = 1024;

static uint32_t blocks_for(size_t n)
{
    size_t blocks = (n + TUNE_THREADS - 1) / TUNE_THREADS;

    return (uint32_t)(blocks < most_blocks ? blocks : most_blocks);
}

static __global__ void add_kernel(
    float *y, const float *x, float scale, size_t n, struct gpu_watch w)
{
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += (size_t)gridDim.x * blockDim.x) {
        y[i] += scale * x[i];
        watch_value(watch_of(w), y[i]);
    }
}

void gpu_add(cudaStream_t q, float *y, const float *x, float scale, size_t n,
    struct gpu_watch watch)
{
    LAUNCH(
        add_kernel, blocks_for(n), TUNE_THREADS, 0, q, y, x, scale, n, watch);
}

/*
 * A number whose order is that of (value, then the smaller index first):
 * 0 is less than every one. Both zeros are one value; a NaN is the least.
 */
__device__ static inline unsigned long long rank_of(float v, uint32_t i)
{
    uint32_t bits = __float_as_uint(v + 0.0f);

    if (isnan(v))
        bits = 0;
    else
        bits = bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
    return (unsigned long long)bits << 32 | (uint32_t)~i;
}

static __global__ void argmax_kernel(
    const float *x, uint32_t n, unsigned long long *out)
{
    unsigned long long best = 0;

    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += gridDim.x * blockDim.x) {
        unsigned long long r = rank_of(x[i], i);

        best = r > best ? r : best;
    }
    for (int step = WARP / 2; step > 0; step /= 2) {
        unsigned long long r = __shfl_xor_sync(0xffffffffu, best, step);

        best = r > best ? r : best;
    }
    if (threadIdx.x % WARP == 0)
        atomicMax(out, best);
}

void gpu_argmax(
    cudaStream_t q, const float *x, uint32_t n, unsigned long long *out)
{
    LAUNCH(argmax_kernel, blocks_for(n), TUNE_THREADS, 0, q, x, n, out);
}

static __global__ void ranges_kernel(
    const float *x, size_t n, struct gpu_range *out)
{
    SHARED(float, room);
    float low = INFINITY;
    float high = -INFINITY;
    float squares = 0;

    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += (size_t)gridDim.x * blockDim.x) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
        squares += x[i] * x[i];
    }
    low = -block_max(-low, room);
    high = block_max(high, room);
    squares = block_sum(squares, room);
    if (threadIdx.x == 0)
        out[blockIdx.x] = { low, high, squares };
}

void gpu_ranges(cudaStream_t q, const float *x, size_t n,
    struct gpu_range out[TUNE_RANGE_BLOCKS])
{
    LAUNCH(ranges_kernel, TUNE_RANGE_BLOCKS, TUNE_THREADS,
        REDUCE_ROOM * sizeof(float), q, x, n, out);
}
