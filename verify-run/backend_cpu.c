/*
 * The reference backend: float32 activations, weights read where they lie.
 * Tokens are taken in blocks, so that one reading of the weights serves the
 * whole block. Work is split over threads by rows and by heads, each of
 * which one thread computes in a fixed order.
 */
#include "verify-run/backend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/file.h"
#include "verify-run/matmul.h"
#include "verify-run/memory.h"

enum {
    BLOCK = 32,          /* tokens per reading of the weights */
    SMALL_WORK = 1 << 15 /* multiplications below which threads only cost */
};

struct backend_state {
    const struct model_config *c;
    const struct weights *w;
    const struct ops *ops;
    struct pool *pool;
    struct arena arena;
    uint32_t capacity;
    float *inv_freq; /* (rope.dims / 2) */
    float *keys;     /* (layers, kv_heads, capacity, head_dim) */
    float *values;   /* the same */
    float *scores;   /* (heads, capacity) */
    float *cs;       /* (BLOCK, rope.dims) */
    /* (BLOCK, ...) of dim unless said otherwise */
    float *x;       /* the residual stream */
    float *h;       /* normalised input of a branch */
    float *branch;  /* output of the attention */
    float *branch2; /* output of the MLP */
    float *qkv;     /* (heads + 2 kv_heads) * head_dim */
    float *heads;   /* heads * head_dim */
    float *inner;   /* the MLP's inner */
    float *inner2;  /* the gated MLP's other half */
};

/* ---- a layer ---- */

/* y = W x + b for n vectors; y is (n, rows). */
static void project(const struct backend_state *s, uint32_t layer, enum role r,
    const float *x, size_t n, float *y)
{
    const struct weight *w = weights_get(s->w, layer, r, false);
    struct matmul m = { .ops = s->ops, .pool = s->pool };

    matmul_add(&m, w, weights_get(s->w, layer, r, true), x, n, y, w->rows);
    matmul_run(&m);
}

static void norm(const struct backend_state *s, uint32_t layer, enum role r,
    const float *x, size_t n, float *y)
{
    const float *w = weights_get(s->w, layer, r, false)->data;
    const float *b = weights_get(s->w, layer, r, true)->data;
    size_t dim = s->c->dim;

    for (size_t t = 0; t < n; t++) {
        if (s->c->arch->norm == NORM_RMS)
            ops_rmsnorm(y + t * dim, x + t * dim, w, dim, s->c->eps);
        else
            ops_layernorm(y + t * dim, x + t * dim, w, b, dim, s->c->eps);
    }
}

/* Where one token's query, key and value heads stand in its qkv vector. */
struct qkv_at {
    size_t q, k, v;         /* of head 0 */
    size_t q_step, kv_step; /* to the next head */
};

static struct qkv_at qkv_places(const struct model_config *c)
{
    size_t hd = c->head_dim;

    if (c->arch->qkv == QKV_PER_HEAD)
        return (struct qkv_at){ 0, hd, 2 * hd, 3 * hd, 3 * hd };
    return (struct qkv_at){ 0, c->heads * hd, (c->heads + c->kv_heads) * hd, hd,
        hd };
}

static size_t qkv_len(const struct model_config *c)
{
    return ((size_t)c->heads + 2 * (size_t)c->kv_heads) * c->head_dim;
}

static void project_qkv(const struct backend_state *s, uint32_t layer, size_t n)
{
    static const enum role split[3] = { ROLE_Q, ROLE_K, ROLE_V };
    struct qkv_at at = qkv_places(s->c);
    size_t to[3] = { at.q, at.k, at.v };
    struct matmul m = { .ops = s->ops, .pool = s->pool };

    if (s->c->arch->qkv == QKV_PER_HEAD) {
        project(s, layer, ROLE_QKV, s->h, n, s->qkv);
        return;
    }
    for (int i = 0; i < 3; i++)
        matmul_add(&m, weights_get(s->w, layer, split[i], false),
            weights_get(s->w, layer, split[i], true), s->h, n, s->qkv + to[i],
            qkv_len(s->c));
    matmul_run(&m);
}

