/*
 * Attention: a block for one query of one head and a share of its keys, whose
 * warps take keys in turns. Each keeps a running maximum, a sum and a
 * weighed sum of values, which are put together at the end: first those of
 * the warps, then, when several blocks share a query, those of the blocks,
 * by the one that comes last.
 */
#include "cuda/kernels.h"
#include "cuda/reduce.h"

enum { KEYS = 4 /* that a warp works on at a time */ };

/*
 * A softmax under way, of which a warp's lanes have entries lane + 32 i of
 * the mixed values.
 */
template <int E> struct mixing {
    float top; /* largest score so far */
    float sum; /* of exp(score - top) */
    float v[E];
};

/* exp(a - top), and 0 for what has seen nothing. */
__device__ static inline float share(float a, float top)
{
    return a == -INFINITY ? 0.0f : expf(a - top);
}

/* A query and what it sees. */
struct query {
    uint32_t t, h, g;    /* token, head, key head */
    uint32_t seen;       /* keys up to its own */
    uint32_t first, end; /* this block's share */
};

__device__ static inline struct query query_of(const struct gpu_attention &a)
{
    struct query s = { blockIdx.y, blockIdx.x, 0, 0, 0, 0 };
    uint32_t from, each;

    s.g = s.h / (a.heads / a.kv_heads);
    s.seen = *a.pos + s.t + 1;
    from = a.window > 0 && s.seen > a.window ? s.seen - a.window : 0;
    each = (s.seen - from + a.splits - 1) / a.splits;
    s.first = from + blockIdx.z * each;
    s.end = s.first + each < s.seen ? s.first + each : s.seen;
    return s;
}

/* The score of a key whose product with the query is p. */
__device__ static inline float score_of(
    const struct gpu_attention &a, const struct query &s, uint32_t key, float p)
{
    p *= a.scale;
    if (a.cap > 0)
        p = a.cap * tanhf(p / a.cap);
    p -= a.slopes[s.h] * (float)(s.seen - 1 - key);
    if (a.bias != nullptr)
        p += a.bias[(size_t)s.h * a.capacity + key];
    return p;
}

/*
 * KEYS keys from `key` on, of which those from `end` on do not count. Their
 * values are loaded with them, before it is known what they weigh.
 */
template <int E>
__device__ static inline void take_keys(const struct gpu_attention &a,
    const struct query &s, uint32_t key, struct mixing<E> &m, const float q[E])
{
    const size_t head = ((size_t)s.g * a.capacity + key) * a.head_dim;
    float p[KEYS], v[KEYS][E];
    float top = m.top;
    float old;

#pragma unroll
    for (int k = 0; k < KEYS; k++) {
        p[k] = 0;
#pragma unroll
        for (int i = 0; i < E; i++) {
            uint32_t at = threadIdx.x % WARP + i * WARP;
            bool there = key + k < s.end && at < a.head_dim;
            size_t place = head + k * a.head_dim + at;

            p[k] += there ? q[i] * a.keys[place] : 0.0f;
            v[k][i] = there ? a.values[place] : 0.0f;
        }
    }
    HOLD_LOADS();
#pragma unroll
    for (int k = 0; k < KEYS; k++) {
        p[k] = warp_sum(p[k]);
        p[k] = key + k < s.end ? score_of(a, s, key + k, p[k]) : -INFINITY;
        top = fmaxf(top, p[k]);
    }
    old = share(m.top, top);
    m.sum *= old;
#pragma unroll
    for (int i = 0; i < E; i++)
        m.v[i] *= old;
#pragma unroll
    for (int k = 0; k < KEYS; k++) {
        float w = share(p[k], top);

        m.sum += w;
#pragma unroll
        for (int i = 0; i < E; i++)
            m.v[i] += w * v[k][i];
    }
    m.top = top;
}

template <int E> __device__ static inline struct mixing<E> nothing_yet(void) {
    struct mixing<E> m;

    m.top = -INFINITY;
    m.sum = 0;
    for (int i = 0; i < E; i++)
        m.v[i] = 0;
    return m;
}

/* What a warp or a block leaves for others: head_dim values, top, sum. */
template <int E>
__device__ static inline void leave_part(
    float *to, const struct mixing<E> &m, uint32_t head_dim)
{
    for (int i = 0; i < E; i++) {
        uint32_t at = threadIdx.x % WARP + i * WARP;

        if (at < head_dim)
            to[at] = m.v[i];
    }
    if (threadIdx.x % WARP == 0) {
        to[head_dim] = m.top;
        to[head_dim + 1] = m.sum;
    }
}

