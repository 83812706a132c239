/*
 * t_matmul.c - sums whose bits must not depend on how they are shared out:
 * one vector or many at a time, all rows or some, one thread or several.
 */
#include "base/pool.h"
#include "tests/numeric/noise.h"
#include "tests/unit/tap.h"
#include "verify-run/matmul.h"

static const enum dtype types[] = { DTYPE_F32, DTYPE_F16, DTYPE_BF16,
    DTYPE_I8 };

/* Rows past a block and past a tile, columns past a slice and past a lane. */
static const struct size {
    size_t rows, cols, n;
} sizes[] = {
    { 67, 130, 7 },
    { 3, 2100, 13 },
    { 65, 1040, 6 },
    { 130, 48, 19 },
    { 9, 1024, 5 },
    { 4, 1025, 8 },
    { 1, 1, 2 },
    { 70, 16, 1 },
};

struct problem {
    struct size size;
    enum dtype dtype;
    void *w; /* ends where memory does, as do the next */
    float *scales;
    float *x;
    float *y;
};

static struct problem make(struct size size, enum dtype t)
{
    size_t n = size.rows * size.cols;
    float *plain = guarded(n * sizeof(float));
    struct problem p = {
        .size = size,
        .dtype = t,
        .w = guarded(n * dtype_bytes(t)),
        .scales = guarded(size.rows * sizeof(float)),
        .x = guarded(size.n * size.cols * sizeof(float)),
        .y = guarded(size.n * size.rows * sizeof(float)),
    };

    fill(plain, n);
    store(p.w, t, plain, n);
    fill(p.scales, size.rows);
    fill(p.x, size.n * size.cols);
    return p;
}

/* Rows first .. end-1 of n vectors from t on. */
static void multiply(const struct ops *o, const struct problem *p, size_t t,
    size_t n, size_t first, size_t end)
{
    size_t cols = p->size.cols;
    void *room = guarded(fixed_bytes(n, cols));
    struct ops_rows j = {
        .w = p->w,
        .dtype = p->dtype,
        .cols = cols,
        .x = p->x + t * cols,
        .x_step = cols,
        .n = n,
        .y = p->y + t * p->size.rows,
        .y_step = p->size.rows,
    };
    struct fixed_rows f = {
        .w = p->w,
        .scales = p->scales,
        .x = fixed_lay(room, n, cols),
        .y = j.y,
        .y_step = j.y_step,
    };

    if (p->dtype != DTYPE_I8) {
        o->rows(&j, first, end);
    } else {
        for (size_t i = 0; i < fixed_panels(&f.x); i++)
            o->fixed->make(&f.x, j.x, cols, i);
        o->fixed->rows(&f, first, end);
    }
    unguard(room, fixed_bytes(n, cols));
}

/* Largest error in units of the sum of |w x|, which rounding grows with. */
static double error_of(const struct problem *p)
{
    float *w = guarded(p->size.cols * sizeof(float));
    double out = 0;

    for (size_t r = 0; r < p->size.rows; r++) {
        ops_widen(w,
            (const uint8_t *)p->w + r * p->size.cols * dtype_bytes(p->dtype),
            p->dtype, p->size.cols);
        for (size_t t = 0; t < p->size.n; t++) {
            double scale = p->dtype == DTYPE_I8 ? (double)p->scales[r] : 1;
            double sum = 0;
            double size = 1e-30;
            double d;

            for (size_t k = 0; k < p->size.cols; k++) {
                double v =
                    scale * (double)w[k] * (double)p->x[t * p->size.cols + k];

                sum += v;
                size += fabs(v);
            }
            d = fabs((double)p->y[t * p->size.rows + r] - sum) / size;
            out = d <= out ? out : d;
        }
    }
    return out;
}

/* All at once, then vector by vector in three shares of the rows. */
static bool same_alone(const struct ops *o, const struct problem *p)
{
    size_t bytes = p->size.n * p->size.rows * sizeof(float);
    size_t third = p->size.rows / 3;
    float *all = malloc(bytes);
    bool same;

    memcpy(all, p->y, bytes);
    memset(p->y, 0xff, bytes);
    for (size_t t = 0; t < p->size.n; t++) {
        multiply(o, p, t, 1, 0, third);
        multiply(o, p, t, 1, third, 2 * third);
        multiply(o, p, t, 1, 2 * third, p->size.rows);
    }
    same = memcmp(all, p->y, bytes) == 0;
    free(all);
    return same;
}

static void test_rows(const struct ops *o, enum dtype t)
{
    double far = 0;
    bool same = true;

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct problem p = make(sizes[i], t);
        double d;

        memset(p.y, 0xff, p.size.n * p.size.rows * sizeof(float));
        multiply(o, &p, 0, p.size.n, 0, p.size.rows);
        d = error_of(&p);
        far = d <= far ? far : d;
        same = same_alone(o, &p) && same;
    }
    ok(far <= 1e-6, "%s: blocks of %s, off by %.2g", o->name, dtype_name(t),
        far);
    ok(same, "%s: %s: alone and in a block, the same bits", o->name,
        dtype_name(t));
}