static size_t cache_at(
    const struct backend_state *s, uint32_t layer, size_t kv_head, size_t pos)
{
    return (((size_t)layer * s->c->kv_heads + kv_head) * s->capacity + pos) *
           s->c->head_dim;
}

/* Rotate queries in place; rotated keys and values go to the cache. */
static void rotate_and_store(
    struct backend_state *s, uint32_t layer, size_t t, uint32_t pos)
{
    const struct model_config *c = s->c;
    struct qkv_at at = qkv_places(c);
    float *z = s->qkv + t * qkv_len(c);
    const float *cs = s->cs + t * c->rope.dims;
    size_t half = c->rope.dims / 2;
    size_t bytes = c->head_dim * sizeof(*z);

    for (size_t h = 0; h < c->heads; h++)
        ops_rope(z + at.q + h * at.q_step, cs, half);
    for (size_t g = 0; g < c->kv_heads; g++) {
        float *k = z + at.k + g * at.kv_step;

        ops_rope(k, cs, half);
        memcpy(s->keys + cache_at(s, layer, g, pos), k, bytes);
        memcpy(s->values + cache_at(s, layer, g, pos),
            z + at.v + g * at.kv_step, bytes);
    }
}

struct attend {
    const struct backend_state *s;
    uint32_t layer;
    uint32_t pos;
    size_t n;
};

static void attend_head(void *ctx, size_t h)
{
    const struct attend *a = ctx;
    const struct backend_state *s = a->s;
    const struct model_config *c = s->c;
    struct qkv_at at = qkv_places(c);
    size_t g = h / (c->heads / c->kv_heads);

    for (size_t t = 0; t < a->n; t++) {
        struct ops_attention one = {
            .q = s->qkv + t * qkv_len(c) + at.q + h * at.q_step,
            .k = s->keys + cache_at(s, a->layer, g, 0),
            .v = s->values + cache_at(s, a->layer, g, 0),
            .n = a->pos + t + 1,
            .head_dim = c->head_dim,
            .scale = 1.0f / sqrtf((float)c->head_dim),
            .scores = s->scores + h * s->capacity,
            .out = s->heads + (t * c->heads + h) * c->head_dim,
        };

        ops_attention(s->ops, &one);
    }
}

static void attention(
    struct backend_state *s, uint32_t layer, uint32_t pos, size_t n, float *out)
{
    struct attend a = { .s = s, .layer = layer, .pos = pos, .n = n };
    size_t work = n * (pos + n) * s->c->heads * s->c->head_dim;

    for (size_t t = 0; t < n; t++)
        rotate_and_store(s, layer, t, pos + (uint32_t)t);
    if (work >= SMALL_WORK)
        pool_run(s->pool, s->c->heads, attend_head, &a);
    else
        for (size_t h = 0; h < s->c->heads; h++)
            attend_head(&a, h);
    project(s, layer, ROLE_O, s->heads, n, out);
}

/* The activation between the MLP's matrices, a token's slice per item. */
enum { ACT_SLICE = 2048 };

struct activate {
    const struct backend_state *s;
    size_t n; /* floats */
};

static void activate_slice(void *ctx, size_t i)
{
    const struct activate *a = ctx;
    bool gated = a->s->c->arch->mlp == MLP_GATED;
    float *x = a->s->inner + i * ACT_SLICE;
    const float *up = a->s->inner2 + i * ACT_SLICE;
    size_t n = size_min(ACT_SLICE, a->n - i * ACT_SLICE);

    ops_activate(x, n, a->s->c->act);
    for (size_t k = 0; gated && k < n; k++)
        x[k] *= up[k];
}

static void mlp(
    const struct backend_state *s, uint32_t layer, size_t n, float *out)
{
    bool gated = s->c->arch->mlp == MLP_GATED;
    size_t inner = s->c->inner;
    struct activate a = { .s = s, .n = n * inner };
    struct matmul m = { .ops = s->ops, .pool = s->pool };

    if (gated)
        matmul_add(&m, weights_get(s->w, layer, ROLE_GATE, false),
            weights_get(s->w, layer, ROLE_GATE, true), s->h, n, s->inner,
            inner);
    matmul_add(&m, weights_get(s->w, layer, ROLE_UP, false),
        weights_get(s->w, layer, ROLE_UP, true), s->h, n,
        gated ? s->inner2 : s->inner, inner);
    matmul_run(&m);
    pool_run(s->pool, (a.n + ACT_SLICE - 1) / ACT_SLICE, activate_slice, &a);
    project(s, layer, ROLE_DOWN, s->inner, n, out);
}

