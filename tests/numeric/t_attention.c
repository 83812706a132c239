/*
 * t_attention.c - weighed sums and attention against plain computations in
 * double, and the bits of a query alone against those among others.
 */
#include "tests/numeric/noise.h"
#include "tests/unit/tap.h"
#include "verify-run/ops.h"

/* y += weights times values, of any shape; nothing past the end is read. */
static void test_mix(const struct ops *o)
{
    double far = 0;

    for (size_t cols = 1; cols <= 150; cols += cols < 70 ? 1 : 13) {
        size_t n = 1 + cols % 14;
        size_t keys = 1 + cols % 9;
        float *weights = guarded(n * keys * sizeof(float));
        float *values = guarded(keys * cols * sizeof(float));
        float *y = guarded(n * cols * sizeof(float));
        struct ops_mix m = { weights, keys, values, cols, n, y, cols };

        fill(weights, n * keys);
        fill(values, keys * cols);
        fill(y, n * cols);
        for (size_t t = 0; t < n; t++) {
            for (size_t d = 0; d < cols; d++) {
                double want = (double)y[t * cols + d];
                struct ops_mix one = m;
                float got;

                for (size_t i = 0; i < keys; i++)
                    want += (double)weights[t * keys + i] *
                            (double)values[i * cols + d];
                one.n = t + 1;
                one.y = malloc(n * cols * sizeof(float));
                memcpy(one.y, y, n * cols * sizeof(float));
                o->mix(&one, 0, keys / 2);
                o->mix(&one, keys / 2, keys);
                got = one.y[t * cols + d];
                free(one.y);
                want = fabs((double)got - want);
                far = want <= far ? far : want;
            }
        }
    }
    ok(far <= 2e-6, "%s: weighed sums, off by %.2g", o->name, far);
}

/* ---- attention ---- */

enum { QUERIES = 14, KEYS = 40, DIM = 72, STEP = 2 * DIM };

struct problem {
    float q[QUERIES * STEP];
    float k[(KEYS + QUERIES) * DIM];
    float v[(KEYS + QUERIES) * DIM];
    float scores[QUERIES * (KEYS + QUERIES)];
    float out[QUERIES * STEP];
};

static struct ops_attention job(struct problem *p, size_t queries, size_t n)
{
    return (struct ops_attention){
        .q = p->q,
        .q_step = STEP,
        .queries = queries,
        .k = p->k,
        .v = p->v,
        .n = n,
        .head_dim = DIM,
        .scale = 0.25f,
        .scores = p->scores,
        .out = p->out,
        .out_step = STEP,
    };
}

/* Column d of query t's answer. */
static double plain(const struct ops_attention *a, size_t t, size_t d)
{
    size_t end = a->n + t;
    size_t first = a->window > 0 && end > a->window ? end - a->window : 0;
    double sum = 0;
    double all = 0;

    for (size_t i = first; i < end; i++) {
        double s = 0;

        for (size_t k = 0; k < a->head_dim; k++)
            s += (double)a->q[t * a->q_step + k] *
                 (double)a->k[i * a->head_dim + k];
        s *= (double)a->scale;
        if (a->softcap > 0)
            s = (double)a->softcap * tanh(s / (double)a->softcap);
        s += (double)a->slope * (double)i;
        s = exp(s + (a->bias != NULL ? (double)a->bias[i] : 0));
        all += s;
        sum += s * (double)a->v[i * a->head_dim + d];
    }
    return sum / all;
}

static double error_of(const struct ops_attention *a)
{
    double far = 0;

    for (size_t t = 0; t < a->queries; t++) {
        for (size_t d = 0; d < a->head_dim; d++) {
            double off =
                fabs((double)a->out[t * a->out_step + d] - plain(a, t, d));

            far = off <= far ? far : off;
        }
    }
    return far;
}

/* Each query of the job alone. */
static bool same_alone(const struct ops *o, const struct ops_attention *a)
{
    bool same = true;

    for (size_t t = 0; t < a->queries; t++) {
        float out[DIM];
        float scores[KEYS + QUERIES];
        struct ops_attention one = *a;

        one.q += t * a->q_step;
        one.queries = 1;
        one.n += t;
        one.scores = scores;
        one.out = out;
        ops_attention(o, &one);
        same = same && memcmp(out, a->out + t * a->out_step, sizeof(out)) == 0;
    }
    return same;
}

static void test_attention(
    const struct ops *o, float softcap, float slope, bool biased)
{
    static struct problem p;
    float bias[KEYS + QUERIES];
    double far = 0;
    bool same = true;

    fill(p.q, ARRAY_LEN(p.q));
    fill(p.k, ARRAY_LEN(p.k));
    fill(p.v, ARRAY_LEN(p.v));
    fill(bias, ARRAY_LEN(bias));
    for (size_t queries = 1; queries <= QUERIES; queries++) {
        for (size_t window = 0; window <= 20; window += 5) {
            struct ops_attention a =
                job(&p, queries, queries % 3 == 0 ? KEYS : queries);
            double d;

            a.softcap = softcap;
            a.slope = slope;
            a.bias = biased ? bias : NULL;
            a.window = window;
            ops_attention(o, &a);
            d = error_of(&a);
            far = d <= far ? far : d;
            same = same_alone(o, &a) && same;
        }
    }
    ok(far <= 2e-6, "%s: attention, off by %.2g", o->name, far);
    ok(same, "%s: a query alone and among others, the same bits", o->name);
}

static void test_first(const struct ops *o)
{
    static struct problem p;
    struct ops_attention a = job(&p, 1, 1);

    fill(p.q, ARRAY_LEN(p.q));
    fill(p.v, ARRAY_LEN(p.v));
    ops_attention(o, &a);
    ok(memcmp(p.out, p.v, DIM * sizeof(float)) == 0,
        "%s: one position is its value", o->name);
}

int main(void)
{
    const struct ops *o;

    for (size_t i = 0; (o = ops_nth(i)) != NULL; i++) {
        test_mix(o);
        test_attention(o, 0, 0, false);
        test_attention(o, 0, 0, true);
        test_attention(o, 1.5f, 0, false);
        test_attention(o, 0, 0.3f, false);
        test_first(o);
    }
    return done();
}
