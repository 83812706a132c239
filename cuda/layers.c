/* The steps of a pass in their order: which kernels, on which vectors. */
#include "cuda/gpu_internal.h"

struct gpu_watch gpu_mark(struct plugin_state *s, uint32_t layer, enum role r)
{
    uint32_t step = s->n_marks;

    if (step < s->max_marks)
        s->marks[s->n_marks++] = (struct gpu_mark){ layer, r };
    return (struct gpu_watch){ &s->out->first_bad, step };
}

struct gpu_norm gpu_norm_of(
    const struct plugin_state *s, uint32_t layer, enum role r, uint32_t n)
{
    return (struct gpu_norm){
        .kind = s->m->kinds.norm,
        .w = gpu_at(s, layer, r, 0, false)->data,
        .b = gpu_at(s, layer, r, 0, true)->data,
        .eps = (float)s->m->eps,
        .n = n,
        .cols = s->m->dim,
    };
}

/* ---- attention ---- */

static uint32_t qkv_len(const struct plugin_model *m)
{
    return (m->heads + 2 * m->kv_heads) * m->head_dim;
}

/* Where queries, keys and values stand in a token's qkv. */
static void place_heads(struct gpu_heads *a, const struct plugin_model *m)
{
    uint32_t sharing = m->heads / m->kv_heads;

    if (m->kinds.qkv == QKV_GROUPED) {
        a->k_at = sharing * m->head_dim;
        a->v_at = a->k_at + m->head_dim;
        a->q_group = a->kv_step = (sharing + 2) * m->head_dim;
    } else {
        a->k_at = m->heads * m->head_dim;
        a->v_at = a->k_at + m->kv_heads * m->head_dim;
        a->q_group = sharing * m->head_dim;
        a->kv_step = m->head_dim;
    }
}

static size_t cache_at(const struct plugin_state *s, uint32_t layer)
{
    const struct plugin_model *m = s->m;

    return (size_t)layer * m->kv_heads * m->capacity * m->head_dim;
}

static struct gpu_heads heads_of(
    const struct plugin_state *s, uint32_t layer, uint32_t n)
{
    const struct plugin_model *m = s->m;
    bool local = m->layer[layer].local;
    struct gpu_heads a = {
        .qkv = s->qkv,
        .step = qkv_len(m),
        .n = n,
        .heads = m->heads,
        .kv_heads = m->kv_heads,
        .head_dim = m->head_dim,
        .capacity = m->capacity,
        .pos = s->step,
        .inv_freq = local ? s->local_inv_freq : s->inv_freq,
        .dims = m->rope_dims,
        .factor = local ? m->local.factor : m->rope.factor,
        .adjacent = m->kinds.position == POSITION_ROPE_ADJACENT,
        .norm = m->kinds.qk_norm,
        .kind = m->kinds.norm,
        .eps = (float)m->eps,
        .q_norm = gpu_at(s, layer, ROLE_Q_NORM, 0, false)->data,
        .k_norm = gpu_at(s, layer, ROLE_K_NORM, 0, false)->data,
        .q = s->queries,
        .keys = s->keys + cache_at(s, layer),
        .values = s->values + cache_at(s, layer),
        .early = s->device.early,
    };

    place_heads(&a, m);
    return a;
}

static void attend(struct plugin_state *s, uint32_t layer, uint32_t n)
{
    const struct plugin_model *m = s->m;
    struct gpu_heads heads = heads_of(s, layer, n);
    struct gpu_attention a = {
        .q = s->queries,
        .keys = heads.keys,
        .values = heads.values,
        .slopes = s->slopes,
        .bias = s->bias,
        .pos = s->step,
        .n = n,
        .heads = m->heads,
        .kv_heads = m->kv_heads,
        .head_dim = m->head_dim,
        .capacity = m->capacity,
        .window = m->layer[layer].window,
        .scale = m->attention_scale,
        .cap = m->softcap,
        .splits = n == 1 ? s->splits : 1,
        .parts = s->parts,
        .arrived = s->arrived,
        .out = s->heads,
        .early = s->device.early,
    };

    gpu_heads(s->q, &heads);
    gpu_attention(s->q, &a);
}

