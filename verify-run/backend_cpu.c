/*
 * The reference backend: float32 activations, weights read where they lie.
 * Tokens are taken in blocks, so that one reading of the weights serves the
 * whole block. Work is split over threads by rows and by heads, each of
 * which one thread computes in a fixed order.
 */
#include "verify-run/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/file.h"
#include "verify-run/alibi.h"
#include "verify-run/cpu_internal.h"
#include "verify-run/memory.h"

/* y = W x + b for n vectors; y is (n, rows). */
void cpu_project(const struct backend_state *s, uint32_t layer, enum role r,
    const float *x, size_t n, float *y)
{
    const struct weight *w = weights_get(s->w, layer, r, false);
    struct matmul m = { .ops = s->ops, .pool = s->pool, .room = s->fixed };

    matmul_add(&m, w, weights_get(s->w, layer, r, true), x, n, y, w->rows);
    matmul_run(&m);
}

static void check(struct backend_pass *p, const float *x, size_t n,
    uint32_t layer, enum role r)
{
    if (p->fault.found || ops_finite(x, n))
        return;
    p->fault =
        (struct backend_fault){ .found = true, .layer = layer, .role = r };
}

/* What stands in the residual stream before layer i. */
static void watch(struct backend_pass *p, uint32_t i, const float *x, size_t n)
{
    struct value_range *a = p->ranges != NULL ? &p->ranges[i] : NULL;

    if (a == NULL)
        return;
    if (a->n == 0)
        a->min = a->max = x[0];
    for (size_t k = 0; k < n; k++) {
        a->min = x[k] < a->min ? x[k] : a->min;
        a->max = x[k] > a->max ? x[k] : a->max;
        a->squares += (double)x[k] * (double)x[k];
    }
    a->n += n;
}

/* ---- a layer ---- */

/* The input of a branch, in s->h. */
static void enter(struct backend_state *s, struct backend_pass *p,
    const struct cpu_block *b, enum role norm)
{
    size_t len = b->n * s->c->dim;

    if (!shape_residual(s->c->kinds.residual).pre) {
        memcpy(s->h, s->x, len * sizeof(*s->h));
        return;
    }
    cpu_norm(s, b->layer, norm, s->x, b->n, s->h);
    check(p, s->h, len, b->layer, norm);
}

/* The output of a branch, normalised again in some families and scaled. */
static void leave(struct backend_state *s, struct backend_pass *p,
    const struct cpu_block *b, enum role last, enum role norm, float *branch)
{
    size_t len = b->n * s->c->dim;

    check(p, branch, len, b->layer, last);
    if (shape_residual(s->c->kinds.residual).post) {
        cpu_norm(s, b->layer, norm, branch, b->n, branch);
        check(p, branch, len, b->layer, norm);
    }
    if (s->c->residual_scale != 1)
        ops_scale(branch, (float)s->c->residual_scale, len);
}

static void layer_forward(
    struct backend_state *s, struct backend_pass *p, const struct cpu_block *b)
{
    const struct model_config *c = s->c;
    struct shape_residual r = shape_residual(c->kinds.residual);
    bool grouped = c->kinds.qkv == QKV_GROUPED;
    size_t len = b->n * c->dim;

    enter(s, p, b, ROLE_NORM1);
    cpu_qkv(s, b);
    check(p, s->qkv, b->n * cpu_qkv_len(c), b->layer,
        grouped ? ROLE_QKV : ROLE_Q);
    cpu_attention(s, b, s->branch);
    leave(s, p, b, ROLE_O, ROLE_NORM1_POST, s->branch);
    if (!r.parallel)
        ops_add(s->x, s->branch, len);
    if (!r.shared)
        enter(s, p, b, ROLE_NORM2);
    cpu_mlp(s, b, s->branch2);
    if (c->kinds.mlp == MLP_MOE)
        check(p, s->routes, b->n * c->experts, b->layer, ROLE_ROUTER);
    else
        check(p, s->inner, b->n * c->inner, b->layer, ROLE_UP);
    leave(s, p, b, ROLE_DOWN, ROLE_NORM2_POST, s->branch2);
    if (r.parallel)
        ops_add(s->x, s->branch, len);
    ops_add(s->x, s->branch2, len);
    check(p, s->x, len, b->layer, ROLE_DOWN);
}

