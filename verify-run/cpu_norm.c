#include "verify-run/cpu_internal.h"

void cpu_norm_one(const struct model_config *c, float *y, const float *x,
    const float *w, const float *b, size_t n)
{
    switch (c->kinds.norm) {
    case NORM_RMS:
        ops_rmsnorm(y, x, w, n, c->eps);
        return;
    case NORM_RMS_PLUS_ONE:
        ops_rmsnorm_plus_one(y, x, w, n, c->eps);
        return;
    case NORM_LAYER:
    case NORM_LAYER_NO_BIAS:
    case NORM_LAYER_PLAIN:
        ops_layernorm(y, x, w, b, n, c->eps);
        return;
    }
}

void cpu_norm(const struct backend_state *s, uint32_t layer, enum role r,
    const float *x, size_t n, float *y)
{
    const float *w = weights_get(s->w, layer, r, false)->data;
    const float *b = weights_get(s->w, layer, r, true)->data;
    size_t dim = s->c->dim;

    for (size_t t = 0; t < n; t++)
        cpu_norm_one(s->c, y + t * dim, x + t * dim, w, b, dim);
}
