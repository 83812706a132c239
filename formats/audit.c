#include "formats/audit.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "formats/audit_kernel.h"
#include "formats/cast_kernel.h"

enum { INF_BITS = 0x7F800000, MAGNITUDE = 0x7FFFFFFF };

static uint32_t bits_of(float v)
{
    uint32_t u;

    memcpy(&u, &v, sizeof(u));
    return u & MAGNITUDE;
}

static double value_of(uint32_t bits)
{
    float v;

    memcpy(&v, &bits, sizeof(v));
    return (double)v;
}

void audit_block_plain(struct audit_sums *out, const float *x, const float *y,
    size_t n, struct audit_limits limits)
{
    struct audit_sums s = { 0 };

    for (size_t i = 0; i < n; i++) {
        uint32_t a = bits_of(x[i]), b = bits_of(y[i]);

        s.nan += a > INF_BITS;
        s.inf += a == INF_BITS;
        s.overflow += a < INF_BITS && b >= INF_BITS;
        s.underflow += a != 0 && b == 0;
        s.subnormal += a >= limits.before && b != 0 && b < limits.after;
        if (a < INF_BITS && a > s.largest)
            s.largest = a;
        if (a < INF_BITS && b < INF_BITS && bits_of(x[i] - y[i]) > s.error)
            s.error = bits_of(x[i] - y[i]);
    }
    *out = s;
}

/* A double holds more than a float: its own loop, seldom needed. */
static void audit_doubles(struct audit *a, const uint8_t *in, const float *y,
    size_t n, uint32_t normal)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t after = bits_of(y[i]);
        double x;

        memcpy(&x, in + i * sizeof(x), sizeof(x));
        a->nan += isnan(x) != 0;
        a->inf += isinf(x) != 0;
        a->overflow += isfinite(x) && after >= INF_BITS;
        a->underflow += x != 0 && after == 0;
        a->subnormal += fabs(x) >= DBL_MIN && after != 0 && after < normal;
        if (!isfinite(x))
            continue;
        a->largest = fmax(a->largest, fabs(x));
        if (after < INF_BITS)
            a->error = fmax(a->error, fabs(x - (double)y[i]));
    }
}

static uint32_t normal_of(enum dtype t)
{
    return t == DTYPE_F16 ? 0x38800000 : 0x00800000;
}

static void add_sums(struct audit *a, const struct audit_sums *s)
{
    a->nan += s->nan;
    a->inf += s->inf;
    a->overflow += s->overflow;
    a->underflow += s->underflow;
    a->subnormal += s->subnormal;
    a->error = fmax(a->error, value_of(s->error));
    a->largest = fmax(a->largest, value_of(s->largest));
}

/* Doubles kept as they are: nothing to compare, and y would round them. */
static void audit_kept_doubles(struct audit *a, const uint8_t *in, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        double x;

        memcpy(&x, in + i * sizeof(x), sizeof(x));
        a->nan += isnan(x) != 0;
        a->inf += isinf(x) != 0;
        if (isfinite(x))
            a->largest = fmax(a->largest, fabs(x));
    }
}

/* out  NULL: the values are what they were */
static void compare(struct audit *a, const void *out, enum dtype to,
    const void *in, enum dtype from, uint64_t n)
{
    struct cast_kernels k;
    audit_block_fn *fast = audit_block_x86();
    audit_block_fn *block = fast != NULL ? fast : audit_block_plain;
    struct audit_limits limits = { normal_of(from), normal_of(to) };
    float x[AUDIT_BLOCK], y[AUDIT_BLOCK];
    const uint8_t *p = in, *q = out;

    a->n += n;
    if (from == DTYPE_F64 && out == NULL) {
        audit_kept_doubles(a, p, n);
        return;
    }
    cast_kernels_best(&k);
    while (n > 0) {
        size_t now = (size_t)size_min(n, AUDIT_BLOCK);
        const float *was, *is = y;
        struct audit_sums s;

        if (out != NULL) {
            is = cast_floats(&k, q, to, now, y);
            q += now * dtype_bytes(to);
        }
        if (from == DTYPE_F64) {
            audit_doubles(a, p, is, now, limits.after);
        } else {
            was = cast_floats(&k, p, from, now, x);
            block(&s, was, out != NULL ? is : was, now, limits);
            add_sums(a, &s);
        }
        p += now * dtype_bytes(from);
        n -= now;
    }
}

void audit_cast(struct audit *a, const void *out, enum dtype to, const void *in,
    enum dtype from, uint64_t n)
{
    compare(a, to != from ? out : NULL, to, in, from, n);
}

void audit_back(struct audit *a, const float *back, const void *in,
    enum dtype from, uint64_t n)
{
    compare(a, back, DTYPE_F32, in, from, n);
}

void audit_join(struct audit *a, const struct audit *more)
{
    a->n += more->n;
    a->nan += more->nan;
    a->inf += more->inf;
    a->overflow += more->overflow;
    a->underflow += more->underflow;
    a->subnormal += more->subnormal;
    a->error = fmax(a->error, more->error);
    a->largest = fmax(a->largest, more->largest);
}

/* Two counters per bin: neighbours often share one, and would wait. */
void spectrum_add(struct spectrum *s, const void *in, enum dtype t, uint64_t n)
{
    struct spectrum odd = { 0 };
    struct cast_kernels k;
    float x[AUDIT_BLOCK];
    const uint8_t *p = in;

    cast_kernels_best(&k);
    while (n > 0) {
        size_t now = (size_t)size_min(n, AUDIT_BLOCK), i = 0;

        k.load[t](x, p, now);
        for (; i + 2 <= now; i += 2) {
            s->bins[bits_of(x[i]) >> 23]++;
            odd.bins[bits_of(x[i + 1]) >> 23]++;
        }
        if (i < now)
            s->bins[bits_of(x[i]) >> 23]++;
        p += now * dtype_bytes(t);
        n -= now;
    }
    spectrum_join(s, &odd);
}

void spectrum_join(struct spectrum *s, const struct spectrum *more)
{
    for (size_t i = 0; i < SPECTRUM_BINS; i++)
        s->bins[i] += more->bins[i];
}