static void check(struct backend_pass *p, const float *x, size_t n,
    uint32_t layer, enum role r)
{
    if (p->fault.found || ops_finite(x, n))
        return;
    p->fault =
        (struct backend_fault){ .found = true, .layer = layer, .role = r };
}

static void layer_forward(struct backend_state *s, struct backend_pass *p,
    uint32_t layer, uint32_t pos, size_t n)
{
    const struct model_config *c = s->c;
    bool parallel = c->residual == RESIDUAL_PARALLEL;
    bool split = c->arch->qkv == QKV_SPLIT;
    size_t len = n * c->dim;

    norm(s, layer, ROLE_NORM1, s->x, n, s->h);
    check(p, s->h, len, layer, ROLE_NORM1);
    project_qkv(s, layer, n);
    check(p, s->qkv, n * qkv_len(c), layer, split ? ROLE_Q : ROLE_QKV);
    attention(s, layer, pos, n, s->branch);
    check(p, s->branch, len, layer, ROLE_O);
    if (!parallel)
        ops_add(s->x, s->branch, len);
    norm(s, layer, ROLE_NORM2, s->x, n, s->h);
    check(p, s->h, len, layer, ROLE_NORM2);
    mlp(s, layer, n, s->branch2);
    check(p, s->inner, n * c->inner, layer, ROLE_UP);
    check(p, s->branch2, len, layer, ROLE_DOWN);
    if (parallel)
        ops_add(s->x, s->branch, len);
    ops_add(s->x, s->branch2, len);
    check(p, s->x, len, layer, ROLE_DOWN);
}

/* ---- a pass ---- */

static void embed(struct backend_state *s, const uint32_t *tokens, uint32_t n)
{
    const struct weight *w = weights_get(s->w, 0, ROLE_EMBED, false);
    size_t row = w->cols * dtype_bytes(w->dtype);

    for (uint32_t t = 0; t < n; t++)
        ops_widen(s->x + (size_t)t * w->cols,
            (const uint8_t *)w->data + tokens[t] * row, w->dtype, w->cols);
}

static void block_forward(
    struct backend_state *s, struct backend_pass *p, uint32_t first, uint32_t n)
{
    uint32_t pos = p->pos + first;

    embed(s, p->tokens + first, n);
    check(p, s->x, (size_t)n * s->c->dim, 0, ROLE_EMBED);
    for (uint32_t t = 0; t < n; t++)
        ops_rope_table(s->cs + (size_t)t * s->c->rope.dims, s->inv_freq,
            s->c->rope.dims / 2, pos + t);
    for (uint32_t layer = 0; layer < s->c->layers; layer++)
        layer_forward(s, p, layer, pos, n);
    norm(s, 0, ROLE_NORM_OUT, s->x, n, s->h);
    check(p, s->h, (size_t)n * s->c->dim, 0, ROLE_NORM_OUT);
}

static int cpu_forward(
    struct backend_state *s, struct backend_pass *p, struct err *e)
{
    struct arena scratch AUTO(arena_free) = ARENA_INIT(UINT64_MAX);
    size_t vocab = s->c->vocab;
    float *out = p->logits;
    size_t last = 0;

    if (out == NULL)
        out =
            arena_alloc(&scratch, (p->all ? p->n : 1) * vocab, sizeof(*out), e);
    if (out == NULL)
        return -1;
    p->fault.found = false;
    for (uint32_t at = 0; at < p->n; at += BLOCK) {
        uint32_t n = (uint32_t)size_min(BLOCK, p->n - at);

        if (cancel_check(e) != 0)
            return -1;
        block_forward(s, p, at, n);
        last = n - 1;
        if (p->all)
            project(s, 0, ROLE_HEAD, s->h, n, out + at * vocab);
    }
    if (!p->all)
        project(s, 0, ROLE_HEAD, s->h + last * s->c->dim, 1, out);
    last = p->all ? (p->n - 1) * vocab : 0;
    check(p, out + last, vocab, 0, ROLE_HEAD);
    p->argmax = (uint32_t)ops_argmax(out + last, vocab);
    return 0;
}