/* ---- a layer ---- */

static struct gpu_product qkv_of(
    const struct plugin_state *s, uint32_t layer, uint32_t n)
{
    const struct plugin_model *m = s->m;
    bool grouped = m->kinds.qkv == QKV_GROUPED;
    float *k = s->qkv + (size_t)m->heads * m->head_dim;

    return (struct gpu_product){
        .layer = layer,
        .roles = { grouped ? ROLE_QKV : ROLE_Q, ROLE_K, ROLE_V },
        .y = { s->qkv, k, k + (size_t)m->kv_heads * m->head_dim },
        .parts = grouped ? 1 : 3,
        .rows = { .n = n,
            .x = s->x,
            .x_step = m->dim,
            .y_step = qkv_len(m),
            .clip = m->clip_qkv,
            .scale = 1 },
    };
}

/*
 * The end of a branch, y = W x: normed and added, kept for the other one to
 * add, or added at once.
 */
static int end_branch(struct plugin_state *s, struct gpu_product *p,
    bool is_last, enum role post, struct err *e)
{
    const struct plugin_model *m = s->m;
    enum role last = p->roles[0];
    struct gpu_norm norm = gpu_norm_of(s, p->layer, post, p->rows.n);

    p->parts = 1;
    p->rows.scale = 1;
    p->rows.y_step = m->dim;
    p->rows.watch = gpu_mark(s, p->layer, last);
    p->y[0] = s->branch2;
    if (!m->post && !is_last && m->parallel) {
        p->y[0] = s->branch;
        return gpu_project(s, p, e);
    }
    if (!m->post) {
        p->y[0] = s->x;
        p->rows.finish = FINISH_ADD;
        p->rows.scale = m->residual_scale;
        p->rows.also = is_last && m->parallel ? s->branch : NULL;
        p->rows.watch_sum = is_last;
        return gpu_project(s, p, e);
    }
    if (gpu_project(s, p, e) != 0)
        return -1;
    norm.x = s->branch2;
    norm.y = s->x;
    norm.add = true;
    norm.scale = m->residual_scale;
    norm.watch = gpu_mark(s, p->layer, post);
    gpu_norm(s->q, &norm);
    return 0;
}

static int attention_branch(
    struct plugin_state *s, uint32_t layer, uint32_t n, struct err *e)
{
    const struct plugin_model *m = s->m;
    struct gpu_norm norm = gpu_norm_of(s, layer, ROLE_NORM1, n);
    struct gpu_product qkv = qkv_of(s, layer, n);
    struct gpu_product back = {
        .layer = layer,
        .roles = { ROLE_O },
        .rows = { .n = n, .x = s->heads, .x_step = m->heads * m->head_dim },
    };

    if (m->pre) {
        norm.watch = gpu_mark(s, layer, ROLE_NORM1);
        qkv.rows.norm = &norm;
    }
    qkv.rows.watch = gpu_mark(s, layer, qkv.roles[0]);
    if (gpu_project(s, &qkv, e) != 0)
        return -1;
    attend(s, layer, n);
    return end_branch(s, &back, false, ROLE_NORM1_POST, e);
}

/* The first half of an MLP: into s->inner. */
static struct gpu_product up_of(
    const struct plugin_state *s, uint32_t layer, uint32_t expert, uint32_t n)
{
    bool gated = s->m->kinds.mlp != MLP_PLAIN;

    return (struct gpu_product){
        .layer = layer,
        .item = expert,
        .roles = { gated ? ROLE_GATE : ROLE_UP, ROLE_UP },
        .y = { s->inner, s->inner },
        .parts = gated ? 2 : 1,
        .rows = { .n = n,
            .x = s->x,
            .x_step = s->m->dim,
            .y_step = s->m->inner,
            .finish = gated ? FINISH_GATE : FINISH_ACT,
            .act = s->m->act },
    };
}

static struct gpu_product down_of(
    const struct plugin_state *s, uint32_t layer, uint32_t expert, uint32_t n)
{
    return (struct gpu_product){
        .layer = layer,
        .item = expert,
        .roles = { ROLE_DOWN },
        .rows = { .n = n, .x = s->inner, .x_step = s->m->inner },
    };
}

