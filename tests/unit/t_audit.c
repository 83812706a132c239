#include "formats/audit.h"

#include <float.h>
#include <math.h>

#include "formats/audit_kernel.h"
#include "formats/cast.h"
#include "tests/unit/tap.h"

enum { N = 5003 };

static const enum dtype types[] = { DTYPE_F64, DTYPE_F32, DTYPE_F16,
    DTYPE_BF16 };

static uint32_t next_random(void)
{
    static uint64_t state = 1;

    state = state * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)(state >> 32);
}

/* Any bits at all, and values near where things happen. */
static void fill(uint8_t *p, enum dtype t, size_t n)
{
    static const double edges[] = { 0, -0.0, 65504, 65519.99, 65520, -65536,
        6e-8, 2.98e-8, 2.9802322387695312e-8, 6.1e-5, 6.103515625e-5, 1e-40,
        -1e-45, 3.4028234e38, 3.3961775e38, 1, INFINITY, -INFINITY, NAN };

    for (size_t i = 0; i < n; i++, p += dtype_bytes(t)) {
        double v = edges[next_random() % ARRAY_LEN(edges)];
        uint64_t any = (uint64_t)next_random() << 32 | next_random();

        if (i % 3 == 0)
            v *= 1 + (double)next_random() * 1e-11;
        if (i % 5 == 0)
            memcpy(p, &any, dtype_bytes(t));
        else
            cast_array(p, t, &v, DTYPE_F64, 1);
    }
}

static double as_double(const uint8_t *p, enum dtype t, size_t i)
{
    double v;

    cast_array(&v, DTYPE_F64, p + i * dtype_bytes(t), t, 1);
    return v;
}

static double smallest_normal(enum dtype t)
{
    if (t == DTYPE_F64)
        return DBL_MIN;
    return t == DTYPE_F16 ? 0x1p-14 : 0x1p-126;
}

/* The definitions, one value after the other. */
static struct audit defined(const uint8_t *out, enum dtype to,
    const uint8_t *in, enum dtype from, size_t n)
{
    struct audit a = { .n = n };

    for (size_t i = 0; i < n; i++) {
        double x = as_double(in, from, i), y = as_double(out, to, i);

        a.nan += isnan(x) != 0;
        a.inf += isinf(x) != 0;
        a.overflow += isfinite(x) && isinf(y);
        a.underflow += x != 0 && y == 0;
        a.subnormal += fabs(x) >= smallest_normal(from) && y != 0 &&
                       fabs(y) < smallest_normal(to);
        if (isfinite(x))
            a.largest = fmax(a.largest, fabs(x));
        if (isfinite(x) && isfinite(y))
            a.error = fmax(a.error, fabs(x - y));
    }
    return a;
}

static bool same(const struct audit *a, const struct audit *b)
{
    return a->n == b->n && a->nan == b->nan && a->inf == b->inf &&
           a->overflow == b->overflow && a->underflow == b->underflow &&
           a->subnormal == b->subnormal && a->error == b->error &&
           a->largest == b->largest;
}

static void every_cast(void)
{
    static uint8_t in[8 * N], out[8 * N];

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        for (size_t k = 0; k < ARRAY_LEN(types); k++) {
            enum dtype from = types[i], to = types[k];
            struct audit whole = { 0 }, parts = { 0 }, want;

            if (to == DTYPE_F64 && from != to)
                continue;
            fill(in, from, N);
            cast_array(out, to, in, from, N);
            want = defined(out, to, in, from, N);
            audit_cast(&whole, out, to, in, from, N);
            ok(same(&whole, &want), "%s to %s: as defined", dtype_name(from),
                dtype_name(to));
            for (size_t at = 0, n; at < N; at += n) {
                n = size_min(N - at, 1 + next_random() % 700);
                struct audit part = { 0 };
                audit_cast(&part, out + at * dtype_bytes(to), to,
                    in + at * dtype_bytes(from), from, n);
                audit_join(&parts, &part);
            }
            ok(same(&parts, &want), "and the same in pieces");
        }
}

static void fast_and_plain(void)
{
    static float x[AUDIT_BLOCK], y[AUDIT_BLOCK];
    struct audit_limits limits = { 0x00800000, 0x38800000 };
    audit_block_fn *fast = audit_block_x86();
    bool equal = true;

    if (fast == NULL) {
        skip("the fast audit", "not on this processor");
        return;
    }
    for (size_t n = 0; n <= AUDIT_BLOCK && equal; n += 1 + n / 40) {
        struct audit_sums a, b;

        fill((uint8_t *)x, DTYPE_F32, n);
        fill((uint8_t *)y, DTYPE_F32, n / 2);
        audit_block_plain(&a, x, y, n, limits);
        fast(&b, x, y, n, limits);
        equal = memcmp(&a, &b, sizeof(a)) == 0;
    }
    ok(equal, "fast and plain sums are the same, for every length");
}

static void known(void)
{
    static const float in[] = { 1.0F, 0.1F, 1e6F, 1e-9F, 1e-5F, NAN, -INFINITY,
        0.0F };
    uint16_t out[8];
    struct audit a = { 0 };

    cast_array(out, DTYPE_F16, in, DTYPE_F32, 8);
    audit_cast(&a, out, DTYPE_F16, in, DTYPE_F32, 8);
    is_int((long long)a.overflow, 1, "a million overflows");
    is_int((long long)a.underflow, 1, "1e-9 becomes zero");
    is_int((long long)a.subnormal, 1, "1e-5 becomes subnormal");
    is_int((long long)(a.nan * 10 + a.inf), 11, "one NaN, one infinity");
    ok(a.error > 2.4e-5 && a.error < 2.5e-5, "the error is that of 0.1");
    ok(a.largest == 1e6, "the largest");
}

static void magnitudes(void)
{
    static uint8_t in[8 * N];
    bool right = true;

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct spectrum s = { 0 }, want = { 0 };

        fill(in, types[i], N);
        spectrum_add(&s, in, types[i], N);
        for (size_t k = 0; k < N; k++) {
            float v = (float)as_double(in, types[i], k);
            int power = isfinite(v) ? ilogbf(v) + SPECTRUM_ONE : 255;

            want.bins[v == 0 || power < 1 ? 0 : power]++;
        }
        right = right && memcmp(&s, &want, sizeof(s)) == 0;
    }
    ok(right, "every value is counted under its power of two");
}

int main(void)
{
    magnitudes();
    every_cast();
    fast_and_plain();
    known();
    return done();
}
