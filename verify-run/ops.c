/*
 * The reference of every operation, and the choice among fast twins. Sums
 * run in double: the reference is for truth, not for speed.
 */
#include "verify-run/ops.h"

#include <math.h>

#include "formats/cast.h"
#include "verify-run/ops_internal.h"

/* Sums that do not wait for each other, where a pass is serial. */
enum { LANES = 16 };

/* One element of a matrix that may lie at any address. */
static float element(const void *w, enum dtype dtype, size_t i)
{
    const uint8_t *p = w;
    uint16_t half;
    float f;

    if (dtype == DTYPE_F32) {
        memcpy(&f, p + 4 * i, sizeof(f));
        return f;
    }
    if (dtype == DTYPE_I8)
        return (float)(int8_t)p[i];
    memcpy(&half, p + 2 * i, sizeof(half));
    return dtype == DTYPE_F16 ? cast_f16_to_f32(half) : cast_bf16_to_f32(half);
}

static void scalar_rows(const struct ops_rows *j, size_t first, size_t end)
{
    for (size_t row = first; row < end; row++) {
        for (size_t t = 0; t < j->n; t++) {
            const float *x = j->x + t * j->x_step;
            double sum = 0;

            for (size_t k = 0; k < j->cols; k++)
                sum += (double)element(j->w, j->dtype, row * j->cols + k) *
                       (double)x[k];
            j->y[t * j->y_step + row] = (float)sum;
        }
    }
}

static void scalar_mix(const struct ops_mix *m, size_t first, size_t end)
{
    for (size_t t = 0; t < m->n; t++) {
        float *y = m->y + t * m->y_step;

        for (size_t i = first; i < end; i++) {
            float weight = m->weights[t * m->weights_step + i];

            for (size_t d = 0; d < m->cols; d++)
                y[d] += weight * m->values[i * m->cols + d];
        }
    }
}

const struct ops ops_scalar = {
    .name = "scalar",
    .rows = scalar_rows,
    .mix = scalar_mix,
    .fixed = &fixed_scalar,
};

const struct ops *ops_nth(size_t i)
{
    return i == 0 ? &ops_scalar : ops_x86_nth(i - 1);
}

const struct ops *ops_best(void)
{
    const struct ops *best = &ops_scalar;
    const struct ops *next;

    for (size_t i = 1; (next = ops_nth(i)) != NULL; i++)
        best = next;
    return best;
}

void ops_widen(float *out, const void *row, enum dtype dtype, size_t n)
{
    for (size_t k = 0; k < n; k++)
        out[k] = element(row, dtype, k);
}

static float rms_scale(const float *x, size_t n, double eps)
{
    double lane[LANES] = { 0 };
    double sum = 0;
    size_t k = 0;

    for (; k + LANES <= n; k += LANES)
        for (size_t i = 0; i < LANES; i++)
            lane[i] += (double)x[k + i] * (double)x[k + i];
    for (; k < n; k++)
        sum += (double)x[k] * (double)x[k];
    for (size_t i = 0; i < LANES; i++)
        sum += lane[i];
    return (float)(1.0 / sqrt(sum / (double)n + eps));
}

void ops_rmsnorm(float *y, const float *x, const float *w, size_t n, double eps)
{
    float scale = rms_scale(x, n, eps);

    for (size_t k = 0; k < n; k++)
        y[k] = x[k] * scale * w[k];
}

void ops_rmsnorm_plus_one(
    float *y, const float *x, const float *w, size_t n, double eps)
{
    float scale = rms_scale(x, n, eps);

    for (size_t k = 0; k < n; k++)
        y[k] = x[k] * scale * (1.0f + w[k]);
}

void ops_layernorm(float *y, const float *x, const float *w, const float *b,
    size_t n, double eps)
{
    double mean = 0;
    double var = 0;
    double scale;

    for (size_t k = 0; k < n; k++)
        mean += (double)x[k];
    mean /= (double)n;
    for (size_t k = 0; k < n; k++)
        var += ((double)x[k] - mean) * ((double)x[k] - mean);
    scale = 1.0 / sqrt(var / (double)n + eps);
    for (size_t k = 0; k < n; k++) {
        y[k] = (float)(((double)x[k] - mean) * scale);
        if (w != NULL)
            y[k] *= w[k];
        if (b != NULL)
            y[k] += b[k];
    }
}