static int mlp_branch(
    struct plugin_state *s, uint32_t layer, uint32_t n, struct err *e)
{
    const struct plugin_model *m = s->m;
    enum role before = m->shared ? ROLE_NORM1 : ROLE_NORM2;
    struct gpu_norm norm = gpu_norm_of(s, layer, before, n);
    struct gpu_product up = up_of(s, layer, 0, n);
    struct gpu_product down = down_of(s, layer, 0, n);

    if (m->pre) {
        norm.watch = gpu_mark(s, layer, before);
        up.rows.norm = &norm;
    }
    up.rows.watch = gpu_mark(s, layer, ROLE_UP);
    if (gpu_project(s, &up, e) != 0)
        return -1;
    return end_branch(s, &down, true, ROLE_NORM2_POST, e);
}

/* ---- experts ---- */

/* Which tokens go to an expert, with what weight; how many. */
static uint32_t tokens_of(
    struct plugin_state *s, uint32_t expert, uint32_t n, uint32_t from)
{
    uint32_t used = s->m->experts_used;
    uint32_t taken = 0;

    for (uint32_t i = 0; i < n * used; i++) {
        if (s->chosen[i].expert != expert)
            continue;
        s->rows[from + taken] = i / used;
        s->shares[from + taken++] = s->chosen[i].weight;
    }
    return taken;
}

static int run_expert(struct plugin_state *s, uint32_t layer, uint32_t expert,
    uint32_t from, uint32_t n, struct err *e)
{
    const struct plugin_model *m = s->m;
    struct gpu_product up = up_of(s, layer, expert, n);
    struct gpu_product down = down_of(s, layer, expert, n);

    gpu_gather(s->q, s->one, s->h, s->one_rows + from, n, m->dim);
    up.rows.x = s->one;
    up.rows.watch = gpu_mark(s, layer, ROLE_DOWN);
    if (gpu_project(s, &up, e) != 0)
        return -1;
    down.parts = 1;
    down.y[0] = s->one;
    down.rows.scale = 1;
    down.rows.y_step = m->dim;
    down.rows.watch = gpu_mark(s, layer, ROLE_DOWN);
    if (gpu_project(s, &down, e) != 0)
        return -1;
    gpu_scatter(s->q, s->branch2, s->one, s->one_rows + from,
        s->one_shares + from, n, m->dim);
    return 0;
}

/* The choices come to the host, which hands every expert its tokens. */
static int bring_choices(struct plugin_state *s, uint32_t n, struct err *e)
{
    const struct plugin_model *m = s->m;
    size_t chosen = (size_t)n * m->experts_used;
    uint32_t at = 0;
    cudaError_t rc = cudaMemcpyAsync(s->chosen, s->choices,
        chosen * sizeof(*s->chosen), cudaMemcpyDeviceToHost, s->q);

    if (rc == cudaSuccess)
        rc = cudaStreamSynchronize(s->q);
    if (rc != cudaSuccess)
        return gpu_failed(e, "experts", rc);
    for (uint32_t i = 0; i < m->experts; i++)
        at += tokens_of(s, i, n, at);
    rc = cudaMemcpyAsync(s->one_rows, s->rows, chosen * sizeof(*s->rows),
        cudaMemcpyHostToDevice, s->q);
    if (rc == cudaSuccess)
        rc = cudaMemcpyAsync(s->one_shares, s->shares,
            chosen * sizeof(*s->shares), cudaMemcpyHostToDevice, s->q);
    return rc == cudaSuccess ? 0 : gpu_failed(e, "experts", rc);
}

static int run_experts(
    struct plugin_state *s, uint32_t layer, uint32_t n, struct err *e)
{
    const struct plugin_model *m = s->m;
    uint32_t at = 0;

    if (bring_choices(s, n, e) != 0)
        return -1;
    cudaMemsetAsync(
        s->branch2, 0, (size_t)n * m->dim * sizeof(*s->branch2), s->q);
    for (uint32_t i = 0; i < m->experts; i++) {
        uint32_t taken = 0;

        for (uint32_t k = 0; k < n * m->experts_used; k++)
            taken += s->chosen[k].expert == i;
        if (taken > 0 && run_expert(s, layer, i, at, taken, e) != 0)
            return -1;
        at += taken;
    }
    return 0;
}

