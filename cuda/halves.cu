#include "cuda/halves.h"

#include "cuda/finish.h"
#include "cuda/widen.h"

__device__ static inline void put_as(__half *y, float v)
{
    *y = __float2half_rn(v);
}

__device__ static inline void put_as(__nv_bfloat16 *y, float v)
{
    *y = __float2bfloat16_rn(v);
}

/*
 * The power of two that brings a largest value into 2^13 .. 2^14: far from
 * the end of F16, and everything down to 2^-28 of it keeps its precision.
 * BF16 has room for any.
 */
__device__ static inline float scale_for(const __half *, float most)
{
    int exponent;

    if (!(most > 0) || !isfinite(most))
        return 1;
    frexpf(most, &exponent);
    exponent = 14 - exponent;
    return exponent > 120 ? ldexpf(1, 120) : ldexpf(1, exponent);
}

__device__ static inline float scale_for(const __nv_bfloat16 *, float)
{
    return 1;
}

template <typename H>
static __global__ void halve_kernel(const float *x, uint32_t n, uint32_t cols,
    uint32_t x_step, H *y, float *unscale)
{
    SHARED(float, room);
    const float *in = x + (size_t)blockIdx.x * x_step;
    H *upper = y + (size_t)blockIdx.x * cols;
    H *lower = upper + (size_t)n * cols;
    float most = 0;
    float scale;

    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x)
        most = fmaxf(most, fabsf(in[c]));
    scale = scale_for(upper, block_max(most, room));
    for (uint32_t c = threadIdx.x; c < cols; c += blockDim.x) {
        float v = in[c] * scale;

        put_as(&upper[c], v);
        put_as(&lower[c], v - widen(upper[c]));
    }
    if (threadIdx.x == 0)
        unscale[blockIdx.x] = 1 / scale;
}

void gpu_halve(cudaStream_t q, const float *x, uint32_t n, uint32_t cols,
    uint32_t x_step, enum dtype to, void *y, float *unscale)
{
    size_t room = REDUCE_ROOM * sizeof(float);

    if (to == DTYPE_BF16)
        LAUNCH(halve_kernel<__nv_bfloat16>, n, TUNE_THREADS, room, q, x, n,
            cols, x_step, (__nv_bfloat16 *)y, unscale);
    else
        LAUNCH(halve_kernel<__half>, n, TUNE_THREADS, room, q, x, n, cols,
            x_step, (__half *)y, unscale);
}

static __global__ void widen_kernel(const int8_t *x, __half *y, size_t n)
{
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += (size_t)gridDim.x * blockDim.x)
        y[i] = __float2half_rn((float)x[i]);
}

void gpu_widen_i8(cudaStream_t q, const void *x, void *y, size_t n)
{
    const size_t most = 4096;
    size_t blocks = (n + TUNE_THREADS - 1) / TUNE_THREADS;

    LAUNCH(widen_kernel, (uint32_t)(blocks < most ? blocks : most),
        TUNE_THREADS, 0, q, (const int8_t *)x, (__half *)y, n);
}

/* Products of up to three parts. */
struct products {
    const float *c[ROWS_PARTS];
    const float *unscale; /* (n), or NULL */
    uint32_t halves;
};

__device__ static inline float product_sum(const struct gpu_rows &a,
    const struct products &p, struct row_at at, uint32_t t)
{
    uint32_t rows = a.part[at.part].rows;
    const float *c = p.c[at.part] + at.row;
    float sum = c[(size_t)t * rows];

    if (p.halves == 2)
        sum += c[((size_t)a.n + t) * rows];
    if (p.unscale != nullptr)
        sum *= p.unscale[t];
    return row_value(a.part[at.part], at.row, sum);
}

static __global__ void finish_kernel(
    struct gpu_rows a, struct products p, uint32_t rows)
{
    uint32_t t = blockIdx.y;

    for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < rows;
         i += gridDim.x * blockDim.x) {
        struct row_at at = row_find(a, i);

        if (a.finish == FINISH_GATE)
            row_gate(a, i, t, product_sum(a, p, { 0, i }, t),
                product_sum(a, p, { 1, i }, t));
        else
            row_finish(a, at, t, product_sum(a, p, at, t));
    }
}

void gpu_finish_rows(cudaStream_t q, const struct gpu_rows *a,
    const float *const c[ROWS_PARTS], uint32_t halves, const float *unscale)
{
    struct products p = { { c[0], c[1], c[2] }, unscale, halves };
    uint32_t rows = 0;

    for (uint32_t i = 0; i < a->parts; i++)
        rows += a->part[i].rows;
    if (a->finish == FINISH_GATE)
        rows = a->part[0].rows;
    LAUNCH(finish_kernel, dim3((rows + TUNE_THREADS - 1) / TUNE_THREADS, a->n),
        TUNE_THREADS, 0, q, *a, p, rows);
}
