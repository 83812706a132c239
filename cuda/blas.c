#include "cuda/blas.h"

#include <cublas_v2.h>
#include <dlfcn.h>
#include <stdlib.h>

#include "cuda/symbol.h"

#define TEXT_OF(n) #n
#define NAME_OF(major) "libcublas.so." TEXT_OF(major)
#define LIBRARY NAME_OF(CUBLAS_VER_MAJOR)

struct blas {
    cublasHandle_t handle;
    cublasStatus_t (*create)(cublasHandle_t *);
    cublasStatus_t (*destroy)(cublasHandle_t);
    cublasStatus_t (*set_stream)(cublasHandle_t, cudaStream_t);
    cublasStatus_t (*gemm)(cublasHandle_t, cublasOperation_t, cublasOperation_t,
        int, int, int, const void *, const void *, cudaDataType, int,
        const void *, cudaDataType, int, const void *, void *, cudaDataType,
        int, cublasComputeType_t, cublasGemmAlgo_t);
};

static bool load(struct blas *b)
{
    void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    return lib != NULL &&
           symbol_find(lib, "cublasCreate_v2", &b->create, sizeof(b->create)) &&
           symbol_find(
               lib, "cublasDestroy_v2", &b->destroy, sizeof(b->destroy)) &&
           symbol_find(lib, "cublasSetStream_v2", &b->set_stream,
               sizeof(b->set_stream)) &&
           symbol_find(lib, "cublasGemmEx", &b->gemm, sizeof(b->gemm));
}

struct blas *blas_open(cudaStream_t q, struct err *e)
{
    struct blas *b = calloc(1, sizeof(*b));

    if (b == NULL) {
        err_set(e, ERR_NOMEM, "out of memory for cuBLAS");
        return NULL;
    }
    if (!load(b)) {
        err_set(e, ERR_MISSING, "there is no " LIBRARY);
    } else if (b->create(&b->handle) != CUBLAS_STATUS_SUCCESS) {
        b->handle = NULL;
        err_set(e, ERR_IO, "cuBLAS does not start on this device");
    } else if (b->set_stream(b->handle, q) == CUBLAS_STATUS_SUCCESS) {
        return b;
    } else {
        err_set(e, ERR_IO, "cuBLAS does not take a stream");
    }
    blas_close(b);
    return NULL;
}

void blas_close(struct blas *b)
{
    if (b == NULL)
        return;
    if (b->handle != NULL)
        b->destroy(b->handle);
    free(b);
}

static cudaDataType type_of(enum dtype t)
{
    if (t == DTYPE_F16)
        return CUDA_R_16F;
    return t == DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* In the library's order of columns first, w is turned and c is. */
int blas_products(struct blas *b, enum dtype t, const void *w, uint32_t rows,
    uint32_t cols, const void *x, uint32_t n, float *c, uint32_t c_step,
    struct err *e)
{
    const float one = 1;
    const float zero = 0;
    cublasComputeType_t how =
        t == DTYPE_F32 ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F;
    cublasStatus_t rc = b->gemm(b->handle, CUBLAS_OP_T, CUBLAS_OP_N, (int)rows,
        (int)n, (int)cols, &one, w, type_of(t), (int)cols, x, type_of(t),
        (int)cols, &zero, c, CUDA_R_32F, (int)c_step, how, CUBLAS_GEMM_DEFAULT);

    if (rc == CUBLAS_STATUS_SUCCESS)
        return 0;
    return err_set(e,
        rc == CUBLAS_STATUS_NOT_SUPPORTED || rc == CUBLAS_STATUS_ARCH_MISMATCH
            ? ERR_UNSUPPORTED
            : ERR_IO,
        "cuBLAS: product of %u x %u and %u: status %d", rows, cols, n, (int)rc);
}
