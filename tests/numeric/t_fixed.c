/*
 * t_fixed.c - int8 matrices times vectors in fixed point: every twin gives
 * the bits of the reference, the reference is as near the truth as it says
 * it is, and what is no number stays none.
 */
#include <errno.h>
#include <float.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/sys.h"
#include "tests/numeric/noise.h"
#include "tests/unit/tap.h"
#include "verify-run/ops.h"

struct problem {
    size_t rows, cols, n, y_step;
    int8_t *w; /* ends where memory does, as do the next */
    float *scales;
    float *x;
    float *y;
};

static struct problem make(size_t rows, size_t cols, size_t n)
{
    struct problem p = {
        .rows = rows,
        .cols = cols,
        .n = n,
        .y_step = rows + 3,
        .w = guarded(rows * cols),
        .scales = guarded(rows * sizeof(float)),
        .x = guarded(n * cols * sizeof(float)),
        .y = guarded(n * (rows + 3) * sizeof(float)),
    };

    for (size_t i = 0; i < rows * cols; i++)
        p.w[i] = (int8_t)lrintf(noise() * 127.49f - 0.5f);
    fill(p.scales, rows);
    fill(p.x, n * cols);
    return p;
}

static void forget(struct problem *p)
{
    unguard(p->w, p->rows * p->cols);
    unguard(p->scales, p->rows * sizeof(float));
    unguard(p->x, p->n * p->cols * sizeof(float));
    unguard(p->y, p->n * p->y_step * sizeof(float));
}

/* Vectors first .. first + n - 1, the last rows in a share of their own. */
static void multiply(
    const struct fixed_ops *o, struct problem *p, size_t first, size_t n)
{
    void *room = guarded(fixed_bytes(n, p->cols));
    struct fixed_rows j = {
        .w = p->w,
        .scales = p->scales,
        .x = fixed_lay(room, n, p->cols),
        .y = p->y + first * p->y_step,
        .y_step = p->y_step,
    };
    size_t most = p->rows - p->rows / 7;

    for (size_t i = 0; i < fixed_panels(&j.x); i++)
        o->make(&j.x, p->x + first * p->cols, p->cols, i);
    o->rows(&j, 0, most);
    o->rows(&j, most, p->rows);
    unguard(room, fixed_bytes(n, p->cols));
}

/* y of all vectors, where nobody wrote 0xff. */
static float *answer(const struct fixed_ops *o, struct problem *p)
{
    size_t bytes = p->n * p->y_step * sizeof(float);

    memset(p->y, 0xff, bytes);
    multiply(o, p, 0, p->n);
    return memcpy(malloc(bytes), p->y, bytes);
}

static bool same(const struct problem *p, const float *a, const float *b)
{
    return memcmp(a, b, p->n * p->y_step * sizeof(float)) == 0;
}

/* ---- the same bits ---- */

/* All at once, then one by one and a few at a time. */
static bool agrees(const struct fixed_ops *o, struct problem *p)
{
    static const size_t steps[] = { 100, 1, 5, 16 };
    float *want = answer(&fixed_scalar, p);
    bool good = true;

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        memset(p->y, 0xff, p->n * p->y_step * sizeof(float));
        for (size_t v = 0; v < p->n; v += steps[i])
            multiply(o, p, v, size_min(steps[i], p->n - v));
        good = good && same(p, want, p->y);
    }
    free(want);
    return good;
}

static void test_widths(const struct ops *o)
{
    bool good = true;

    for (size_t cols = 1; cols <= 330; cols += cols < 140 ? 1 : 19) {
        struct problem p = make(1 + cols % 7, cols, 1 + cols % 34);

        good = agrees(o->fixed, &p) && good;
        forget(&p);
    }
    ok(good, "%s: rows of 1 to 330: the bits of the reference", o->name);
}

static void test_heights(const struct ops *o)
{
    bool good = true;

    for (size_t rows = 1; rows <= 230; rows += rows < 70 ? 1 : 23) {
        struct problem p = make(rows, 67 + 61 * (rows % 2), 18);

        good = agrees(o->fixed, &p) && good;
        forget(&p);
    }
    ok(good, "%s: 1 to 230 rows: the bits of the reference", o->name);
}

static void test_counts(const struct ops *o)
{
    bool good = true;

    for (size_t n = 1; n <= 67; n += n < 36 ? 1 : 7) {
        struct problem p = make(37, 130, n);

        good = agrees(o->fixed, &p) && good;
        forget(&p);
    }
    ok(good, "%s: 1 to 67 vectors: the bits of the reference", o->name);
}

/* Weights and numbers that make every sum as large as it can be. */
static void extreme(struct problem *p, int8_t w, float x)
{
    memset(p->w, w, p->rows * p->cols);
    for (size_t i = 0; i < p->n * p->cols; i++)
        p->x[i] = x;
}

