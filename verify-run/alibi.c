#include "verify-run/alibi.h"

#include <math.h>

#include "formats/cast.h"

/*
 * BLOOM: powers of one base for the largest power of two of heads, and for
 * the heads left over the odd powers of the base for twice as many.
 */
static double bloom_slope(uint32_t heads, uint32_t h)
{
    uint32_t n = 1;

    while (n <= heads / 2)
        n *= 2;
    if (h < n)
        return exp2(-8.0 / n * (h + 1));
    return exp2(-4.0 / n * (2.0 * (h - n) + 1));
}

/* MPT: of the next power of two of heads, the odd ones first if too many. */
static double mpt_slope(uint32_t heads, uint32_t h, double max)
{
    uint32_t n = 1;

    while (n < heads)
        n *= 2;
    if (n != heads)
        h = h < n / 2 ? 2 * h + 1 : 2 * (h - n / 2);
    return exp2(-max * (h + 1) / n);
}

static float slope(const struct model_config *c, uint32_t h)
{
    switch (c->kinds.position) {
    case POSITION_ALIBI:
        return (float)bloom_slope(c->heads, h);
    case POSITION_ALIBI_MPT:
        return (float)mpt_slope(c->heads, h, c->alibi_max);
    case POSITION_ROPE_HALF:
    case POSITION_ROPE_ADJACENT:
    case POSITION_LEARNED:
    case POSITION_ALIBI_FALCON:
        break;
    }
    return 0;
}

void alibi_slopes(const struct model_config *c, float *out)
{
    for (uint32_t h = 0; h < c->heads; h++)
        out[h] = slope(c, h);
}

static float rounded(float v)
{
    return cast_bf16_to_f32(cast_f32_to_bf16(v));
}

bool alibi_is_rounded(const struct model_config *c)
{
    return c->kinds.position == POSITION_ALIBI_FALCON;
}

void alibi_bias(const struct model_config *c, uint32_t positions, float *out)
{
    for (uint32_t h = 0; h < c->heads; h++) {
        float s = rounded((float)bloom_slope(c->heads, h));

        for (uint32_t p = 0; p < positions; p++)
            *out++ = rounded(s * rounded((float)p)) * (float)c->attention_scale;
    }
}