void ops_rope_table(float *cs, const float *inv_freq, size_t half, uint32_t pos)
{
    for (size_t i = 0; i < half; i++) {
        float angle = (float)pos * inv_freq[i];

        cs[i] = cosf(angle);
        cs[half + i] = sinf(angle);
    }
}

void ops_rope(float *head, const float *cs, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        float a = head[i];
        float b = head[i + half];

        head[i] = a * cs[i] - b * cs[half + i];
        head[i + half] = b * cs[i] + a * cs[half + i];
    }
}

void ops_rope_adjacent(float *head, const float *cs, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        float a = head[2 * i];
        float b = head[2 * i + 1];

        head[2 * i] = a * cs[i] - b * cs[half + i];
        head[2 * i + 1] = b * cs[i] + a * cs[half + i];
    }
}

void ops_softmax(float *x, size_t n)
{
    float top = x[0];
    float scale;
    double sum = 0;

    for (size_t k = 1; k < n; k++)
        top = x[k] > top ? x[k] : top;
    for (size_t k = 0; k < n; k++) {
        x[k] = expf(x[k] - top);
        sum += (double)x[k];
    }
    scale = (float)(1.0 / sum);
    for (size_t k = 0; k < n; k++)
        x[k] *= scale;
}

static float gelu_tanh(float x)
{
    const float root = 0.7978845608028654f; /* sqrt(2 / pi) */

    return 0.5f * x * (1.0f + tanhf(root * (x + 0.044715f * x * x * x)));
}

static float gelu_erf(float x)
{
    return 0.5f * x * (1.0f + erff(x * 0.7071067811865476f));
}

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* Written so that a NaN stays one: the finite check must see it. */
static float clip(float x, float low, float high)
{
    if (x < low)
        return low;
    return x > high ? high : x;
}

static float relu(float x)
{
    return x < 0.0f ? 0.0f : x;
}

/* log(1 + e^x), which is x where e^x would be too large. */
static float softplus(float x)
{
    return x > 20.0f ? x : log1pf(expf(x));
}

/* One loop per kind, so that the compiler sees the function in it. */
#define EACH(f)                                                                \
    do {                                                                       \
        for (size_t k = 0; k < n; k++)                                         \
            x[k] = (f);                                                        \
    } while (0)

void ops_activate(float *x, size_t n, enum activation act)
{
    switch (act) {
    case ACT_GELU:
        EACH(gelu_erf(x[k]));
        return;
    case ACT_GELU_TANH:
        EACH(gelu_tanh(x[k]));
        return;
    case ACT_GELU_QUICK:
        EACH(x[k] * sigmoid(1.702f * x[k]));
        return;
    case ACT_GELU_CLIP10:
        EACH(clip(gelu_erf(x[k]), -10.0f, 10.0f));
        return;
    case ACT_SILU:
        EACH(x[k] / (1.0f + expf(-x[k])));
        return;
    case ACT_RELU:
        EACH(relu(x[k]));
        return;
    case ACT_RELU2:
        EACH(relu(x[k]) * relu(x[k]));
        return;
    case ACT_RELU6:
        EACH(clip(x[k], 0.0f, 6.0f));
        return;
    case ACT_TANH:
        EACH(tanhf(x[k]));
        return;
    case ACT_SIGMOID:
        EACH(sigmoid(x[k]));
        return;
    case ACT_LINEAR:
        return;
    case ACT_LEAKY_RELU:
        EACH(x[k] < 0.0f ? 0.01f * x[k] : x[k]);
        return;
    case ACT_MISH:
        EACH(x[k] * tanhf(softplus(x[k])));
        return;
    }
}

void ops_scale(float *x, float a, size_t n)
{
    EACH(x[k] * a);
}

void ops_clip(float *x, float limit, size_t n)
{
    EACH(clip(x[k], -limit, limit));
}

void ops_softcap(float *x, float cap, size_t n)
{
    EACH(cap * tanhf(x[k] / cap));
}

