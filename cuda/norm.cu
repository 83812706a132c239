/* Norms of whole vectors, a block for each. */
#include "cuda/normal.h"

/* add: y += scale * norm(x) instead of y = norm(x). */
static __global__ void norm_kernel(struct gpu_norm a)
{
    SHARED(float, room);
    const float *x = a.x + (size_t)blockIdx.x * a.cols;
    float *y = a.y + (size_t)blockIdx.x * a.cols;
    struct normal m = normal_of(
        a.kind, a.eps, a.cols, room, [=](uint32_t c) { return x[c]; });

    for (uint32_t c = threadIdx.x; c < a.cols; c += blockDim.x) {
        float v =
            normal_value(a.kind, m, x[c], a.w != nullptr ? a.w + c : nullptr,
                a.b != nullptr ? a.b + c : nullptr);

        watch_value(watch_of(a.watch), v);
        y[c] = a.add ? y[c] + a.scale * v : v;
        if (a.add && a.watch_sum)
            watch_value(watch_of(a.watch), y[c]);
    }
}

void gpu_norm(cudaStream_t q, const struct gpu_norm *a)
{
    LAUNCH(norm_kernel, a->n, TUNE_THREADS, REDUCE_ROOM * sizeof(float), q, *a);
}
