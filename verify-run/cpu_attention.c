/*
 * Attention of the CPU backend: queries, keys and values of a block, their
 * norms and positions, the cache, and heads of a few tokens at a time.
 */
#include "verify-run/alibi.h"
#include "verify-run/cpu_internal.h"

/*
 * Where one token's heads stand in its qkv vector. Queries come in groups
 * that share a key head; of a group they are next to each other.
 */
struct qkv_at {
    size_t q, k, v;  /* of head 0 */
    size_t q_group;  /* to the queries of the next key head */
    size_t kv_step;  /* to the next key or value head */
    size_t sharing;  /* queries of a group */
    size_t head_dim; /* to the next query of a group */
};

static struct qkv_at qkv_places(const struct model_config *c)
{
    size_t hd = c->head_dim;
    size_t sharing = c->heads / c->kv_heads;
    struct qkv_at at = { .sharing = sharing, .head_dim = hd };

    if (c->kinds.qkv == QKV_GROUPED) {
        at.k = sharing * hd;
        at.v = at.k + hd;
        at.q_group = at.kv_step = (sharing + 2) * hd;
    } else {
        at.k = c->heads * hd;
        at.v = at.k + c->kv_heads * hd;
        at.q_group = sharing * hd;
        at.kv_step = hd;
    }
    return at;
}

static float *query(const struct qkv_at *at, float *z, size_t h)
{
    return z + at->q + h / at->sharing * at->q_group +
           h % at->sharing * at->head_dim;
}

size_t cpu_qkv_len(const struct model_config *c)
{
    return ((size_t)c->heads + 2 * (size_t)c->kv_heads) * c->head_dim;
}

void cpu_qkv(struct backend_state *s, const struct cpu_block *b)
{
    static const enum role split[3] = { ROLE_Q, ROLE_K, ROLE_V };
    const struct model_config *c = s->c;
    struct qkv_at at = qkv_places(c);
    size_t to[3] = { at.q, at.k, at.v };
    size_t len = cpu_qkv_len(c);
    struct matmul m = { .ops = s->ops, .pool = s->pool, .room = s->fixed };

    if (c->kinds.qkv == QKV_GROUPED) {
        cpu_project(s, b->layer, ROLE_QKV, s->h, b->n, s->qkv);
    } else {
        for (int i = 0; i < 3; i++)
            matmul_add(&m, weights_get(s->w, b->layer, split[i], false),
                weights_get(s->w, b->layer, split[i], true), s->h, b->n,
                s->qkv + to[i], len);
        matmul_run(&m);
    }
    if (c->clip_qkv > 0)
        ops_clip(s->qkv, (float)c->clip_qkv, b->n * len);
}

/* ---- norms of queries and keys ---- */

/* The weight for one head. */
static const float *head_weight(
    const struct backend_state *s, uint32_t layer, enum role r, uint32_t head)
{
    switch (s->c->kinds.qk_norm) {
    case QK_NORM_EACH:
        return weights_item(s->w, layer, r, head, false)->data;
    case QK_NORM_ROWS:
        return (const float *)weights_get(s->w, layer, r, false)->data +
               (size_t)head * s->c->head_dim;
    case QK_NORM_SHARED:
    case QK_NORM_WHOLE:
    case QK_NORM_NONE:
        break;
    }
    return weights_get(s->w, layer, r, false)->data;
}

static void norm_heads(const struct backend_state *s, uint32_t layer, float *z)
{
    const struct model_config *c = s->c;
    struct qkv_at at = qkv_places(c);
    size_t hd = c->head_dim;

    for (uint32_t h = 0; h < c->heads; h++) {
        float *q = query(&at, z, h);

        cpu_norm_one(c, q, q, head_weight(s, layer, ROLE_Q_NORM, h), NULL, hd);
    }
    for (uint32_t g = 0; g < c->kv_heads; g++) {
        float *k = z + at.k + g * at.kv_step;

        cpu_norm_one(c, k, k, head_weight(s, layer, ROLE_K_NORM, g), NULL, hd);
    }
}

/* Over all heads at once: they are next to each other unless grouped. */
static void norm_whole(const struct backend_state *s, uint32_t layer, float *z)
{
    const struct model_config *c = s->c;
    struct qkv_at at = qkv_places(c);
    const float *wq = weights_get(s->w, layer, ROLE_Q_NORM, false)->data;
    const float *wk = weights_get(s->w, layer, ROLE_K_NORM, false)->data;

    cpu_norm_one(
        c, z + at.q, z + at.q, wq, NULL, (size_t)c->heads * c->head_dim);
    cpu_norm_one(
        c, z + at.k, z + at.k, wk, NULL, (size_t)c->kv_heads * c->head_dim);
}