/* As integers 0x40000000, 0x3f7f7f00, of digits 127, 0x3f808000, of -128. */
static void test_large(const struct ops *o)
{
    static const float values[] = { 1, 0x0.fdfdfcp0f, 0x0.fe02p0f };
    static const int8_t weights[] = { -128, 127 };
    struct problem p = make(37, (1 << 17) + 70, 16);
    float *want = answer(&fixed_scalar, &p);
    float *got = answer(o->fixed, &p);
    bool good = same(&p, want, got);

    free(want);
    free(got);
    for (size_t n = 1; n <= 16; n += 15)
        for (size_t i = 0; i < ARRAY_LEN(values); i++)
            for (size_t k = 0; k < ARRAY_LEN(weights); k++) {
                p.n = n;
                extreme(&p, weights[k], values[i]);
                want = answer(&fixed_scalar, &p);
                got = answer(o->fixed, &p);
                good = good && same(&p, want, got);
                free(want);
                free(got);
            }
    ok(good, "%s: no sum overflows in rows of 131142", o->name);
    forget(&p);
}

static void test_sizes(const struct ops *o)
{
    static const size_t cols[] = { 2048, 5632, 5000 };
    bool good = true;

    for (size_t i = 0; i < ARRAY_LEN(cols); i++) {
        struct problem p = make(133, cols[i], 33);

        for (size_t k = 0; k < p.n * p.cols; k++)
            p.x[k] *= ldexpf(1, (int)(k * 7 % 40) - 20);
        good = agrees(o->fixed, &p) && good;
        forget(&p);
    }
    ok(good, "%s: rows of a model, numbers of 12 decades", o->name);
}

/* Powers of two from one end of float32 to the other, and what is between. */
static void test_magnitudes(const struct ops *o)
{
    bool good = true;

    for (int power = -149; power <= 127; power += 3) {
        struct problem p = make(5, 70, 17);

        for (size_t i = 0; i < p.n * p.cols; i++)
            p.x[i] = ldexpf(p.x[i], power - (int)(i % 30));
        for (size_t v = 0; v < p.n; v++)
            p.x[v * p.cols + v] = ldexpf(v % 2 ? -1 : 1, power);
        for (size_t r = 0; r < p.rows; r++)
            p.scales[r] = ldexpf(p.scales[r], (int)r * 40 - 100);
        good = agrees(o->fixed, &p) && good;
        forget(&p);
    }
    ok(good, "%s: from the smallest numbers to the largest", o->name);
}

/* ---- the truth ---- */

enum { COLS = 5632, VECTORS = 3, ROWS = 20 };

struct errors {
    double beyond; /* most, in units of the bound that fixed.h promises */
    double fixed;  /* sum of squares, of ours and of sums in float32 */
    double single;
};

/* Sixteen sums side by side, as vectors of float32 are multiplied. */
static float single_sum(const int8_t *w, const float *x, size_t n)
{
    float lane[16] = { 0 };
    float sum = 0;

    for (size_t k = 0; k < n; k++)
        lane[k % 16] = fmaf(w[k], x[k], lane[k % 16]);
    for (int i = 0; i < 16; i++)
        sum += lane[i];
    return sum;
}

/* Half a unit for each weight, and two roundings to float32 at the end. */
static void compare(const struct problem *p, struct errors *e)
{
    for (size_t v = 0; v < p->n; v++) {
        const float *x = p->x + v * p->cols;
        double most = 0;

        for (size_t k = 0; k < p->cols; k++)
            most = fmax(most, fabs((double)x[k]));
        for (size_t r = 0; r < p->rows; r++) {
            const int8_t *w = p->w + r * p->cols;
            double scale = (double)p->scales[r];
            double sum = 0, size = 0, off, bound;

            for (size_t k = 0; k < p->cols; k++) {
                sum += w[k] * (double)x[k];
                size += abs(w[k]);
            }
            off = fabs((double)p->y[v * p->y_step + r] - sum * scale);
            bound = size * fabs(scale) * most * 0x1p-30 +
                    fabs(sum * scale) * 0x1p-24 + 1e-45;
            e->beyond = fmax(e->beyond, off / bound);
            e->fixed += off * off;
            off = (double)single_sum(w, x, p->cols) * scale - sum * scale;
            e->single += off * off;
        }
    }
}

static double normal(void)
{
    double sum = 0;

    for (int i = 0; i < 12; i++)
        sum += (double)noise();
    return sum / 2;
}

/* One number among these is so many times larger. */
static void test_truth(double outlier)
{
    struct problem p = make(ROWS, COLS, VECTORS);
    struct errors e = { 0 };

    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < VECTORS * COLS; i++)
            p.x[i] = (float)normal();
        for (size_t v = 0; v < VECTORS; v++)
            p.x[v * COLS + 11 + 97 * (size_t)round] = (float)outlier;
        multiply(ops_best()->fixed, &p, 0, VECTORS);
        compare(&p, &e);
    }
    ok(e.beyond <= 1, "an outlier of %g: %.2f of the bound", outlier, e.beyond);
    ok(e.fixed <= e.single, "nearer the truth than float32, by %.2g",
        sqrt(e.single / e.fixed));
    forget(&p);
}