/* ---- a pass ---- */

/* One row of a table, widened. */
static void look_up(float *out, const struct weight *w, size_t row)
{
    size_t bytes = w->cols * dtype_bytes(w->dtype);

    ops_widen(out, (const uint8_t *)w->data + row * bytes, w->dtype, w->cols);
}

static void embed(
    struct backend_state *s, const uint32_t *tokens, uint32_t pos, uint32_t n)
{
    const struct model_config *c = s->c;
    const struct weight *w = weights_get(s->w, 0, ROLE_EMBED, false);
    const struct weight *places = weights_get(s->w, 0, ROLE_POSITION, false);
    float scale = config_embed_scale(c, w->dtype);

    for (uint32_t t = 0; t < n; t++) {
        float *x = s->x + (size_t)t * c->dim;

        look_up(x, w, tokens[t]);
        if (c->embed_scale != 1)
            ops_scale(x, scale, c->dim);
        if (c->kinds.position == POSITION_LEARNED) {
            look_up(s->branch, places, (size_t)c->position_offset + pos + t);
            ops_add(x, s->branch, c->dim);
        }
    }
}

static void block_forward(
    struct backend_state *s, struct backend_pass *p, uint32_t first, uint32_t n)
{
    struct cpu_block b = { .pos = p->pos + first, .n = n };
    size_t len = (size_t)n * s->c->dim;

    embed(s, p->tokens + first, b.pos, n);
    check(p, s->x, len, 0, ROLE_EMBED);
    if (s->c->arch->names[ROLE_EMBED_NORM] != NULL) {
        cpu_norm(s, 0, ROLE_EMBED_NORM, s->x, n, s->x);
        check(p, s->x, len, 0, ROLE_EMBED_NORM);
    }
    watch(p, 0, s->x, len);
    cpu_positions(s, b.pos, n);
    for (; b.layer < s->c->layers; b.layer++) {
        stream_ahead(s->stream, b.layer + 1);
        layer_forward(s, p, &b);
        stream_behind(s->stream, b.layer);
        watch(p, b.layer + 1, s->x, len);
    }
    cpu_norm(s, 0, ROLE_NORM_OUT, s->x, n, s->h);
    check(p, s->h, len, 0, ROLE_NORM_OUT);
}

static void head(
    const struct backend_state *s, const float *x, size_t n, float *out)
{
    size_t len = n * s->c->vocab;

    cpu_project(s, 0, ROLE_HEAD, x, n, out);
    if (s->c->logit_scale != 1)
        ops_scale(out, (float)s->c->logit_scale, len);
    if (s->c->logit_softcap > 0)
        ops_softcap(out, (float)s->c->logit_softcap, len);
}

static int cpu_forward(
    struct backend_state *s, struct backend_pass *p, struct err *e)
{
    struct arena scratch AUTO(arena_free) = ARENA_INIT(UINT64_MAX);
    size_t vocab = s->c->vocab;
    size_t rows = p->all ? p->n : 1;
    float *out = p->logits;
    size_t last = 0;