/* ---- positions and the cache ---- */

/* Some families make the turned parts longer, too. */
static void table(const struct rope *r, float *cs, const float *inv_freq,
    uint32_t pos, size_t n)
{
    for (size_t t = 0; t < n; t++)
        ops_rope_table(
            cs + t * r->dims, inv_freq, r->dims / 2, pos + (uint32_t)t);
    if (r->attention_factor != 1)
        ops_scale(cs, (float)r->attention_factor, n * r->dims);
}

void cpu_positions(struct backend_state *s, uint32_t pos, size_t n)
{
    if (s->c->rope.dims > 0)
        table(&s->c->rope, s->cs, s->inv_freq, pos, n);
    if (s->c->has_local)
        table(&s->c->local, s->local_cs, s->local_inv_freq, pos, n);
}

static void rotate(const struct model_config *c, float *head, const float *cs)
{
    size_t half = c->rope.dims / 2;

    if (c->kinds.position == POSITION_ROPE_ADJACENT)
        ops_rope_adjacent(head, cs, half);
    else
        ops_rope(head, cs, half);
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
    float *z = s->qkv + t * cpu_qkv_len(c);
    bool local = c->has_local && config_window(c, layer) > 0;
    const float *cs = (local ? s->local_cs : s->cs) + t * c->rope.dims;
    size_t bytes = c->head_dim * sizeof(*z);

    if (c->kinds.qk_norm == QK_NORM_WHOLE)
        norm_whole(s, layer, z);
    else if (c->kinds.qk_norm != QK_NORM_NONE)
        norm_heads(s, layer, z);
    for (size_t h = 0; h < c->heads; h++)
        rotate(c, query(&at, z, h), cs);
    for (size_t g = 0; g < c->kv_heads; g++) {
        float *k = z + at.k + g * at.kv_step;

        rotate(c, k, cs);
        memcpy(s->keys + cache_at(s, layer, g, pos), k, bytes);
        memcpy(s->values + cache_at(s, layer, g, pos),
            z + at.v + g * at.kv_step, bytes);
    }
}

/* ---- heads ---- */

/* One head of the tokens from t on, at most CPU_QUERIES. */
static void attend(const struct backend_state *s, const struct cpu_block *b,
    size_t h, size_t t)
{
    const struct model_config *c = s->c;
    struct qkv_at at = qkv_places(c);
    size_t g = h / at.sharing;
    struct ops_attention one = {
        .q = query(&at, s->qkv + t * cpu_qkv_len(c), h),
        .q_step = cpu_qkv_len(c),
        .queries = size_min(CPU_QUERIES, b->n - t),
        .k = s->keys + cache_at(s, b->layer, g, 0),
        .v = s->values + cache_at(s, b->layer, g, 0),
        .n = b->pos + t + 1,
        .window = config_window(c, b->layer),
        .head_dim = c->head_dim,
        .scale = (float)c->attention_scale,
        .softcap = (float)c->softcap,
        .slope = s->slopes[h],
        .scores = s->scores + h * CPU_QUERIES * s->capacity,
        .out = s->heads + (t * c->heads + h) * c->head_dim,
        .out_step = (size_t)c->heads * c->head_dim,
        .bias = alibi_is_rounded(c) ? s->bias + h * s->capacity : NULL,
    };

    ops_attention(s->ops, &one);
}

struct attention {
    const struct backend_state *s;
    const struct cpu_block *b;
};

static void attend_head(void *ctx, size_t h)
{
    const struct attention *a = ctx;

    for (size_t t = 0; t < a->b->n; t += CPU_QUERIES)
        attend(a->s, a->b, h, t);
}

void cpu_attention(
    struct backend_state *s, const struct cpu_block *b, float *out)
{
    struct attention a = { .s = s, .b = b };
    size_t work = b->n * (b->pos + b->n) * s->c->heads * s->c->head_dim;

    for (size_t t = 0; t < b->n; t++)
        rotate_and_store(s, b->layer, t, b->pos + (uint32_t)t);
    if (work >= CPU_SMALL_WORK)
        pool_run(s->pool, s->c->heads, attend_head, &a);
    else
        for (size_t h = 0; h < s->c->heads; h++)
            attend_head(&a, h);
    cpu_project(s, b->layer, ROLE_O, s->heads, b->n, out);
}
