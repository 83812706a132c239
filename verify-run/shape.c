#include "verify-run/shape.h"

struct shape_residual shape_residual(enum residual_kind kind)
{
    static const struct shape_residual kinds[] = {
        [RESIDUAL_SEQUENTIAL] = { .pre = true },
        [RESIDUAL_PARALLEL] = { .pre = true, .parallel = true },
        [RESIDUAL_SHARED] = { .pre = true, .parallel = true, .shared = true },
        [RESIDUAL_SANDWICH] = { .pre = true, .post = true },
        [RESIDUAL_POSTNORM] = { .post = true },
    };

    return kinds[kind];
}

uint32_t shape_items(const struct model_config *c, enum role r)
{
    switch (r) {
    case ROLE_Q_NORM:
        return c->kinds.qk_norm == QK_NORM_EACH ? c->heads : 1;
    case ROLE_K_NORM:
        return c->kinds.qk_norm == QK_NORM_EACH ? c->kv_heads : 1;
    case ROLE_GATE:
    case ROLE_UP:
    case ROLE_DOWN:
        return c->kinds.mlp == MLP_MOE ? c->experts : 1;
    default:
        return 1;
    }
}

static bool norm_exists(const struct model_config *c, enum role r)
{
    struct shape_residual s = shape_residual(c->kinds.residual);

    if (r == ROLE_Q_NORM || r == ROLE_K_NORM)
        return c->kinds.qk_norm != QK_NORM_NONE;
    if (c->kinds.norm == NORM_LAYER_PLAIN)
        return false;
    if (r == ROLE_NORM1)
        return s.pre;
    if (r == ROLE_NORM2)
        return s.pre && !s.shared;
    if (r == ROLE_NORM1_POST || r == ROLE_NORM2_POST)
        return s.post;
    return true;
}

static bool exists(const struct model_config *c, enum role r)
{
    const struct arch_kinds *k = &c->kinds;

    if (c->arch->names[r] == NULL)
        return false;
    if (role_is_norm(r))
        return norm_exists(c, r);
    switch (r) {
    case ROLE_POSITION:
        return k->position == POSITION_LEARNED;
    case ROLE_HEAD:
        return !c->tied;
    case ROLE_QKV:
        return k->qkv != QKV_SPLIT;
    case ROLE_Q:
    case ROLE_K:
    case ROLE_V:
        return k->qkv == QKV_SPLIT;
    case ROLE_ROUTER:
        return k->mlp == MLP_MOE;
    case ROLE_GATE_UP:
        return k->mlp == MLP_FUSED;
    case ROLE_GATE:
        return k->mlp == MLP_GATED || k->mlp == MLP_MOE;
    case ROLE_UP:
        return k->mlp != MLP_FUSED;
    default:
        return true;
    }
}

static bool has_bias(const struct model_config *c, enum role r)
{
    if (role_is_norm(r))
        return c->kinds.norm == NORM_LAYER && r != ROLE_Q_NORM &&
               r != ROLE_K_NORM;
    switch (r) {
    case ROLE_HEAD:
        return c->head_bias;
    case ROLE_QKV:
    case ROLE_Q:
    case ROLE_K:
    case ROLE_V:
        return c->qkv_bias;
    case ROLE_O:
        return c->o_bias;
    case ROLE_GATE_UP:
    case ROLE_GATE:
    case ROLE_UP:
    case ROLE_DOWN:
        return c->mlp_bias;
    default:
        return false;
    }
}

/* A norm's length; of queries and keys it depends on what shares it. */
static void norm_shape(
    const struct model_config *c, enum role r, uint64_t shape[2])
{
    uint64_t heads = r == ROLE_Q_NORM ? c->heads : c->kv_heads;

    shape[0] = c->dim;
    shape[1] = 1;
    if (r != ROLE_Q_NORM && r != ROLE_K_NORM)
        return;
    shape[0] = c->head_dim;
    if (c->kinds.qk_norm == QK_NORM_WHOLE)
        shape[0] = heads * c->head_dim;
    if (c->kinds.qk_norm == QK_NORM_ROWS) {
        shape[0] = heads;
        shape[1] = c->head_dim;
    }
}

static void matrix_shape(
    const struct model_config *c, enum role r, uint64_t shape[2])
{
    uint64_t q = (uint64_t)c->heads * c->head_dim;
    uint64_t kv = (uint64_t)c->kv_heads * c->head_dim;

    shape[0] = c->dim;
    shape[1] = c->dim;
    if (r == ROLE_EMBED || r == ROLE_HEAD)
        shape[0] = c->vocab;
    else if (r == ROLE_POSITION)
        shape[0] = (uint64_t)c->context + c->position_offset;
    else if (r == ROLE_QKV)
        shape[0] = q + 2 * kv;
    else if (r == ROLE_Q)
        shape[0] = q;
    else if (r == ROLE_K || r == ROLE_V)
        shape[0] = kv;
    else if (r == ROLE_O)
        shape[1] = q;
    else if (r == ROLE_ROUTER)
        shape[0] = c->experts;
    else if (r == ROLE_GATE_UP)
        shape[0] = 2 * (uint64_t)c->inner;
    else if (r == ROLE_GATE || r == ROLE_UP)
        shape[0] = c->inner;
    else if (r == ROLE_DOWN)
        shape[1] = c->inner;
}

uint32_t shape_of(
    const struct model_config *c, enum role r, bool bias, uint64_t shape[2])
{
    if (!exists(c, r) || (bias && !has_bias(c, r)))
        return 0;
    if (role_is_norm(r))
        norm_shape(c, r, shape);
    else
        matrix_shape(c, r, shape);
    if (bias || (role_is_norm(r) && shape[1] == 1)) {
        shape[1] = 1;
        return 1;
    }
    return 2;
}
