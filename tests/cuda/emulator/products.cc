/* The products of cuBLAS as plain loops: the library of the emulator. */
#include <cstdlib>

#include "cublas_v2.h"
#include "cuda_bf16.h"
#include "cuda_fp16.h"

struct emulated_blas {
    cudaStream_t q;
};

static float entry(const void *p, cudaDataType t, size_t at)
{
    if (t == CUDA_R_16F)
        return __half2float(((const __half *)p)[at]);
    if (t == CUDA_R_16BF)
        return __bfloat162float(((const __nv_bfloat16 *)p)[at]);
    return ((const float *)p)[at];
}

extern "C" {
cublasStatus_t cublasCreate_v2(cublasHandle_t *out)
{
    *out = new emulated_blas();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t h)
{
    delete h;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t h, cudaStream_t q)
{
    h->q = q;
    return CUBLAS_STATUS_SUCCESS;
}

/* Only the one form that is used: c = a^T b, of one type, summed in float. */
cublasStatus_t cublasGemmEx(cublasHandle_t h, cublasOperation_t ta,
    cublasOperation_t tb, int m, int n, int k, const void *alpha, const void *a,
    cudaDataType a_type, int lda, const void *b, cudaDataType b_type, int ldb,
    const void *beta, void *c, cudaDataType c_type, int ldc,
    cublasComputeType_t, cublasGemmAlgo_t)
{
    if (ta != CUBLAS_OP_T || tb != CUBLAS_OP_N || *(const float *)alpha != 1 ||
        *(const float *)beta != 0 || c_type != CUDA_R_32F || a_type != b_type ||
        lda < k || ldb < k || ldc < m)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (getenv("EMULATE_OLD") != nullptr && a_type == CUDA_R_16BF)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    emulated_launch("gemm", 1, 1, 0, h->q, [=] {
        for (int j = 0; j < n; j++)
            for (int i = 0; i < m; i++) {
                float sum = 0;

                for (int l = 0; l < k; l++)
                    sum += entry(a, a_type, (size_t)i * lda + l) *
                           entry(b, b_type, (size_t)j * ldb + l);
                ((float *)c)[(size_t)j * ldc + i] = sum;
            }
    });
    return CUBLAS_STATUS_SUCCESS;
}
}
