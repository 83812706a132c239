/*
 * t_ops.c - every operation against a plain computation in double, every
 * fast twin against the same, at all small lengths and odd alignments. A
 * test is "error <= bound holds", so a NaN fails.
 */
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/cast.h"
#include "tests/unit/tap.h"
#include "verify-run/ops.h"

enum { LONGEST = 300, VECTORS = 9, ROWS = 5 };

static uint64_t seed = 12345;

/* -1 .. 1 */
static float noise(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(seed >> 40) / 8388608.0 - 1.0);
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = noise();
}

static bool near(double got, double want, double bound)
{
    return fabs(got - want) <= bound;
}

/* ---- memory that faults right behind its end ---- */

struct guarded {
    uint8_t *base;
    size_t len;
};

static void *guard_alloc(struct guarded *g, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    g->len = ((bytes + page - 1) / page + 1) * page;
    g->base = mmap(NULL, g->len, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g->base == MAP_FAILED ||
        mprotect(g->base + g->len - page, page, PROT_NONE) != 0) {
        printf("Bail out! mmap\n");
        _exit(1);
    }
    return g->base + g->len - page - bytes;
}

/* ---- rows ---- */

/* Largest error in units of the sum of |w x|, which rounding grows with. */
static double rows_error(
    const struct ops *o, const struct ops_rows *j, size_t rows)
{
    float w[LONGEST];
    double out = 0;

    o->rows(j, 0, rows);
    for (size_t r = 0; r < rows; r++) {
        ops_widen(w,
            (const uint8_t *)j->w + r * j->cols * dtype_bytes(j->dtype),
            j->dtype, j->cols);
        for (size_t t = 0; t < j->n; t++) {
            double sum = 0;
            double size = 1e-30;
            double d;

            for (size_t k = 0; k < j->cols; k++) {
                double p = (double)w[k] * (double)j->x[t * j->x_step + k];

                sum += p;
                size += fabs(p);
            }
            d = fabs((double)j->y[t * j->y_step + r] - sum) / size;
            out = d <= out ? out : d;
        }
    }
    return out;
}

static void test_rows(const struct ops *o, enum dtype t)
{
    float plain[ROWS * LONGEST];
    float y[VECTORS * ROWS];
    struct guarded gw;
    struct guarded gx;
    double far = 0;

    for (size_t cols = 1; cols <= LONGEST; cols += cols < 140 ? 1 : 53) {
        size_t n = 1 + cols % VECTORS;
        uint8_t *w = guard_alloc(&gw, ROWS * cols * dtype_bytes(t));
        float *x = guard_alloc(&gx, n * cols * sizeof(float));
        struct ops_rows j = { .w = w,
            .dtype = t,
            .cols = cols,
            .x = x,
            .x_step = cols,
            .n = n,
            .y = y,
            .y_step = ROWS };
        double d;

        fill(plain, ROWS * cols);
        cast_array(w, t, plain, DTYPE_F32, ROWS * cols);
        fill(x, n * cols);
        d = rows_error(o, &j, ROWS);
        far = d <= far ? far : d;
        munmap(gw.base, gw.len);
        munmap(gx.base, gx.len);
    }
    ok(far <= 1e-6, "%s: rows of %s, off by %.2g, nothing read past the end",
        o->name, dtype_name(t), far);
}

/* A matrix in a file is aligned to its elements, no more. */
static void test_rows_unaligned(const struct ops *o)
{
    static const enum dtype types[] = { DTYPE_F32, DTYPE_F16, DTYPE_BF16 };
    uint8_t bytes[64 + ROWS * 100 * 4];
    float plain[ROWS * 100];
    float x[2 * 101];
    float y[2 * ROWS];
    double far = 0;

    fill(plain, ARRAY_LEN(plain));
    fill(x, ARRAY_LEN(x));
    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        for (size_t shift = 0; shift < 64; shift += dtype_bytes(types[t])) {
            struct ops_rows j = { .w = bytes + shift,
                .dtype = types[t],
                .cols = 100,
                .x = x + 1,
                .x_step = 100,
                .n = 2,
                .y = y,
                .y_step = ROWS };
            double d;

            cast_array(
                bytes + shift, types[t], plain, DTYPE_F32, ARRAY_LEN(plain));
            d = rows_error(o, &j, ROWS);
            far = d <= far ? far : d;
        }
    }
    ok(far <= 1e-6, "%s: rows at any address, off by %.2g", o->name, far);
}