    if (out == NULL)
        out = arena_alloc(&scratch, rows * vocab, sizeof(*out), e);
    if (out == NULL)
        return -1;
    p->fault.found = false;
    for (uint32_t at = 0; at < p->n; at += CPU_BLOCK) {
        uint32_t n = (uint32_t)size_min(CPU_BLOCK, p->n - at);

        if (cancel_check(e) != 0)
            return -1;
        block_forward(s, p, at, n);
        last = n - 1;
        if (p->all)
            head(s, s->h, n, out + at * vocab);
    }
    if (!p->all)
        head(s, s->h + last * s->c->dim, 1, out);
    stream_behind(s->stream, stream_head(s->w));
    check(p, out, rows * vocab, 0, ROLE_HEAD);
    p->argmax = (uint32_t)ops_argmax(out + (rows - 1) * vocab, vocab);
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

/* At the start of a line of the cache, or every vector would lie in two. */
static float *line_alloc(struct arena *a, uint64_t n, struct err *e)
{
    enum { LINE = 64 };
    char *p = arena_alloc(a, n + LINE / sizeof(float), sizeof(float), e);

    return p == NULL ? NULL : (void *)(p + (-(uintptr_t)p & (LINE - 1)));
}

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
        *v[i].to = line_alloc(&s->arena, v[i].a * v[i].b, e);
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
    uint64_t local = c->has_local ? c->rope.dims : 0;
    uint64_t moe = c->experts > 0 ? c->dim : 0;
    uint64_t block = size_min(CPU_BLOCK, s->capacity);
    uint64_t fixed =
        s->w->int8_cols > 0 ? fixed_bytes(block, s->w->int8_cols) : 0;
    const struct want wanted[] = {
        { &s->inv_freq, c->rope.dims, 1 },
        { &s->local_inv_freq, local, 1 },
        { &s->slopes, c->heads, 1 },
        { &s->bias, alibi_is_rounded(c) ? c->heads : 0, s->capacity },
        { &s->keys, cache, s->capacity },
        { &s->values, cache, s->capacity },
        { &s->scores, (uint64_t)c->heads * CPU_QUERIES, s->capacity },
        { &s->cs, block, c->rope.dims },
        { &s->local_cs, block, local },
        { &s->x, block, c->dim },
        { &s->h, block, c->dim },
        { &s->branch, block, c->dim },
        { &s->branch2, block, c->dim },
        { &s->qkv, block, cpu_qkv_len(c) },
        { &s->heads, block, q },
        { &s->inner, block, c->inner },
        { &s->inner2, block, c->inner },
        { &s->fixed, (fixed + sizeof(float) - 1) / sizeof(float), 1 },
        { &s->routes, block, c->experts },
        { &s->one, block, moe },
    };

    s->choices =
        arena_alloc(&s->arena, block * c->experts_used, sizeof(*s->choices), e);
    if (s->choices == NULL)
        return -1;
    return make_wanted(s, wanted, ARRAY_LEN(wanted), e);
}

static void cpu_close(struct backend_state *s)
{
    if (s == NULL)
        return;
    arena_free(&s->arena);
    free(s);
}

static struct backend_state *cpu_open(
    const struct backend_model *m, struct backend_opened *out, struct err *e)
{
    struct backend_state *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        err_set(e, ERR_NOMEM, "out of memory for the backend");
        return NULL;
    }
    out->passing_layers = stream_layers(m->stream);
    out->passing = stream_passing(m->stream);
    *s = (struct backend_state){
        .c = m->config,
        .w = m->weights,
        .ops = ops_best(),
        .pool = m->pool,
        .stream = m->stream,
        .arena = ARENA_INIT(UINT64_MAX),
        .capacity = m->capacity,
    };
    if (make_buffers(s, e) != 0) {
        err_ctx(e, "cache of %u positions", m->capacity);
        cpu_close(s);
        return NULL;
    }
    rope_inv_freq(&s->c->rope, s->capacity, s->inv_freq);
    if (s->c->has_local)
        rope_inv_freq(&s->c->local, s->capacity, s->local_inv_freq);
    alibi_slopes(s->c, s->slopes);
    if (alibi_is_rounded(s->c))
        alibi_bias(s->c, s->capacity, s->bias);
    describe(out->device, s->ops, pool_size(s->pool));
    return s;
}

const struct backend backend_cpu = {
    .abi = BACKEND_ABI,
    .name = "cpu",
    .wobble = 0,
    .open = cpu_open,
    .forward = cpu_forward,
    .close = cpu_close,
};