/* Any number of vectors around the tile. */
static void test_counts(const struct ops *o, enum dtype t)
{
    struct problem p = make((struct size){ 6, 1100, 26 }, t);
    float all[26 * 6];
    bool same = true;

    multiply(o, &p, 0, 26, 0, 6);
    memcpy(all, p.y, sizeof(all));
    for (size_t n = 1; n <= 26; n++) {
        memset(p.y, 0xff, sizeof(all));
        multiply(o, &p, 0, n, 0, 6);
        same = same && memcmp(p.y, all, n * 6 * sizeof(float)) == 0;
        same = same && (n == 26 || isnan(p.y[n * 6]));
    }
    ok(same, "%s: 1 to 26 vectors of %s and no more, the same bits", o->name,
        dtype_name(t));
}

/* ---- over threads ---- */

static struct weight weight_of(const struct problem *p)
{
    return (struct weight){
        .data = p->w,
        .dtype = p->dtype,
        .scales = p->scales,
        .rows = p->size.rows,
        .cols = p->size.cols,
    };
}

/* One round of three matrices, one of them with a bias. */
static void run_round(const struct problem p[3], struct pool *pool, size_t n)
{
    void *room = guarded(fixed_bytes(n, p[0].size.cols));
    struct matmul m = { .ops = ops_best(), .pool = pool, .room = room };
    const struct weight none = { .data = NULL };

    for (int i = 0; i < 3; i++) {
        struct weight w = weight_of(&p[i]);
        struct weight bias = { .data = p[1].scales };

        matmul_add(
            &m, &w, i == 1 ? &bias : &none, p[0].x, n, p[i].y, p[i].size.rows);
    }
    matmul_run(&m);
    unguard(room, fixed_bytes(n, p[0].size.cols));
}

/* Long enough that threads are asked for; n vectors. */
static void test_threads(size_t n, enum dtype a, enum dtype b)
{
    struct problem p[3] = {
        make((struct size){ 300, 520, n }, a),
        make((struct size){ 77, 520, n }, b),
        make((struct size){ 1, 520, n }, DTYPE_F32),
    };
    float *first[3];
    bool same = true;

    for (unsigned threads = 1; threads <= 4; threads++) {
        struct err e = ERR_INIT;
        struct pool *pool AUTO(pool_close_auto) = pool_open(threads, &e);

        for (int i = 0; i < 3; i++)
            memset(p[i].y, 0xff, n * p[i].size.rows * sizeof(float));
        run_round(p, pool, n);
        for (int i = 0; i < 3; i++) {
            size_t bytes = n * p[i].size.rows * sizeof(float);

            if (threads == 1)
                first[i] = memcpy(malloc(bytes), p[i].y, bytes);
            same = same && memcmp(first[i], p[i].y, bytes) == 0;
        }
    }
    ok(same, "%zu vectors of %s and %s, 1 to 4 threads: the same bits", n,
        dtype_name(a), dtype_name(b));
    ok(isfinite(p[0].y[n * 300 - 1]) && isfinite(p[1].y[n * 77 - 1]) &&
            isfinite(p[2].y[n - 1]),
        "nothing is left out");
    for (int i = 0; i < 3; i++)
        free(first[i]);
}

static void test_bias(void)
{
    struct problem p = make((struct size){ 77, 520, 2 }, DTYPE_F32);
    struct err e = ERR_INIT;
    struct pool *pool AUTO(pool_close_auto) = pool_open(3, &e);
    struct problem all[3] = { p, p, p };
    bool good = true;

    all[1] = make(p.size, DTYPE_F32);
    all[1].w = p.w;
    all[1].x = p.x;
    run_round(all, pool, 2);
    for (size_t i = 0; i < 2 * 77; i++)
        good = good && all[1].y[i] == p.y[i] + all[1].scales[i % 77];
    ok(good, "a bias is added to each row once");
}

int main(void)
{
    const struct ops *o;

    for (size_t i = 0; (o = ops_nth(i)) != NULL; i++) {
        for (size_t t = 0; t < ARRAY_LEN(types); t++)
            test_rows(o, types[t]);
        test_counts(o, DTYPE_F16);
        test_counts(o, DTYPE_I8);
    }
    for (size_t n = 1; n <= 100; n += 33) {
        test_threads(n, DTYPE_F16, DTYPE_BF16);
        test_threads(n, DTYPE_F16, DTYPE_I8);
        test_threads(n, DTYPE_I8, DTYPE_I8);
    }
    test_bias();
    return done();
}
