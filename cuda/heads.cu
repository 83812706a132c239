/*
 * Heads of queries, keys and values between the product that made them and
 * attention: a warp takes one head of one token. Nothing is changed in
 * place, since a norm over all heads reads what other warps work on.
 */
#include "cuda/normal.h"

enum { HEADS_WARPS = 4 /* of a block */ };

/* Over `cols` entries by one warp. */
__device__ static inline struct normal warp_normal(
    enum norm_kind kind, float eps, uint32_t cols, const float *x)
{
    struct normal m = { 0, 0 };
    float sum = 0;

    if (!norm_is_rms(kind)) {
        for (uint32_t c = threadIdx.x % WARP; c < cols; c += WARP)
            sum += x[c];
        m.mean = warp_sum(sum) / (float)cols;
        sum = 0;
    }
    for (uint32_t c = threadIdx.x % WARP; c < cols; c += WARP)
        sum += (x[c] - m.mean) * (x[c] - m.mean);
    m.scale = 1.0f / sqrtf(warp_sum(sum) / (float)cols + eps);
    return m;
}

/* One head of queries or keys. */
struct one_head {
    const float *x;    /* (head_dim) of it */
    const float *all;  /* of head 0: what a norm over all heads reads */
    uint32_t all_cols; /* entries of all heads */
    const float *w;    /* the norm's weights for this head, or NULL */
    float *y;
};

/* Entries 2i and 2i+1, or i and i+half, turn by the angle of pair i. */
__device__ static inline void put_pair(const struct gpu_heads &a, float *y,
    uint32_t i, float first, float second, float pos)
{
    float angle = pos * a.inv_freq[i];
    float c = cosf(angle) * a.factor;
    float s = sinf(angle) * a.factor;
    uint32_t at = a.adjacent ? 2 * i : i;
    uint32_t to = a.adjacent ? 2 * i + 1 : i + a.dims / 2;

    y[at] = first * c - second * s;
    y[to] = second * c + first * s;
}

__device__ static inline void turn_head(
    const struct gpu_heads &a, const struct one_head &h, float pos)
{
    bool normed = a.norm != QK_NORM_NONE;
    struct normal m = { 0, 1 };
    uint32_t lane = threadIdx.x % WARP;
    uint32_t turned = a.inv_freq != nullptr ? a.dims : 0;
    auto entry = [&](uint32_t i) {
        const float *w = h.w != nullptr ? h.w + i : nullptr;

        return normed ? normal_value(a.kind, m, h.x[i], w, nullptr) : h.x[i];
    };

    if (a.norm == QK_NORM_WHOLE)
        m = warp_normal(a.kind, a.eps, h.all_cols, h.all);
    else if (normed)
        m = warp_normal(a.kind, a.eps, a.head_dim, h.x);
    for (uint32_t i = lane; i < turned / 2; i += WARP)
        put_pair(a, h.y, i, entry(a.adjacent ? 2 * i : i),
            entry(a.adjacent ? 2 * i + 1 : i + turned / 2), pos);
    for (uint32_t i = turned + lane; i < a.head_dim; i += WARP)
        h.y[i] = entry(i);
}

__device__ static inline const float *norm_of_head(
    const struct gpu_heads &a, const float *w, uint32_t head)
{
    bool own = a.norm == QK_NORM_EACH || a.norm == QK_NORM_ROWS ||
               a.norm == QK_NORM_WHOLE;

    return w == nullptr || !own ? w : w + (size_t)head * a.head_dim;
}

__device__ static inline void do_query(
    const struct gpu_heads &a, const float *z, uint32_t t, uint32_t h)
{
    uint32_t sharing = a.heads / a.kv_heads;
    struct one_head one = { z + a.q_at + (size_t)(h / sharing) * a.q_group +
                                (size_t)(h % sharing) * a.head_dim,
        z + a.q_at, a.heads * a.head_dim, norm_of_head(a, a.q_norm, h),
        a.q + ((size_t)t * a.heads + h) * a.head_dim };

    turn_head(a, one, (float)(*a.pos + t));
}

__device__ static inline void do_key(
    const struct gpu_heads &a, const float *z, uint32_t t, uint32_t g)
{
    size_t at = ((size_t)g * a.capacity + *a.pos + t) * a.head_dim;
    const float *v = z + a.v_at + (size_t)g * a.kv_step;
    struct one_head one = { z + a.k_at + (size_t)g * a.kv_step, z + a.k_at,
        a.kv_heads * a.head_dim, norm_of_head(a, a.k_norm, g), a.keys + at };

    turn_head(a, one, (float)(*a.pos + t));
    for (uint32_t i = threadIdx.x % WARP; i < a.head_dim; i += WARP)
        a.values[at + i] = v[i];
}

static __global__ void heads_kernel(struct gpu_heads a)
{
    uint32_t h = blockIdx.x * HEADS_WARPS + threadIdx.x / WARP;
    uint32_t t = blockIdx.y;
    const float *z = a.qkv + (size_t)t * a.step;

    others_may_start();
    wait_for_others();
    if (h < a.heads)
        do_query(a, z, t, h);
    else if (h < a.heads + a.kv_heads)
        do_key(a, z, t, h - a.heads);
}

void gpu_heads(cudaStream_t q, const struct gpu_heads *a)
{
    uint32_t warps = a->heads + a->kv_heads;

    LAUNCH_EARLY(a->early, heads_kernel,
        dim3((warps + HEADS_WARPS - 1) / HEADS_WARPS, a->n), HEADS_WARPS * WARP,
        0, q, *a);
}
