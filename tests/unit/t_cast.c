#include "formats/cast.h"

#include <math.h>

#include "formats/cast_kernel.h"
#include "tests/unit/tap.h"

static const struct {
    float in;
    uint16_t f16, bf16;
} golden[] = {
    { 0.0F, 0x0000, 0x0000 },
    { 65504.0F, 0x7bff, 0x4780 },
    { 65519.0F, 0x7bff, 0x4780 },
    { 65520.0F, 0x7c00, 0x4780 },
    { 5.9604645e-8F, 0x0001, 0x3380 },
    { 2.98e-8F, 0x0000, 0x3300 },
    { 2.99e-8F, 0x0001, 0x3300 },
    { 1e-8F, 0x0000, 0x322c },
    { 0.1F, 0x2e66, 0x3dcd },
    { 1.00390625F, 0x3c04, 0x3f80 },
    { 1.01171875F, 0x3c0c, 0x3f82 },
    { 3.4e38F, 0x7c00, 0x7f80 },
    { INFINITY, 0x7c00, 0x7f80 },
};

static uint32_t bits(float v)
{
    uint32_t u;

    memcpy(&u, &v, sizeof(u));
    return u;
}

static float number(uint32_t u)
{
    float v;

    memcpy(&v, &u, sizeof(v));
    return v;
}

static void golden_values(void)
{
    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        char name[64];
        snprintf(name, sizeof(name), "f16 of %.9g", (double)golden[i].in);
        is_int(cast_f32_to_f16(golden[i].in), golden[i].f16, name);
        snprintf(name, sizeof(name), "bf16 of %.9g", (double)golden[i].in);
        is_int(cast_f32_to_bf16(golden[i].in), golden[i].bf16, name);
        is_int(cast_f32_to_f16(-golden[i].in), golden[i].f16 | 0x8000,
            "and of its negative");
    }
}

/* The definition, in doubles: the nearest f16, ties to the even one. */
static double f16_value(unsigned v)
{
    unsigned e = v >> 10 & 31, m = v & 1023;

    return e == 0 ? ldexp(m, -24) : ldexp(m + 1024, (int)e - 25);
}

static unsigned nearest_f16(double d)
{
    unsigned low = 0, high = 0x7c00;

    if (d >= 65520.0)
        return 0x7c00;
    while (high - low > 1) {
        unsigned mid = (low + high) / 2;
        if (f16_value(mid) <= d)
            low = mid;
        else
            high = mid;
    }
    /* 0x7c00 stands for 65536 here: the next step of the grid. */
    double down = d - f16_value(low), up = f16_value(high) - d;
    if (down == up)
        return low & 1 ? high : low;
    return down < up ? low : high;
}

static void every_f16(void)
{
    bool same = true, back = true, nan = true;

    for (unsigned v = 0; v < 0x10000; v++) {
        float f = cast_f16_to_f32((uint16_t)v);
        if ((v & 0x7fff) > 0x7c00) {
            nan = nan && isnan(f) && (bits(f) >> 31) == v >> 15;
            continue;
        }
        if ((v & 0x7c00) != 0x7c00)
            same = same && fabsf(f) == (float)f16_value(v & 0x7fff) &&
                   (bits(f) >> 31) == v >> 15;
        back = back && cast_f32_to_f16(f) == v;
    }
    ok(same, "every finite f16 has its exact value as f32");
    ok(back, "every f16 comes back from f32");
    ok(nan, "every f16 NaN stays one, with its sign");
}

static void every_tie(void)
{
    bool same = true;

    /* Halfway between neighbours, and one float step to either side. */
    for (unsigned v = 0; v < 0x7c00; v++) {
        float mid = (float)((f16_value(v) + f16_value(v + 1)) / 2);
        for (int step = -1; step <= 1; step++) {
            float f = number(bits(mid) + (uint32_t)step);
            same = same && cast_f32_to_f16(f) == nearest_f16((double)f);
        }
    }
    ok(same, "f16: every tie and its neighbours round to nearest even");
    same = true;
    for (unsigned v = 0; v < 0x7f80; v++) {
        uint32_t mid = v << 16 | 0x8000;
        same = same && cast_f32_to_bf16(number(mid)) == v + (v & 1) &&
               cast_f32_to_bf16(number(mid - 1)) == v &&
               cast_f32_to_bf16(number(mid + 1)) == v + 1;
    }
    ok(same, "bf16: every tie and its neighbours round to nearest even");
}

static void nans(void)
{
    bool all = true;

    for (uint32_t m = 1; m < 0x800000; m += 0x3FF) {
        for (uint32_t sign = 0; sign <= 1; sign++) {
            float f = number(sign << 31 | 0x7F800000 | m);
            uint16_t h = cast_f32_to_f16(f), b = cast_f32_to_bf16(f);
            all = all && (h & 0x7fff) > 0x7c00 && h >> 15 == sign &&
                  (b & 0x7fff) > 0x7f80 && b >> 15 == sign;
        }
    }
    ok(all, "a NaN stays a NaN with its sign, whatever its payload");
}

enum { N = 4096 + 7 };

/* Both kernels on the same bytes, from every alignment. */
static bool same_as_plain(
    enum dtype to, enum dtype from, const void *in, size_t n)
{
    static uint8_t a[8 * N + 1], b[8 * N + 1];
    struct cast_kernels plain, fast;

