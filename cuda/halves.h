/*
 * halves.h - what goes into the library's products of 16-bit numbers and what
 * becomes of their sums.
 */
#ifndef CUDA_HALVES_H
#define CUDA_HALVES_H

#include "cuda/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * gpu_halve - a vector as the sum of two of half its precision, so that a
 * product of 16-bit numbers keeps 16 bits of it or more
 * y        (2 n, cols) of F16 or BF16: the upper halves, then the lower ones
 * unscale  (n): what a product has to be multiplied by
 */
void gpu_halve(cudaStream_t q, const float *x, uint32_t n, uint32_t cols,
    uint32_t x_step, enum dtype to, void *y, float *unscale);

/* y[i] = x[i] of I8 as F16 */
void gpu_widen_i8(cudaStream_t q, const void *x, void *y, size_t n);

/*
 * gpu_finish_rows - what gpu_rows does with its sums, of products
 * c        (halves * n, rows) for each part
 */
void gpu_finish_rows(cudaStream_t q, const struct gpu_rows *a,
    const float *const c[ROWS_PARTS], uint32_t halves, const float *unscale);

#ifdef __cplusplus
}
#endif

#endif
