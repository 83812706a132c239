/*
 * What a pass works in, on the device and pinned on the host: one list, so
 * that what will be needed is known before anything is taken.
 */
#include <stdlib.h>

#include "cuda/gpu_internal.h"

struct want {
    void *to; /* of a pointer */
    uint64_t n;
    uint64_t size; /* of an element */
    bool pinned;
    const void *from; /* on the host: what to fill it with, or NULL */
};

enum { WANTS_MAX = 48 };

struct wants {
    struct want v[WANTS_MAX];
    size_t n;
};

static uint64_t largest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void put(struct wants *w, void *to, uint64_t n, uint64_t size)
{
    w->v[w->n++] = (struct want){ .to = to, .n = n, .size = size };
}

static void put_pinned(struct wants *w, void *to, uint64_t n, uint64_t size)
{
    put(w, to, n, size);
    w->v[w->n - 1].pinned = true;
}

static void put_floats(struct wants *w, float **to, uint64_t a, uint64_t b)
{
    put(w, to, a * b, sizeof(float));
}

/* What is copied from the model's tables; none when there is no table. */
static void put_table(
    struct wants *w, float **to, uint64_t n, const float *from)
{
    if (from == NULL)
        return;
    put_floats(w, to, n, 1);
    w->v[w->n - 1].from = from;
}

/* Columns and rows of the widest products. */
static void put_products(struct wants *w, struct plugin_state *s)
{
    const struct plugin_model *m = s->m;
    uint64_t q = (uint64_t)m->heads * m->head_dim;
    uint64_t qkv = q + 2 * (uint64_t)m->kv_heads * m->head_dim;
    uint64_t cols = largest(largest(m->dim, m->inner), q);
    uint64_t rows = largest(
        largest(qkv, 2 * (uint64_t)m->inner), largest(m->dim, m->experts));
    uint64_t head = 2 * (uint64_t)HEAD_BLOCK * m->vocab;

    if (s->block < TUNE_GEMM_FROM)
        return;
    put(w, &s->halves, 2 * s->block * cols, sizeof(uint16_t));
    put_floats(w, &s->unscale, s->block, 1);
    put_floats(w, &s->products, largest(2 * s->block * rows, head), 1);
    put(w, &s->wide, TUNE_WIDE_ROWS * cols, sizeof(uint16_t));
}

static void put_vectors(struct wants *w, struct plugin_state *s)
{
    const struct plugin_model *m = s->m;
    uint64_t q = (uint64_t)m->heads * m->head_dim;
    uint64_t kv = (uint64_t)m->kv_heads * m->head_dim;
    uint64_t cache = m->layers * kv;

    put_floats(w, &s->keys, cache, m->capacity);
    put_floats(w, &s->values, cache, m->capacity);
    put_floats(w, &s->x, s->block, m->dim);
    put_floats(w, &s->h, s->block, m->dim);
    put_floats(w, &s->branch, s->block, m->dim);
    put_floats(w, &s->branch2, s->block, m->dim);
    put_floats(w, &s->qkv, s->block, q + 2 * kv);
    put_floats(w, &s->queries, s->block, q);
    put_floats(w, &s->heads, s->block, q);
    put_floats(w, &s->inner, s->block, m->inner);
    put_floats(w, &s->parts, (uint64_t)m->heads * s->splits, m->head_dim + 2);
    put(w, &s->arrived, m->heads, sizeof(*s->arrived));
    put_floats(w, &s->head_out, HEAD_BLOCK, m->vocab);
}

static void put_experts(struct wants *w, struct plugin_state *s)
{
    uint64_t chosen = (uint64_t)s->block * s->m->experts_used;

    if (s->m->experts == 0)
        return;
    put_floats(w, &s->routes, s->block, s->m->experts);
    put_floats(w, &s->one, s->block, s->m->dim);
    put(w, &s->choices, chosen, sizeof(*s->choices));
    put(w, &s->one_rows, chosen, sizeof(*s->one_rows));
    put_floats(w, &s->one_shares, chosen, 1);
    put_pinned(w, &s->chosen, chosen, sizeof(*s->chosen));
    put_pinned(w, &s->rows, chosen, sizeof(*s->rows));
    put_pinned(w, &s->shares, chosen, sizeof(*s->shares));
}

