#include "kit.h"

#include <math.h>

#include "verify-run/alibi.h"
#include "verify-run/shape.h"

enum { DIMS_MAX = 8192 };

static void check_rope(const struct rope *r, uint32_t length)
{
    float freq[DIMS_MAX / 2];

    if (r->dims == 0 || r->dims > DIMS_MAX)
        return;
    must(isfinite(r->attention_factor) && r->attention_factor > 0);
    rope_inv_freq(r, length, freq);
    for (uint32_t i = 0; i < r->dims / 2; i++)
        must(isfinite(freq[i]) && freq[i] >= 0);
}

static void check_alibi(const struct model_config *c)
{
    float slopes[DIMS_MAX], bias[64];

    if (c->heads > DIMS_MAX)
        return;
    alibi_slopes(c, slopes);
    for (uint32_t h = 0; h < c->heads; h++)
        must(isfinite(slopes[h]) && slopes[h] >= 0);
    if (!alibi_is_rounded(c) || c->heads > 32)
        return;
    alibi_bias(c, 2, bias);
    for (uint32_t i = 0; i < 2 * c->heads; i++)
        must(isfinite(bias[i]) && bias[i] >= 0);
}

/* What a layer is made of, and how what it adds is scaled. */
static void check_parts(const struct model_config *c)
{
    bool moe = c->kinds.mlp == MLP_MOE;

    must(c->layers <= CONFIG_LAYERS_MAX);
    for (uint32_t i = 0; i < c->layers; i++)
        must(config_window(c, i) == 0 || config_window(c, i) == c->window);
    must(moe == (c->experts > 0));
    must(!moe || (c->experts_used > 0 && c->experts_used <= c->experts));
    must(c->experts <= CONFIG_EXPERTS_MAX);
    must(config_sane(c->attention_scale) && config_sane(c->embed_scale));
    must(config_sane(c->residual_scale) && config_sane(c->logit_scale));
    must(c->softcap >= 0 && c->logit_softcap >= 0 && c->clip_qkv >= 0);
    must(!c->has_local || c->local.dims == c->rope.dims);
}

void kit_config(const struct model_config *c)
{
    uint64_t shape[2] = { 0, 0 }, n;

    must(c->arch != NULL && c->vocab > 0 && c->dim > 0 && c->layers > 0);
    must(c->heads > 0 && c->kv_heads > 0 && c->heads % c->kv_heads == 0);
    must(c->head_dim > 0 && c->inner > 0 && c->context > 0);
    must(isfinite(c->eps) && c->n_eos <= CONFIG_EOS_MAX);
    must(c->rope.dims % 2 == 0 && c->rope.dims <= c->head_dim);
    for (unsigned r = 0; r < ROLE_COUNT; r++)
        for (unsigned bias = 0; bias < 2; bias++) {
            uint32_t rank = shape_of(c, (enum role)r, bias, shape);

            must(rank <= 2);
            must(rank == 0 || tensor_count(shape, rank, &n));
        }
    check_parts(c);
    check_alibi(c);
    check_rope(&c->rope, 1);
    check_rope(&c->rope, c->context);
    if (c->has_local)
        check_rope(&c->local, c->context);
}
