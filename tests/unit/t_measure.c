/* verify/measure.h: which elements differ, and by how much. */
#include <math.h>

#include "tests/unit/tap.h"
#include "verify/measure.h"

static void test_floats(void)
{
    float a[] = { 1, 2, 3, NAN, 0.0f, INFINITY };
    float b[] = { 1, 2.5f, 2, NAN, -0.0f, INFINITY };
    struct measure m = { .n = 0 };

    measure_add(&m, DTYPE_F32, a, a, 0, 6);
    ok(m.n == 0, "an array is itself, NaN and all");
    measure_add(&m, DTYPE_F32, a, b, 100, 6);
    ok(m.n == 3 && m.first == 101, "two zeros have different bits");
    ok(m.absolute.by == 1 && m.absolute.at == 102, "the largest difference");
    ok(m.absolute.a == 3 && m.absolute.b == 2, "and its values");
    ok(m.relative.by == 1.0 / 3 && m.relative.at == 102, "relative");
    a[0] = NAN;
    m = (struct measure){ .n = 0 };
    measure_add(&m, DTYPE_F32, a, b, 0, 6);
    ok(isinf(m.absolute.by) && m.absolute.at == 0 && isnan(m.absolute.a),
        "a NaN is infinitely far from a number");
    a[0] = -INFINITY;
    b[0] = INFINITY;
    m = (struct measure){ .n = 0 };
    measure_add(&m, DTYPE_F32, a, b, 0, 1);
    ok(isinf(m.absolute.by) && isinf(m.relative.by), "and so are infinities");
}

static void test_integers(void)
{
    int8_t a1[] = { -128 }, b1[] = { 127 };
    uint64_t a8[] = { 0, UINT64_MAX }, b8[] = { 0, 0 };
    int64_t c8[] = { INT64_MIN }, d8[] = { INT64_MAX };
    uint16_t a2[] = { 65535 }, b2[] = { 1 };
    int32_t a4[] = { -1 }, b4[] = { 1 };
    struct measure m = { .n = 0 };

    measure_add(&m, DTYPE_I8, a1, b1, 0, 1);
    ok(m.absolute.by == 255, "I8");
    m = (struct measure){ .n = 0 };
    measure_add(&m, DTYPE_U64, a8, b8, 0, 2);
    ok(m.absolute.by == 0x1p64 && m.first == 1, "U64");
    m = (struct measure){ .n = 0 };
    measure_add(&m, DTYPE_I64, c8, d8, 0, 1);
    ok(m.absolute.by == 0x1p64 && m.relative.by == 2, "I64");
    m = (struct measure){ .n = 0 };
    measure_add(&m, DTYPE_U16, a2, b2, 0, 1);
    ok(m.absolute.by == 65534, "U16");
    m = (struct measure){ .n = 0 };
    measure_add(&m, DTYPE_I32, a4, b4, 0, 1);
    ok(m.absolute.by == 2 && m.absolute.a == -1, "I32");
    ok(!measure_can(DTYPE_C64) && !measure_can(DTYPE_F8_E4M3) &&
            measure_can(DTYPE_BF16) && measure_can(DTYPE_BOOL),
        "what can be measured");
}

/* Neighbours that are one double. */
static void test_wide(void)
{
    int64_t a[] = { INT64_MAX, INT64_MIN }, b[] = { INT64_MAX - 1, INT64_MAX };
    struct measure m = { .n = 0 };

    measure_add(&m, DTYPE_I64, a, b, 0, 1);
    ok(m.n == 1 && m.absolute.by == 1 && m.relative.by > 0, "64 bits: 1");
    measure_add(&m, DTYPE_I64, a + 1, b + 1, 1, 1);
    ok(m.absolute.by == 0x1p64 && m.absolute.at == 1, "64 bits: all of them");
    m = (struct measure){ .n = 0 };
    measure_add(&m, DTYPE_U64, b, a, 0, 1);
    ok(m.absolute.by == 1, "and without a sign");
}

static void test_packed(void)
{
    /* Six elements of four bits; the third and the sixth differ. */
    uint8_t a[] = { 0x21, 0x43, 0x65 }, b[] = { 0x21, 0x4f, 0xf5 };
    struct measure m = { .n = 0 };

    measure_add(&m, DTYPE_F4, a, b, 10, 6);
    ok(m.n == 2 && m.first == 12, "elements smaller than a byte");
    m = (struct measure){ .n = 0 };
    measure_add(&m, DTYPE_C64, "aaaaaaaabbbbbbbb", "aaaaaaaabbbbbbbc", 0, 2);
    ok(m.n == 1 && m.first == 1 && m.absolute.by == 0, "complex: only which");
}

static void test_join(void)
{
    struct measure all = { .n = 0 }, none = { .n = 0 };
    float a[] = { 1, 1 }, b[] = { 2, 1.5f };
    struct measure one = { .n = 0 }, two = { .n = 0 };

    measure_add(&one, DTYPE_F32, a, b, 0, 1);
    measure_add(&two, DTYPE_F32, a + 1, b + 1, 1, 1);
    measure_join(&all, &none);
    measure_join(&all, &one);
    measure_join(&all, &two);
    measure_join(&all, &none);
    ok(all.n == 2 && all.first == 0 && all.absolute.at == 0,
        "the larger stays");
    all = none;
    measure_join(&all, &two);
    measure_join(&all, &one);
    ok(all.absolute.by == 1 && all.relative.by == 0.5, "in any order");
}

int main(void)
{
    test_floats();
    test_integers();
    test_wide();
    test_packed();
    test_join();
    return done();
}
