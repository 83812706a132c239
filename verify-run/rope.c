#include "verify-run/rope.h"

#include <math.h>

#include "verify-run/config.h"

/* Of any factor: beyond, frequencies would leave the range of float. */
static bool good_factor(double f)
{
    return f >= 1e-6 && f <= 1e6;
}

static int bad(struct err *e, const char *key, const char *wanted)
{
    return err_set(
        e, ERR_REFUSED, "config: rope_scaling: %s is not %s", key, wanted);
}

/* A member that may be left out or null. */
static int optional(
    const struct json *obj, const char *key, double *out, struct err *e)
{
    const struct json *v = json_get(obj, key);

    if (v == NULL || json_kind(v) == JSON_NULL ||
        (json_double(v, out) && config_sane(*out)))
        return 0;
    return bad(e, key, "a number above 0");
}

static int needed(
    const struct json *obj, const char *key, double *out, struct err *e)
{
    const struct json *v = json_get(obj, key);

    if (v == NULL || json_kind(v) == JSON_NULL)
        return bad(e, key, "a number above 0");
    return optional(obj, key, out, e);
}

static int read_linear(struct rope *r, const struct json *v, struct err *e)
{
    r->scaling = ROPE_LINEAR;
    return needed(v, "factor", &r->factor, e);
}

static int read_dynamic(struct rope *r, const struct json *v, struct err *e)
{
    r->scaling = ROPE_DYNAMIC;
    return needed(v, "factor", &r->factor, e);
}

static int read_llama3(struct rope *r, const struct json *v, struct err *e)
{
    r->scaling = ROPE_LLAMA3;
    if (needed(v, "factor", &r->factor, e) != 0 ||
        needed(v, "low_freq_factor", &r->low_freq_factor, e) != 0 ||
        needed(v, "high_freq_factor", &r->high_freq_factor, e) != 0)
        return -1;
    if (r->high_freq_factor <= r->low_freq_factor)
        return bad(e, "high_freq_factor", "above low_freq_factor");
    return needed(
        v, "original_max_position_embeddings", &r->original_context, e);
}

static double yarn_gain(double factor, double m)
{
    return factor <= 1 ? 1 : 0.1 * m * log(factor) + 1;
}

static int read_yarn(struct rope *r, const struct json *v, struct err *e)
{
    double mscale = 0, all = 0;
    bool truncate = true;

    r->scaling = ROPE_YARN;
    r->beta_fast = 32;
    r->beta_slow = 1;
    if (needed(v, "factor", &r->factor, e) != 0 ||
        optional(v, "beta_fast", &r->beta_fast, e) != 0 ||
        optional(v, "beta_slow", &r->beta_slow, e) != 0 ||
        optional(v, "mscale", &mscale, e) != 0 ||
        optional(v, "mscale_all_dim", &all, e) != 0)
        return -1;
    json_bool(json_get(v, "truncate"), &truncate);
    r->no_truncate = !truncate;
    r->attention_factor = yarn_gain(r->factor, 1);
    if (mscale > 0 && all > 0)
        r->attention_factor =
            yarn_gain(r->factor, mscale) / yarn_gain(r->factor, all);
    return optional(v, "attention_factor", &r->attention_factor, e);
}

static int read_factors(float out[ROPE_FACTORS_MAX], uint32_t *n,
    const struct json *obj, const char *key, struct err *e)
{
    const struct json *v = json_get(obj, key);
    uint32_t i = 0;

    if (v == NULL || json_kind(v) != JSON_ARRAY ||
        json_count(v) > ROPE_FACTORS_MAX)
        return bad(e, key, "a list of at most 256 numbers");
    for (v = json_first(v); v != NULL; v = json_next(v)) {
        double d = 0;

        if (!json_double(v, &d) || !good_factor(d))
            return bad(e, key, "a list of numbers above 0");
        out[i++] = (float)d;
    }
    *n = i;
    return 0;
}

static int read_long(struct rope *r, const struct json *v, struct err *e)
{
    uint32_t n = 0;

    r->scaling = ROPE_LONG;
    if (optional(v, "factor", &r->factor, e) != 0 ||
        optional(v, "attention_factor", &r->attention_factor, e) != 0 ||
        read_factors(r->short_factors, &n, v, "short_factor", e) != 0 ||
        read_factors(r->long_factors, &r->n_factors, v, "long_factor", e) != 0)
        return -1;
    return n == r->n_factors ? 0
                             : bad(e, "long_factor", "as long as short_factor");
}

static const struct scaling {
    const char *name;
    int (*read)(struct rope *r, const struct json *v, struct err *e);
} scalings[] = {
    { "default", NULL },
    { "linear", read_linear },
    { "dynamic", read_dynamic },
    { "llama3", read_llama3 },
    { "yarn", read_yarn },
    { "longrope", read_long },
    { "su", read_long },
};