/* What is at least a 64th of the largest loses nothing. */
static void test_exact(void)
{
    struct problem p = make(1, 16, 1);
    bool good = true;

    for (int i = 0; i < 2000; i++) {
        float x = 0x1p-6f * (1 + (float)fabs((double)noise()) * 63);

        memset(p.w, 0, 16);
        p.w[i % 16] = 1;
        p.scales[0] = 1;
        p.x[(i + 5) % 16] = 1;
        p.x[i % 16] = x;
        multiply(ops_best()->fixed, &p, 0, 1);
        good = good && p.y[0] == x;
    }
    ok(good, "numbers within a factor of 64 are kept to the last bit");
    forget(&p);
}

static void test_ends(const struct ops *o)
{
    struct problem p = make(2, 100, 2);

    extreme(&p, 1, 0x1p-149f);
    p.scales[0] = 1;
    p.scales[1] = -2;
    multiply(o->fixed, &p, 0, 2);
    ok(p.y[0] == 100 * 0x1p-149f && p.y[1] == -200 * 0x1p-149f,
        "%s: the smallest numbers count", o->name);
    extreme(&p, 127, FLT_MAX);
    multiply(o->fixed, &p, 0, 2);
    ok(p.y[0] == INFINITY && p.y[1] == -INFINITY,
        "%s: what is too large is infinite", o->name);
    extreme(&p, 127, 0);
    multiply(o->fixed, &p, 0, 2);
    ok(p.y[0] == 0 && p.y[1] == 0, "%s: zeros give zeros", o->name);
    p.scales[0] = NAN;
    p.scales[1] = INFINITY;
    multiply(o->fixed, &p, 0, 2);
    ok(isnan(p.y[0]) && isnan(p.y[1]), "%s: a scale that is none", o->name);
    forget(&p);
}

/* ---- what is no number ---- */

static bool spoils(const struct ops *o, struct problem *p, float what)
{
    bool good = true;

    for (size_t k = 0; k < p->cols; k++) {
        size_t v = k % p->n;
        float kept = p->x[v * p->cols + k];

        p->x[v * p->cols + k] = what;
        memset(p->w, 0, p->cols); /* even where the weight is 0 */
        multiply(o->fixed, p, 0, p->n);
        for (size_t t = 0; t < p->n; t++)
            for (size_t r = 0; r < p->rows; r++)
                good = good && !isnan(p->y[t * p->y_step + r]) == (t != v);
        p->x[v * p->cols + k] = kept;
    }
    return good;
}

static void test_no_number(const struct ops *o)
{
    static const size_t counts[] = { 1, 3, 17 };

    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct problem p = make(34, 83, counts[i]);

        ok(spoils(o, &p, NAN), "%s: a NaN spoils its vector, of %zu", o->name,
            counts[i]);
        ok(spoils(o, &p, INFINITY) && spoils(o, &p, -INFINITY),
            "%s: so does infinity", o->name);
        forget(&p);
    }
}

/* ---- a kernel that does not give out tiles ---- */

/* From here on arch_prctl answers as it did before Linux 5.16. */
static bool forget_tiles(void)
{
#ifdef SYS_arch_prctl
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { ARRAY_LEN(steps), steps };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
#else
    return false;
#endif
}

static bool has_tiles(void)
{
    return strstr(ops_best()->name, "amx") != NULL;
}

static void test_no_tiles(void)
{
    const char *name = "where the kernel keeps tiles back, another twin";
    int status = 0;
    pid_t child;

    if (!has_tiles()) {
        skip(name, "this machine has none");
        return;
    }
    fflush(stdout);
    child = fork();
    if (child == 0)
        _exit(forget_tiles() ? has_tiles() : 2);
    if (child < 0 || waitpid(child, &status, 0) != child ||
        !WIFEXITED(status) || WEXITSTATUS(status) == 2)
        skip(name, "no filter of system calls here");
    else
        ok(WEXITSTATUS(status) == 0, "%s", name);
}

int main(void)
{
    static const double outliers[] = { 1, 30, 1e3, 1e5, 1e7 };
    const struct ops *o;

    for (size_t i = 0; (o = ops_nth(i)) != NULL; i++) {
        if (o->fixed != &fixed_scalar) {
            test_widths(o);
            test_heights(o);
            test_counts(o);
            test_large(o);
            test_sizes(o);
            test_magnitudes(o);
        }
        test_ends(o);
        test_no_number(o);
    }
    for (size_t i = 0; i < ARRAY_LEN(outliers); i++)
        test_truth(outliers[i]);
    test_exact();
    test_no_tiles();
    return done();
}