/* One vector alone and in any company gives the same bits. */
static void test_rows_alone(const struct ops *o, enum dtype type)
{
    uint16_t w[3 * 77];
    float plain[3 * 77];
    float x[VECTORS * 77];
    float all[VECTORS * 3];
    float one[3];
    bool same = true;

    fill(plain, ARRAY_LEN(plain));
    fill(x, ARRAY_LEN(x));
    cast_array(w, type, plain, DTYPE_F32, ARRAY_LEN(plain));
    for (size_t n = 1; n <= VECTORS; n++) {
        struct ops_rows j = { .w = w,
            .dtype = type,
            .cols = 77,
            .x = x,
            .x_step = 77,
            .n = n,
            .y = all,
            .y_step = 3 };

        o->rows(&j, 0, 3);
        for (size_t t = 0; t < n; t++) {
            j = (struct ops_rows){ .w = w,
                .dtype = type,
                .cols = 77,
                .x = x + t * 77,
                .x_step = 77,
                .n = 1,
                .y = one,
                .y_step = 3 };
            o->rows(&j, 0, 2);
            o->rows(&j, 2, 3);
            same = same && memcmp(one, all + t * 3, sizeof(one)) == 0;
        }
    }
    ok(same, "%s: a vector's result does not depend on the batch, %s", o->name,
        dtype_name(type));
}

static void test_rows_special(const struct ops *o)
{
    uint16_t w[20];
    float x[20];
    float y = 0;
    struct ops_rows j = { .w = w,
        .dtype = DTYPE_F16,
        .cols = 20,
        .x = x,
        .x_step = 20,
        .n = 1,
        .y = &y,
        .y_step = 1 };

    for (size_t i = 0; i < 20; i++) {
        w[i] = 0x0001; /* the smallest half */
        x[i] = 1;
    }
    o->rows(&j, 0, 1);
    ok(y == 20 * 0x1p-24f, "%s: subnormal halves count", o->name);
    w[19] = 0x7c00;
    o->rows(&j, 0, 1);
    ok(isinf(y), "%s: infinity stays", o->name);
    w[3] = 0x7e00;
    o->rows(&j, 0, 1);
    ok(isnan(y), "%s: NaN stays", o->name);
}

/* ---- the small operations ---- */

static void test_norms(void)
{
    float x[67];
    float w[67];
    float b[67];
    float y[67];
    double mean = 0;
    double square = 0;
    double var = 0;
    bool rms = true;
    bool layer = true;
    bool plain = true;

    fill(x, 67);
    fill(w, 67);
    fill(b, 67);
    for (int i = 0; i < 67; i++) {
        mean += (double)x[i] / 67;
        square += (double)x[i] * (double)x[i] / 67;
    }
    for (int i = 0; i < 67; i++)
        var += ((double)x[i] - mean) * ((double)x[i] - mean) / 67;
    ops_rmsnorm(y, x, w, 67, 1e-5);
    for (int i = 0; i < 67; i++)
        rms =
            rms &&
            near(y[i], (double)x[i] / sqrt(square + 1e-5) * (double)w[i], 1e-6);
    ops_layernorm(y, x, w, NULL, 67, 1e-5);
    for (int i = 0; i < 67; i++)
        plain =
            plain &&
            near(y[i], ((double)x[i] - mean) / sqrt(var + 1e-5) * (double)w[i],
                1e-6);
    ops_layernorm(x, x, w, b, 67, 1e-5);
    for (int i = 0; i < 67; i++)
        layer = layer && near(x[i], (double)y[i] + (double)b[i], 1e-6);
    ok(rms, "RMS norm");
    ok(plain, "layer norm without bias");
    ok(layer, "layer norm with bias, in place");
}

