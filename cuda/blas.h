/*
 * blas.h - cuBLAS, opened when the first long prompt comes: it takes a while
 * to start, and a machine without it can do without.
 */
#ifndef CUDA_BLAS_H
#define CUDA_BLAS_H

#include <cuda_runtime_api.h>

#include "base/err.h"
#include "formats/dtype.h"

struct blas;

/*
 * blas_open - for products in this stream
 * Returns  NULL with *e: MISSING (it is not installed), IO
 */
struct blas *blas_open(cudaStream_t q, struct err *e);

/* blas_close - for NULL, too. */
void blas_close(struct blas *b);

/*
 * blas_products - c[t][row] = w[row] x[t], summed in float32
 * w        (rows, cols) of F32, F16 or BF16
 * x        (n, cols) of the same type
 * c        (n, c_step) of F32, of which the first rows of each are written
 * Returns  0, or -1 with *e: UNSUPPORTED (not on this device), IO
 */
int blas_products(struct blas *b, enum dtype t, const void *w, uint32_t rows,
    uint32_t cols, const void *x, uint32_t n, float *c, uint32_t c_step,
    struct err *e);

#endif