int rope_read(struct rope *r, const struct json *v, struct err *e)
{
    const char *type = "default";

    if (v == NULL || json_kind(v) == JSON_NULL)
        return 0;
    if (json_kind(v) != JSON_OBJECT)
        return err_set(e, ERR_REFUSED, "config: rope_scaling is not an object");
    if (!json_str(json_get(v, "rope_type"), &type))
        json_str(json_get(v, "type"), &type);
    if (optional(v, "rope_theta", &r->base, e) != 0 ||
        optional(v, "partial_rotary_factor", &r->fraction, e) != 0 ||
        optional(v, "original_max_position_embeddings", &r->original_context,
            e) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(scalings); i++)
        if (strcmp(scalings[i].name, type) == 0)
            return scalings[i].read == NULL ? 0 : scalings[i].read(r, v, e);
    return err_set(e, ERR_UNSUPPORTED,
        "config: rotary scaling '%s' is not supported (supported: default, "
        "linear, dynamic, llama3, yarn, longrope)",
        type);
}

static int finish_long(struct rope *r, uint32_t context, struct err *e)
{
    if (r->n_factors != r->dims / 2)
        return bad(e, "long_factor", "half as long as a head's rotary part");
    if (r->original_context != context)
        r->factor = context / r->original_context;
    if (r->attention_factor == 0)
        r->attention_factor =
            r->factor <= 1 || r->original_context <= 1
                ? 1
                : sqrt(1 + log(r->factor) / log(r->original_context));
    return 0;
}

/* Past the length it was made for, a dynamic model goes on by its factor. */
static int finish_dynamic(struct rope *r, uint32_t *context, struct err *e)
{
    double more = *context * r->factor;

    if (r->factor < 1 || r->dims <= 2)
        return bad(e, "factor", "1 or more, with more than 2 dimensions");
    r->original_context = *context;
    *context = more < CONFIG_COUNT_MAX ? (uint32_t)more : CONFIG_COUNT_MAX;
    return 0;
}

int rope_finish(
    struct rope *r, uint32_t head_dim, uint32_t *context, struct err *e)
{
    if (r->fraction < 0 || r->fraction > 1 || !(r->base >= 1) ||
        !config_sane(r->base))
        return err_set(e, ERR_REFUSED,
            "config: the rotary fraction %g or base %g makes no sense",
            r->fraction, r->base);
    if (r->fraction > 0)
        r->dims = (uint32_t)(head_dim * r->fraction);
    if (r->dims % 2 != 0 || r->dims > head_dim)
        return err_set(e, ERR_REFUSED,
            "config: %u rotary dimensions of heads of %u: the number must be "
            "even, and no more",
            r->dims, head_dim);
    if (r->original_context == 0)
        r->original_context = *context;
    if (r->original_context < 1)
        return bad(e, "original_max_position_embeddings", "1 or more");
    if (r->factor != 0 && !good_factor(r->factor))
        return bad(e, "factor", "a number above 0");
    if (r->scaling == ROPE_LONG && finish_long(r, *context, e) != 0)
        return -1;
    if (r->scaling == ROPE_DYNAMIC && finish_dynamic(r, context, e) != 0)
        return -1;
    if (r->scaling == ROPE_YARN && r->base <= 1)
        return bad(e, "rope_theta", "above 1");
    if (r->attention_factor == 0)
        r->attention_factor = 1;
    return 0;
}

/* ---- frequencies ---- */

/* Wavelengths beyond the original context are stretched, short ones kept. */
static float llama3_scale(const struct rope *r, float f)
{
    float wave = 2 * (float)M_PI / f;
    float factor = (float)r->factor;
    float low = (float)r->low_freq_factor;
    float high = (float)r->high_freq_factor;
    float context = (float)r->original_context;
    float blend;

    if (wave < context / high)
        return f;
    if (wave > context / low)
        return f / factor;
    blend = (context / wave - low) / (high - low);
    return (1 - blend) * f / factor + blend * f;
}

/* The pair that turns n times within the original context. */
static double yarn_pair(const struct rope *r, double n)
{
    return r->dims * log(r->original_context / (n * 2 * M_PI)) /
           (2 * log(r->base));
}

/* How much of pair i is stretched, from 0 to 1. */
static float yarn_ramp(const struct rope *r, uint32_t i)
{
    double low = yarn_pair(r, r->beta_fast);
    double high = yarn_pair(r, r->beta_slow);

    if (!r->no_truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, r->dims - 1);
    if (low == high)
        high += 0.001;
    return (float)fmin(fmax((i - low) / (high - low), 0), 1);
}

static float stretched(const struct rope *r, bool is_long, uint32_t i, float f)
{
    float ramp;

    switch (r->scaling) {
    case ROPE_DEFAULT:
    case ROPE_DYNAMIC:
        return f;
    case ROPE_LINEAR:
        return f / (float)r->factor;
    case ROPE_LLAMA3:
        return llama3_scale(r, f);
    case ROPE_YARN:
        ramp = yarn_ramp(r, i);
        return f / (float)r->factor * ramp + f * (1 - ramp);
    case ROPE_LONG:
        return f / (is_long ? r->long_factors[i] : r->short_factors[i]);
    }
    return f;
}

void rope_inv_freq(const struct rope *r, uint32_t length, float *out)
{
    bool is_long = length > r->original_context;
    double base = r->base;

    if (r->scaling == ROPE_DYNAMIC && is_long)
        base *= pow(r->factor * length / r->original_context - (r->factor - 1),
            (double)r->dims / (r->dims - 2));
    for (uint32_t i = 0; i < r->dims / 2; i++) {
        float power = (float)(2 * i) / (float)r->dims;

        out[i] = stretched(r, is_long, i, 1.0f / powf((float)base, power));
    }
}
