/*
 * The MLP of the CPU backend: plain, gated, or experts of which each token
 * takes a few.
 */
#include "verify-run/cpu_internal.h"

/* The activation between the MLP's matrices, a slice of floats per item. */
enum { ACT_SLICE = 2048 };

struct activate {
    const struct backend_state *s;
    size_t n; /* floats */
};

static void activate_slice(void *ctx, size_t i)
{
    const struct activate *a = ctx;
    bool gated = a->s->c->kinds.mlp != MLP_PLAIN;
    float *x = a->s->inner + i * ACT_SLICE;
    const float *up = a->s->inner2 + i * ACT_SLICE;
    size_t n = size_min(ACT_SLICE, a->n - i * ACT_SLICE);

    ops_activate(x, n, a->s->c->act);
    for (size_t k = 0; gated && k < n; k++)
        x[k] *= up[k];
}

static void add(struct matmul *m, const struct backend_state *s, uint32_t layer,
    enum role r, uint32_t expert, const float *x, size_t n, float *y)
{
    const struct weight *w = weights_item(s->w, layer, r, expert, false);

    matmul_add(
        m, w, weights_item(s->w, layer, r, expert, true), x, n, y, w->rows);
}

/* out = MLP(x) for n vectors; expert is 0 where there is one MLP. */
static void run_mlp(const struct backend_state *s, uint32_t layer,
    uint32_t expert, const float *x, size_t n, float *out)
{
    bool gated = s->c->kinds.mlp != MLP_PLAIN;
    struct activate a = { .s = s, .n = n * s->c->inner };
    struct matmul in = { .ops = s->ops, .pool = s->pool, .room = s->fixed };
    struct matmul back = in;

    if (gated)
        add(&in, s, layer, ROLE_GATE, expert, x, n, s->inner);
    add(&in, s, layer, ROLE_UP, expert, x, n, gated ? s->inner2 : s->inner);
    matmul_run(&in);
    pool_run(s->pool, (a.n + ACT_SLICE - 1) / ACT_SLICE, activate_slice, &a);
    add(&back, s, layer, ROLE_DOWN, expert, s->inner, n, out);
    matmul_run(&back);
}

/* ---- experts ---- */

/*
 * The most likely few of one token's experts, the first of equals before,
 * with weights that sum to 1: the softmax's common divisor cancels.
 */
static void choose(
    const float *routes, uint32_t n, struct cpu_choice *out, uint32_t k)
{
    uint32_t len = 0;

    for (uint32_t e = 0; e < n; e++) {
        uint32_t at = len;

        while (at > 0 && routes[e] > out[at - 1].weight)
            at--;
        if (at == k)
            continue;
        len += len < k;
        memmove(out + at + 1, out + at, (len - at - 1) * sizeof(*out));
        out[at] = (struct cpu_choice){ e, routes[e] };
    }
}

static void weigh(struct cpu_choice *v, uint32_t k)
{
    float weights[CONFIG_EXPERTS_MAX];

    for (uint32_t i = 0; i < k; i++)
        weights[i] = v[i].weight;
    ops_softmax(weights, k);
    for (uint32_t i = 0; i < k; i++)
        v[i].weight = weights[i];
}

/* This token's choice of an expert, or NULL. */
static const struct cpu_choice *chosen(
    const struct backend_state *s, size_t t, uint32_t expert)
{
    const struct cpu_choice *v = s->choices + t * s->c->experts_used;

    for (uint32_t i = 0; i < s->c->experts_used; i++)
        if (v[i].expert == expert)
            return &v[i];
    return NULL;
}

/* The tokens of one expert are gathered, run together and added back. */
static void run_expert(struct backend_state *s, const struct cpu_block *b,
    uint32_t expert, float *out)
{
    size_t dim = s->c->dim;
    size_t taken = 0;

    for (size_t t = 0; t < b->n; t++)
        if (chosen(s, t, expert) != NULL)
            memcpy(s->one + taken++ * dim, s->h + t * dim, dim * sizeof(*out));
    if (taken == 0)
        return;
    run_mlp(s, b->layer, expert, s->one, taken, s->one);
    for (size_t t = 0, i = 0; t < b->n; t++) {
        const struct cpu_choice *c = chosen(s, t, expert);

        for (size_t k = 0; c != NULL && k < dim; k++)
            out[t * dim + k] += c->weight * s->one[i * dim + k];
        i += c != NULL;
    }
}

static void run_experts(
    struct backend_state *s, const struct cpu_block *b, float *out)
{
    uint32_t n = s->c->experts;
    uint32_t used = s->c->experts_used;

    cpu_project(s, b->layer, ROLE_ROUTER, s->h, b->n, s->routes);
    for (size_t t = 0; t < b->n; t++) {
        choose(s->routes + t * n, n, s->choices + t * used, used);
        weigh(s->choices + t * used, used);
    }
    memset(out, 0, b->n * s->c->dim * sizeof(*out));
    for (uint32_t e = 0; e < n; e++)
        run_expert(s, b, e, out);
}

void cpu_mlp(struct backend_state *s, const struct cpu_block *b, float *out)
{
    if (s->c->kinds.mlp == MLP_MOE)
        run_experts(s, b, out);
    else
        run_mlp(s, b->layer, 0, s->h, b->n, out);
}
