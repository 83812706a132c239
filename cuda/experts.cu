/* Which experts a token goes to, and the way of tokens to them and back. */
#include "cuda/kernels.h"
#include "cuda/reduce.h"

/* What a route is worth; in an order that all lanes agree on, a NaN least. */
__device__ static inline float worth(float route)
{
    return isnan(route) ? -INFINITY : route;
}

/* Is (a, i) better than (b, k)? The first of equals is. */
__device__ static inline bool better(float a, uint32_t i, float b, uint32_t k)
{
    return k == UINT32_MAX || a > b || (a == b && i < k);
}

/* The best of those that are not taken; every lane gets it. */
__device__ static inline uint32_t best_left(
    const float *routes, uint32_t n, const unsigned char *taken)
{
    uint32_t at = UINT32_MAX;
    float best = -INFINITY;

    for (uint32_t i = threadIdx.x; i < n; i += WARP)
        if (!taken[i] && better(worth(routes[i]), i, best, at)) {
            best = worth(routes[i]);
            at = i;
        }
    for (int step = WARP / 2; step > 0; step /= 2) {
        float v = __shfl_xor_sync(0xffffffffu, best, step);
        uint32_t i = __shfl_xor_sync(0xffffffffu, at, step);

        if (i != UINT32_MAX && better(v, i, best, at)) {
            best = v;
            at = i;
        }
    }
    return at;
}

/* Softmax over the chosen, best first; then by number, as they are summed. */
__device__ static inline void put_choices(struct gpu_choice *out, uint32_t used)
{
    float top = out[0].weight;
    float sum = 0;

    for (uint32_t i = 0; i < used; i++) {
        out[i].weight = expf(out[i].weight - top);
        sum += out[i].weight;
    }
    for (uint32_t i = 0; i < used; i++)
        out[i].weight /= sum;
    for (uint32_t i = 1; i < used; i++) {
        struct gpu_choice c = out[i];
        uint32_t at = i;

        for (; at > 0 && out[at - 1].expert > c.expert; at--)
            out[at] = out[at - 1];
        out[at] = c;
    }
}

static __global__ void choose_kernel(
    const float *all, uint32_t n, uint32_t used, struct gpu_choice *to)
{
    SHARED(unsigned char, taken); /* (n) */
    const float *routes = all + (size_t)blockIdx.x * n;
    struct gpu_choice *out = to + (size_t)blockIdx.x * used;

    for (uint32_t i = threadIdx.x; i < n; i += WARP)
        taken[i] = 0;
    for (uint32_t k = 0; k < used; k++) {
        uint32_t best = best_left(routes, n, taken);

        if (threadIdx.x == best % WARP)
            taken[best] = 1; /* a lane reads its own alone */
        if (threadIdx.x == 0)
            out[k] = { best, routes[best] };
    }
    if (threadIdx.x == 0)
        put_choices(out, used);
}

void gpu_choose(cudaStream_t q, const float *routes, uint32_t n,
    uint32_t experts, uint32_t used, struct gpu_choice *out)
{
    LAUNCH(choose_kernel, n, WARP, experts, q, routes, experts, used, out);
}

static __global__ void gather_kernel(
    float *y, const float *x, const uint32_t *rows, uint32_t dim)
{
    size_t from = (size_t)rows[blockIdx.x] * dim;
    size_t to = (size_t)blockIdx.x * dim;

    for (uint32_t c = threadIdx.x; c < dim; c += blockDim.x)
        y[to + c] = x[from + c];
}

void gpu_gather(cudaStream_t q, float *y, const float *x, const uint32_t *rows,
    uint32_t n, uint32_t dim)
{
    LAUNCH(gather_kernel, n, TUNE_THREADS, 0, q, y, x, rows, dim);
}

static __global__ void scatter_kernel(float *y, const float *x,
    const uint32_t *rows, const float *weight, uint32_t dim)
{
    size_t to = (size_t)rows[blockIdx.x] * dim;
    size_t from = (size_t)blockIdx.x * dim;

    for (uint32_t c = threadIdx.x; c < dim; c += blockDim.x)
        y[to + c] += weight[blockIdx.x] * x[from + c];
}

/* Of one expert: no token is among the rows twice. */
void gpu_scatter(cudaStream_t q, float *y, const float *x, const uint32_t *rows,
    const float *weight, uint32_t n, uint32_t dim)
{
    LAUNCH(scatter_kernel, n, TUNE_THREADS, 0, q, y, x, rows, weight, dim);
}