    cast_kernels_plain(&plain);
    fast = plain;
    cast_kernels_x86(&fast);
    cast_array_with(&plain, a + 1, to, in, from, n);
    cast_array_with(&fast, b + 1, to, in, from, n);
    return memcmp(a + 1, b + 1, n * dtype_bytes(to)) == 0;
}

static void fast_halves(void)
{
    static const enum dtype half[] = { DTYPE_F16, DTYPE_BF16 };
    static const enum dtype all[] = { DTYPE_F64, DTYPE_F32, DTYPE_F16,
        DTYPE_BF16 };
    static uint16_t in[N];

    for (size_t f = 0; f < 2; f++)
        for (size_t t = 0; t < 4; t++) {
            bool same = true;
            for (unsigned v = 0; v < 0x10000; v += N) {
                for (unsigned i = 0; i < N; i++)
                    in[i] = (uint16_t)(v + i);
                same = same && same_as_plain(all[t], half[f], in, N);
            }
            ok(same, "fast %s to %s: all 65536 inputs as the reference",
                dtype_name(half[f]), dtype_name(all[t]));
        }
}

static void fast_floats(void)
{
    static float in[N];
    static double wide[N];
    bool h = true, b = true, d = true, w = true;
    uint64_t seed = 1;

    /* Every exponent and sign; mantissas at ties, edges and at random. */
    for (uint32_t top = 0; top < 512; top++) {
        for (uint32_t i = 0; i < N; i++) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            uint32_t m = (uint32_t)(seed >> 41);
            if (i < 3 * 1024)
                m = (i / 3 << 13 | 0x1000) + i % 3 - 1;
            in[i] = number(top << 23 | (m & 0x7FFFFF));
            uint64_t u = seed ^ seed >> 31;
            memcpy(&wide[i], &u, sizeof(u));
        }
        h = h && same_as_plain(DTYPE_F16, DTYPE_F32, in, N);
        b = b && same_as_plain(DTYPE_BF16, DTYPE_F32, in, N);
        d = d && same_as_plain(DTYPE_F64, DTYPE_F32, in, N);
        w = w && same_as_plain(DTYPE_F16, DTYPE_F64, wide, N);
    }
    ok(h, "fast f32 to f16: every exponent, ties, random mantissas");
    ok(b, "fast f32 to bf16: the same");
    ok(d, "fast f32 to f64: the same");
    ok(w, "fast f64 to f16: random doubles");
}

static void doubles(void)
{
    static const struct {
        double in;
        float out;
    } t[] = { { 0.1, 0.1F }, { 1e-300, 0.0F }, { 1e39, INFINITY },
        { 1e-45, 1e-45F }, { -INFINITY, -INFINITY } };
    float f;
    double d;
    uint16_t h;

    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        cast_array(&f, DTYPE_F32, &t[i].in, DTYPE_F64, 1);
        ok(bits(f) == bits(t[i].out), "f32 of %g", t[i].in);
    }
    d = (double)NAN;
    cast_array(&f, DTYPE_F32, &d, DTYPE_F64, 1);
    ok(isnan(f), "f32 of NaN");
    /* 65520 as a float, so infinite; in one step it would be 65504. */
    d = 65519.9999;
    cast_array(&h, DTYPE_F16, &d, DTYPE_F64, 1);
    is_int(h, 0x7c00, "f64 to f16 goes through f32");
    cast_array(&d, DTYPE_F64, &(float){ 0.1F }, DTYPE_F32, 1);
    ok(d == (double)0.1F, "f64 of a float is exact");
}

static void overflows(void)
{
    static float in[3000];
    double wide[] = { 1e300, 65520.0, (double)INFINITY, 3.4028235677973366e38 };
    uint16_t bf[] = { 0x477f, 0x4780, 0x7f7f, 0x7f80, 0xff7f, 0x7fc0 };
    uint64_t first = 99;

    for (int i = 0; i < 3000; i++)
        in[i] = 65519.0F;
    is_int((long long)cast_overflows(DTYPE_F16, in, DTYPE_F32, 3000, &first), 0,
        "65519 is no overflow");
    is_int((long long)first, 99, "and names none");
    in[1500] = -65520.0F;
    in[2999] = 3e38F;
    in[7] = INFINITY;
    in[8] = NAN;
    is_int((long long)cast_overflows(DTYPE_F16, in, DTYPE_F32, 3000, &first), 2,
        "two finite ones overflow; infinity and NaN do not count");
    is_int((long long)first, 1500, "the first is named");
    is_int((long long)cast_overflows(DTYPE_F16, bf, DTYPE_BF16, 6, &first), 3,
        "bf16 to f16");
    is_int((long long)first, 1, "the first of them");
    is_int((long long)cast_overflows(DTYPE_F32, wide, DTYPE_F64, 4, NULL), 2,
        "f64 to f32, halfway included");
    is_int((long long)cast_overflows(DTYPE_F16, wide, DTYPE_F64, 4, NULL), 3,
        "f64 to f16");
    is_int((long long)cast_overflows(DTYPE_BF16, in, DTYPE_F32, 3000, NULL), 0,
        "3e38 fits bf16");
    in[0] = number(0x7f7f8000);
    is_int((long long)cast_overflows(DTYPE_BF16, in, DTYPE_F32, 3000, NULL), 1,
        "the last half step does not");
}

int main(void)
{
    golden_values();
    every_f16();
    every_tie();
    nans();
    fast_halves();
    fast_floats();
    doubles();
    overflows();
    return done();
}