static void list(struct wants *w, struct plugin_state *s)
{
    const struct plugin_model *m = s->m;
    uint64_t ranges = ((uint64_t)m->layers + 1) * TUNE_RANGE_BLOCKS;

    *w = (struct wants){ .n = 0 };
    put_vectors(w, s);
    put_experts(w, s);
    put_products(w, s);
    put_table(w, &s->inv_freq, m->rope_dims / 2, m->rope.inv_freq);
    put_table(w, &s->local_inv_freq, m->rope_dims / 2, m->local.inv_freq);
    put_table(w, &s->slopes, m->heads, m->slopes);
    put_table(w, &s->bias, (uint64_t)m->heads * m->capacity, m->bias);
    put(w, &s->step, 1 + (uint64_t)s->block, sizeof(*s->step));
    put(w, &s->out, 1, sizeof(*s->out));
    put(w, &s->ranges, ranges, sizeof(*s->ranges));
    put_pinned(w, &s->input, 1 + (uint64_t)s->block, sizeof(*s->input));
    put_pinned(w, &s->answer, 1, sizeof(*s->answer));
    put_pinned(w, &s->seen, ranges, sizeof(*s->seen));
    put_pinned(w, &s->logits, m->vocab, sizeof(*s->logits));
}

uint64_t gpu_buffer_bytes(struct plugin_state *s)
{
    enum { GRAIN = 512 };
    struct wants w;
    uint64_t total = 0;

    list(&w, s);
    for (size_t i = 0; i < w.n; i++) {
        uint64_t bytes;

        if (w.v[i].pinned)
            continue;
        if (!size_mul(w.v[i].n, w.v[i].size, &bytes) ||
            bytes > UINT64_MAX / 2 ||
            !size_add(total, size_align(bytes, GRAIN), &total))
            return UINT64_MAX;
    }
    return total;
}

static cudaError_t make(const struct want *v, cudaStream_t q)
{
    uint64_t bytes = largest(v->n * v->size, 1);
    void *p = NULL;
    cudaError_t rc =
        v->pinned ? cudaHostAlloc(&p, bytes, 0) : cudaMalloc(&p, bytes);

    __builtin_memcpy(v->to, &p, sizeof(p));
    if (rc != cudaSuccess || v->pinned)
        return rc;
    if (v->from != NULL)
        return cudaMemcpyAsync(p, v->from, bytes, cudaMemcpyHostToDevice, q);
    return cudaSuccess;
}

static int make_marks(struct plugin_state *s, struct err *e)
{
    uint64_t layer = 10 + 2 * (uint64_t)s->m->experts;
    uint64_t chunk = s->m->layers * layer + 4 + 2 * (s->block / HEAD_BLOCK + 1);
    uint64_t chunks = s->m->capacity / s->block + 1;

    s->max_marks = (uint32_t)(chunk * chunks);
    s->marks = calloc(s->max_marks, sizeof(*s->marks));
    return s->marks != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

int gpu_make_buffers(struct plugin_state *s, struct err *e)
{
    struct wants w;
    cudaError_t rc = cudaSuccess;

    list(&w, s);
    for (size_t i = 0; i < w.n && rc == cudaSuccess; i++)
        rc = make(&w.v[i], s->q);
    if (rc == cudaSuccess)
        rc = cudaMemsetAsync(
            s->arrived, 0, s->m->heads * sizeof(*s->arrived), s->q);
    if (rc != cudaSuccess)
        return gpu_failed(e, "buffers", rc);
    return make_marks(s, e);
}

void gpu_free_buffers(struct plugin_state *s)
{
    struct wants w;

    list(&w, s);
    for (size_t i = 0; i < w.n; i++) {
        void *p;

        __builtin_memcpy(&p, w.v[i].to, sizeof(p));
        if (w.v[i].pinned)
            cudaFreeHost(p);
        else
            cudaFree(p);
    }
    free(s->marks);
}