static void test_norm_zero(void)
{
    float x[4] = { 0 };
    float w[4] = { 1, 1, 1, 1 };

    ops_rmsnorm(x, x, w, 4, 1e-6);
    ok(x[0] == 0, "RMS norm of zeros is zeros");
    ops_layernorm(x, x, w, NULL, 4, 1e-6);
    ok(x[3] == 0, "layer norm of zeros is zeros");
}

static void test_rope(void)
{
    const float inv_freq[3] = { 1.0f, 0.1f, 0.01f };
    float head[8];
    float old[8];
    float cs[6];
    bool good = true;

    fill(head, 8);
    memcpy(old, head, sizeof(head));
    ops_rope_table(cs, inv_freq, 3, 0);
    ops_rope(head, cs, 3);
    ok(memcmp(head, old, sizeof(head)) == 0, "position 0 turns nothing");
    ops_rope_table(cs, inv_freq, 3, 5);
    ops_rope(head, cs, 3);
    for (int i = 0; i < 3; i++) {
        double a = 5 * (double)inv_freq[i];

        good = good &&
               near(head[i], old[i] * cos(a) - old[i + 3] * sin(a), 1e-6) &&
               near(head[i + 3], old[i + 3] * cos(a) + old[i] * sin(a), 1e-6);
    }
    ok(good, "entry i turns with entry i + half");
    ok(head[6] == old[6] && head[7] == old[7], "the rest passes through");
}

static void test_softmax(void)
{
    float x[5] = { 1000, 1001, 999, -INFINITY, 1000 };
    double sum = 0;

    ops_softmax(x, 5);
    for (int i = 0; i < 5; i++)
        sum += (double)x[i];
    ok(near(sum, 1, 1e-6), "softmax sums to one, large values too");
    ok(near(x[1] / x[0], exp(1), 1e-5), "softmax: ratios");
    ok(x[3] == 0, "softmax: what is masked weighs nothing");
    x[0] = -7;
    ops_softmax(x, 1);
    ok(x[0] == 1, "softmax of one");
}

static void test_odds(void)
{
    float x[40] = { 0 };
    uint16_t half[2] = { 0x3c00, 0xc000 };

    ok(ops_finite(x, 40), "zeros are finite");
    ok(ops_finite(x, 0), "nothing is finite");
    x[39] = INFINITY;
    ok(!ops_finite(x, 40), "infinity is not");
    x[39] = -INFINITY;
    x[3] = INFINITY;
    ok(!ops_finite(x, 40), "nor two that would cancel");
    x[3] = NAN;
    x[39] = 3.4e38f;
    ok(!ops_finite(x, 40), "nor a NaN");
    x[3] = 3.4e38f;
    ok(ops_finite(x, 40), "the largest numbers are");
    ok(ops_argmax(x, 40) == 3, "argmax takes the first of equals");
    ops_widen(x, half, DTYPE_F16, 2);
    ok(x[0] == 1 && x[1] == -2, "widen");
}

static void test_best(void)
{
    size_t n = 0;
    bool found = false;

    while (ops_nth(n) != NULL)
        found = ops_nth(n++) == ops_best() || found;
    ok(ops_nth(0) == &ops_scalar, "the reference comes first");
    ok(found, "the best is one of %zu: %s", n, ops_best()->name);
}

int main(void)
{
    const struct ops *o;

    for (size_t i = 0; (o = ops_nth(i)) != NULL; i++) {
        test_rows(o, DTYPE_F32);
        test_rows(o, DTYPE_F16);
        test_rows(o, DTYPE_BF16);
        test_rows_unaligned(o);
        test_rows_alone(o, DTYPE_BF16);
        test_rows_special(o);
    }
    test_norms();
    test_norm_zero();
    test_rope();
    test_softmax();
    test_odds();
    test_best();
    return done();
}