static int experts_branch(
    struct plugin_state *s, uint32_t layer, uint32_t n, struct err *e)
{
    const struct plugin_model *m = s->m;
    struct gpu_norm norm = gpu_norm_of(s, layer, ROLE_NORM2, n);
    struct gpu_product routes = {
        .layer = layer,
        .roles = { ROLE_ROUTER },
        .y = { s->routes },
        .parts = 1,
        .rows = { .n = n,
            .x = s->h,
            .x_step = m->dim,
            .y_step = m->experts,
            .scale = 1 },
    };

    norm.x = s->x;
    norm.y = s->h;
    norm.watch = gpu_mark(s, layer, ROLE_NORM2);
    gpu_norm(s->q, &norm);
    routes.rows.watch = gpu_mark(s, layer, ROLE_ROUTER);
    if (gpu_project(s, &routes, e) != 0)
        return -1;
    gpu_choose(s->q, s->routes, n, m->experts, m->experts_used, s->choices);
    if (run_experts(s, layer, n, e) != 0)
        return -1;
    gpu_add(s->q, s->x, s->branch2, m->residual_scale, (size_t)n * m->dim,
        gpu_mark(s, layer, ROLE_DOWN));
    return 0;
}

/* ---- a block of tokens ---- */

static void embed(struct plugin_state *s, uint32_t n)
{
    const struct plugin_model *m = s->m;
    struct gpu_embed a = {
        .table = *gpu_at(s, 0, ROLE_EMBED, 0, false),
        .places = *gpu_at(s, 0, ROLE_POSITION, 0, false),
        .tokens = s->step + 1,
        .pos = s->step,
        .offset = m->position_offset,
        .n = n,
        .scale = m->embed_scale,
        .x = s->x,
        .watch = gpu_mark(s, 0, ROLE_EMBED),
    };
    struct gpu_norm norm = gpu_norm_of(s, 0, ROLE_EMBED_NORM, n);

    gpu_embed(s->q, &a);
    if (!m->embed_norm)
        return;
    norm.x = norm.y = s->x;
    norm.watch = gpu_mark(s, 0, ROLE_EMBED_NORM);
    gpu_norm(s->q, &norm);
}

static void look(struct plugin_state *s, uint32_t at, uint32_t n)
{
    gpu_ranges(s->q, s->x, (size_t)n * s->m->dim,
        s->ranges + (size_t)at * TUNE_RANGE_BLOCKS);
}

int gpu_block(struct plugin_state *s, uint32_t n, bool ranges, struct err *e)
{
    const struct plugin_model *m = s->m;

    embed(s, n);
    if (ranges)
        look(s, 0, n);
    for (uint32_t i = 0; i < m->layers; i++) {
        if (gpu_layer_comes(s, i, e) != 0 ||
            attention_branch(s, i, n, e) != 0 ||
            (m->experts > 0 ? experts_branch : mlp_branch)(s, i, n, e) != 0 ||
            gpu_layer_goes(s, i, e) != 0)
            return -1;
        if (ranges)
            look(s, i + 1, n);
    }
    return 0;
}

int gpu_head(struct plugin_state *s, uint32_t first, uint32_t n, struct err *e)
{
    const struct plugin_model *m = s->m;
    struct gpu_norm norm = gpu_norm_of(s, 0, ROLE_NORM_OUT, n);
    struct gpu_product p = {
        .roles = { ROLE_HEAD },
        .y = { s->head_out },
        .parts = 1,
        .rows = { .n = n,
            .x = s->x + (size_t)first * m->dim,
            .x_step = m->dim,
            .y_step = m->vocab,
            .norm = &norm,
            .scale = m->logit_scale,
            .cap = m->logit_softcap },
    };

    norm.watch = gpu_mark(s, 0, ROLE_NORM_OUT);
    p.rows.watch = gpu_mark(s, 0, ROLE_HEAD);
    return gpu_project(s, &p, e);
}