/* ---- open and close ---- */

/* The processor's name as the kernel gives it, or the machine's kind. */
static void describe(
    char out[BACKEND_DEVICE_MAX], const struct ops *ops, unsigned threads)
{
    struct err e = ERR_INIT;
    int fd AUTO(fd_close) = file_open("/proc/cpuinfo", NULL, &e);
    char text[4096];
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    const char *name = "CPU";
    const char *at;

    text[len > 0 ? len : 0] = '\0';
    at = strstr(text, "model name\t: ");
    if (at != NULL)
        name = at + strlen("model name\t: ");
    snprintf(out, BACKEND_DEVICE_MAX, "%.*s, %u thread%s, %s",
        (int)size_min(strcspn(name, "\n"), 80), name, threads,
        threads == 1 ? "" : "s", ops->name);
}

/* A buffer that open() makes: a * b floats. */
struct want {
    float **to;
    uint64_t a;
    uint64_t b;
};

static int make_wanted(
    struct backend_state *s, const struct want *v, size_t n, struct err *e)
{
    uint64_t total = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t bytes;

        if (!size_mul(v[i].a, v[i].b, &bytes) ||
            !size_mul(bytes, sizeof(float), &bytes) ||
            !size_add(total, bytes, &total))
            return err_set(e, ERR_NOMEM, "more than any memory holds");
    }
    if (memory_check(total, "buffers", e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        *v[i].to = arena_alloc(&s->arena, v[i].a * v[i].b, sizeof(float), e);
        if (*v[i].to == NULL)
            return -1;
    }
    return 0;
}

static int make_buffers(struct backend_state *s, struct err *e)
{
    const struct model_config *c = s->c;
    uint64_t cache = (uint64_t)c->layers * c->kv_heads * c->head_dim;
    uint64_t q = (uint64_t)c->heads * c->head_dim;
    const struct want wanted[] = {
        { &s->inv_freq, c->rope.dims, 1 },
        { &s->keys, cache, s->capacity },
        { &s->values, cache, s->capacity },
        { &s->scores, c->heads, s->capacity },
        { &s->cs, BLOCK, c->rope.dims },
        { &s->x, BLOCK, c->dim },
        { &s->h, BLOCK, c->dim },
        { &s->branch, BLOCK, c->dim },
        { &s->branch2, BLOCK, c->dim },
        { &s->qkv, BLOCK, qkv_len(c) },
        { &s->heads, BLOCK, q },
        { &s->inner, BLOCK, c->inner },
        { &s->inner2, BLOCK, c->inner },
    };

    return make_wanted(s, wanted, ARRAY_LEN(wanted), e);
}

static void cpu_close(struct backend_state *s)
{
    if (s == NULL)
        return;
    arena_free(&s->arena);
    free(s);
}

static struct backend_state *cpu_open(const struct backend_model *m,
    char device[BACKEND_DEVICE_MAX], struct err *e)
{
    struct backend_state *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        err_set(e, ERR_NOMEM, "out of memory for the backend");
        return NULL;
    }
    *s = (struct backend_state){
        .c = m->config,
        .w = m->weights,
        .ops = ops_best(),
        .pool = m->pool,
        .arena = ARENA_INIT(UINT64_MAX),
        .capacity = m->capacity,
    };
    if (make_buffers(s, e) != 0) {
        err_ctx(e, "cache of %u positions", m->capacity);
        cpu_close(s);
        return NULL;
    }
    rope_inv_freq(&s->c->rope, s->inv_freq);
    describe(device, s->ops, pool_size(s->pool));
    return s;
}

const struct backend backend_cpu = {
    .abi = BACKEND_ABI,
    .name = "cpu",
    .open = cpu_open,
    .forward = cpu_forward,
    .close = cpu_close,
};
