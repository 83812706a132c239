#include "formats/dtype.h"

#include "formats/tensor.h"
#include "tests/unit/tap.h"

static void names(void)
{
    bool back = true;

    for (int t = DTYPE_NONE + 1; t < DTYPE_COUNT; t++)
        back =
            back &&
            dtype_parse(str_of(dtype_name((enum dtype)t))) == (enum dtype)t &&
            dtype_bits((enum dtype)t) > 0;
    ok(back, "every type is found again by its name, and has a size");
    is_int(dtype_parse(str_of("f32")), DTYPE_NONE, "names are exact");
    is_int(dtype_parse(str_of("F320")), DTYPE_NONE, "to the last letter");
    is_int(dtype_parse(str_of("none")), DTYPE_NONE, "none is no type");
    is_int(dtype_bytes(DTYPE_BF16), 2, "BF16 has two bytes");
    is_int(dtype_bytes(DTYPE_F4), 0, "F4 has no whole byte");
    is_int(dtype_bits(DTYPE_F6_E2M3), 6, "but bits");
    ok(dtype_is_float(DTYPE_F64) && dtype_is_float(DTYPE_BF16) &&
            !dtype_is_float(DTYPE_I32) && !dtype_is_float(DTYPE_C64) &&
            !dtype_is_float(DTYPE_F8_E4M3),
        "only the four that a cast reads are floats");
}

static void sizes(void)
{
    uint64_t big[] = { (uint64_t)1 << 32, (uint64_t)1 << 32, 0 };
    uint64_t small[] = { 2, 3 }, n = 0;
    struct tensor t = { .dtype = DTYPE_F4, .n = 3 };

    ok(!tensor_count(big, 3, &n), "2^32 x 2^32 x 0 overflows on the way");
    ok(!tensor_count(big, 2, &n), "2^64 does too");
    ok(tensor_count(small, 2, &n) && n == 6, "2 x 3 are 6");
    ok(tensor_count(NULL, 0, &n) && n == 1, "rank 0 is one element");
    is_int((long long)tensor_bytes(&t), 2, "three nibbles need two bytes");
    t.dtype = DTYPE_C128;
    t.n = (uint64_t)1 << 62;
    ok(tensor_bytes(&t) == UINT64_MAX, "a size past 2^64 saturates");
    t.dtype = DTYPE_F32;
    t.n = ((uint64_t)1 << 60) + 1;
    is_int((long long)tensor_bytes(&t), 4 * (((long long)1 << 60) + 1),
        "a size below it is exact");
}

static void views(void)
{
    uint64_t shape[] = { 3, 1, 4 }, dense[] = { 4, 99, 1 };
    uint64_t turned[] = { 1, 1, 3 };
    char text[64], tiny[5];
    struct tensor a = { .dtype = DTYPE_F32,
        .rank = 3,
        .shape = shape,
        .stride = dense,
        .n = 12,
        .storage_len = 48 };
    struct tensor b = a;

    ok(tensor_dense(&a), "the step of a dimension of 1 does not matter");
    b.stride = NULL;
    ok(tensor_same_bytes(&a, &b), "written out or not, dense is dense");
    b.stride = turned;
    ok(!tensor_dense(&b), "a transpose is not dense");
    ok(!tensor_same_bytes(&a, &b), "nor the same view");
    b = a;
    b.offset = 4;
    ok(!tensor_same_bytes(&a, &b), "nor is one that starts elsewhere");
    b = a;
    a.n = b.n = 0;
    ok(!tensor_same_bytes(&a, &b), "nothing is nobody's alias");
    is_str(tensor_shape_text(text, sizeof(text), &a), "[3, 1, 4]", "a shape");
    is_str(tensor_shape_text(tiny, sizeof(tiny), &a), "[3, ", "cut to fit");
    a.rank = 0;
    is_str(tensor_shape_text(text, sizeof(text), &a), "[]", "rank 0");
}

/* One tensor under two names has its parameters made twice. */
static void quantised(void)
{
    uint64_t shape[] = { 3, 4 };
    struct tensor_quant p = { .name = "qint8", .stored = DTYPE_I8 }, q;
    struct tensor a = { .dtype = DTYPE_F32, .rank = 2, .shape = shape }, b;

    p.scale = 0.5;
    p.scales = p.zeros = (struct tensor){ .rank = 1, .shape = shape, .n = 3 };
    q = p;
    a.n = 12;
    b = a;
    a.quant = &p;
    ok(!tensor_same_bytes(&a, &b), "integers are not what they stand for");
    b.quant = &q;
    ok(tensor_same_bytes(&a, &b), "equal parameters, the same numbers");
    q.zero = 1;
    ok(!tensor_same_bytes(&a, &b), "another zero point, other numbers");
    p.per_channel = q.per_channel = true;
    ok(tensor_same_bytes(&a, &b), "the same scales of channels");
    q.axis = 1;
    ok(!tensor_same_bytes(&a, &b), "along another dimension");
    q.axis = 0;
    q.scales.offset = 4;
    ok(!tensor_same_bytes(&a, &b), "scales from elsewhere");
}

int main(void)
{
    names();
    sizes();
    views();
    quantised();
    return done();
}