void ops_add(float *x, const float *y, size_t n)
{
    for (size_t k = 0; k < n; k++)
        x[k] += y[k];
}

/* ---- attention ---- */

/* What query t sees, counted from the first key that any of them sees. */
struct keys {
    size_t first;
    size_t end;
};

static size_t first_key(const struct ops_attention *a, size_t t)
{
    return a->window > 0 && a->n + t > a->window ? a->n + t - a->window : 0;
}

static struct keys keys_of(const struct ops_attention *a, size_t t)
{
    size_t base = first_key(a, 0);

    return (struct keys){ first_key(a, t) - base, a->n + t - base };
}

/* Query t's products with n keys, the last its own, become weights. */
static void weigh(
    const struct ops_attention *a, size_t t, float *scores, size_t n)
{
    ops_scale(scores, a->scale, n);
    if (a->softcap > 0)
        ops_softcap(scores, a->softcap, n);
    for (size_t i = 0; a->slope != 0 && i < n; i++)
        scores[i] -= a->slope * (float)(n - 1 - i);
    if (a->bias != NULL)
        ops_add(scores, a->bias + first_key(a, t), n);
    ops_softmax(scores, n);
}

static void mix_one(
    const struct ops *o, struct ops_mix m, size_t t, size_t first, size_t end)
{
    m.weights += t * m.weights_step;
    m.y += t * m.y_step;
    m.n = 1;
    o->mix(&m, first, end);
}

/*
 * Keys that all of the queries see are taken for all at once; what is before
 * and behind them belongs to one query or a few.
 */
static void mix_all(
    const struct ops *o, const struct ops_attention *a, const struct ops_mix *m)
{
    size_t first = keys_of(a, a->queries - 1).first;
    size_t end = size_max(first, keys_of(a, 0).end);

    for (size_t t = 0; t < a->queries; t++) {
        struct keys k = keys_of(a, t);

        memset(m->y + t * m->y_step, 0, m->cols * sizeof(*m->y));
        mix_one(o, *m, t, k.first, size_min(first, k.end));
    }
    o->mix(m, first, end);
    for (size_t t = 0; t < a->queries; t++) {
        struct keys k = keys_of(a, t);

        mix_one(o, *m, t, size_max(end, k.first), k.end);
    }
}

void ops_attention(const struct ops *o, const struct ops_attention *a)
{
    size_t base = first_key(a, 0) * a->head_dim;
    size_t span = keys_of(a, a->queries - 1).end;
    const struct ops_rows products = {
        .w = a->k + base,
        .dtype = DTYPE_F32,
        .cols = a->head_dim,
        .x = a->q,
        .x_step = a->q_step,
        .n = a->queries,
        .y = a->scores,
        .y_step = span,
    };
    const struct ops_mix mix = {
        .weights = a->scores,
        .weights_step = span,
        .values = a->v + base,
        .cols = a->head_dim,
        .n = a->queries,
        .y = a->out,
        .y_step = a->out_step,
    };

    o->rows(&products, 0, span);
    for (size_t t = 0; t < a->queries; t++) {
        struct keys k = keys_of(a, t);

        weigh(a, t, a->scores + t * span + k.first, k.end - k.first);
    }
    mix_all(o, a, &mix);
}

bool ops_finite(const float *x, size_t n)
{
    float zero[LANES] = { 0 };
    float sum = 0;
    size_t k = 0;

    /* 0 * inf and 0 * nan are nan, which then stays in the sum. */
    for (; k + LANES <= n; k += LANES)
        for (size_t i = 0; i < LANES; i++)
            zero[i] += x[k + i] * 0.0f;
    for (; k < n; k++)
        sum += x[k] * 0.0f;
    for (size_t i = 0; i < LANES; i++)
        sum += zero[i];
    return sum == 0.0f;
}

size_t ops_argmax(const float *x, size_t n)
{
    size_t best = 0;

    for (size_t k = 1; k < n; k++)
        if (x[k] > x[best])
            best = k;
    return best;
}

double ops_log_sum(const float *x, size_t n)
{
    double most = -INFINITY;
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        most = fmax(most, (double)x[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - most);
    return log(sum) + most;
}