/* n parts that follow each other, by one warp. */
template <int E>
__device__ static inline struct mixing<E> join_parts(
    const float *parts, uint32_t n, uint32_t head_dim) {
    struct mixing<E> m = nothing_yet<E>();
    const uint32_t step = head_dim + 2;

    for (uint32_t i = threadIdx.x % WARP; i < n; i += WARP)
        m.top = fmaxf(m.top, parts[i * step + head_dim]);
    m.top = warp_max(m.top);
#pragma unroll 4
    for (uint32_t i = 0; i < n; i++, parts += step) {
        float w = share(parts[head_dim], m.top);

        m.sum += parts[head_dim + 1] * w;
#pragma unroll
        for (int k = 0; k < E; k++) {
            uint32_t at = threadIdx.x % WARP + k * WARP;

            m.v[k] += at < head_dim ? parts[at] * w : 0.0f;
        }
    }
    return m;
}

template <int E>
__device__ static inline void put_result(const struct gpu_attention &a,
    const struct query &s, const struct mixing<E> &m)
{
    float *out = a.out + ((size_t)s.t * a.heads + s.h) * a.head_dim;

    for (int i = 0; i < E; i++) {
        uint32_t at = threadIdx.x % WARP + i * WARP;

        if (at < a.head_dim)
            out[at] = m.v[i] / m.sum;
    }
}

/* Every block leaves its part; the one that finds all there joins them. */
template <int E>
__device__ static inline void join_blocks(
    const struct gpu_attention &a, const struct query &s, struct mixing<E> m)
{
    size_t at = (size_t)s.t * a.heads + s.h;
    float *parts = a.parts + at * a.splits * (a.head_dim + 2);
    uint32_t before = 0;

    leave_part(parts + blockIdx.z * (a.head_dim + 2), m, a.head_dim);
    __threadfence(); /* what was left is seen before it is counted */
    __syncwarp();
    if (threadIdx.x == 0)
        before = atomicAdd(&a.arrived[at], 1);
    before = __shfl_sync(0xffffffffu, before, 0);
    if (before + 1 < a.splits)
        return;
    __syncwarp(); /* a shuffle orders no memory, and lane 0 counted */
    __threadfence();
    put_result(a, s, join_parts<E>(parts, a.splits, a.head_dim));
    if (threadIdx.x == 0)
        a.arrived[at] = 0;
}

template <int E> static __global__ void attention_kernel(struct gpu_attention a)
{
    SHARED(float, parts); /* (TUNE_HEAD_WARPS, head_dim + 2) */

    others_may_start();
    wait_for_others();

    struct query s = query_of(a);
    struct mixing<E> m = nothing_yet<E>();
    const float *query = a.q + ((size_t)s.t * a.heads + s.h) * a.head_dim;
    float q[E];

    for (int i = 0; i < E; i++) {
        uint32_t at = threadIdx.x % WARP + i * WARP;

        q[i] = at < a.head_dim ? query[at] : 0.0f;
    }
    for (uint32_t key = s.first + threadIdx.x / WARP * KEYS; key < s.end;
         key += TUNE_HEAD_WARPS * KEYS)
        take_keys<E>(a, s, key, m, q);
    leave_part(parts + threadIdx.x / WARP * (a.head_dim + 2), m, a.head_dim);
    __syncthreads();
    if (threadIdx.x >= WARP)
        return;
    m = join_parts<E>(parts, TUNE_HEAD_WARPS, a.head_dim);
    if (a.splits > 1)
        join_blocks(a, s, m);
    else
        put_result(a, s, m);
}

template <int E>
static void launch(cudaStream_t q, const struct gpu_attention *a)
{
    LAUNCH_EARLY(a->early, attention_kernel<E>, dim3(a->heads, a->n, a->splits),
        TUNE_HEAD_WARPS * WARP,
        TUNE_HEAD_WARPS * (a->head_dim + 2) * sizeof(float), q, *a);
}

void gpu_attention(cudaStream_t q, const struct gpu_attention *a)
{
    if (a->head_dim <= 1 * WARP)
        launch<1>(q, a);
    else if (a->head_dim <= 2 * WARP)
        launch<2>(q, a);
    else if (a->head_dim <= 4 * WARP)
        launch<4>(q, a);
    else if (a->head_dim <= 8 * WARP)
        launch<8>(q, a);
    else
        launch<ATTENTION_HEAD_MAX / WARP>(q, a);
}
