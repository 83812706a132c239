#include "formats/quant_q8.h"

#include <math.h>

#include "tests/unit/tap.h"

/* The vector of the format page: ggml's own bytes. */
static void golden(void)
{
    static const char want[] = "4d269dfb59b61472d02e8be947a50361be1c7ad73593f1"
                               "4fac0a68c62481df3d9af8";
    float v[Q8_COUNT];
    uint8_t out[Q8_BYTES];
    char got[2 * Q8_BYTES + 1];

    for (int i = 0; i < Q8_COUNT; i++)
        v[i] = (float)((i * 37 + 11) % 101 - 50) / 16;
    q8_encode(out, v, Q8_COUNT);
    for (int i = 0; i < Q8_BYTES; i++)
        snprintf(got + 2 * (size_t)i, 3, "%02x", out[i]);
    is_str(got, want, "the golden vector");
}

static void halves(void)
{
    float v[Q8_COUNT] = { 127, 0.5F, -0.5F, 1.5F, 2.5F, -2.5F, -127 };
    static const int want[] = { 127, 1, -1, 2, 3, -3, -127 };
    uint8_t out[Q8_BYTES];
    bool same = true;

    q8_encode(out, v, Q8_COUNT);
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        same = same && (int8_t)out[2 + i] == want[i];
    ok(same, "halves are rounded away from zero");
}

/* Every step of a rounding that could go wrong, against the library's. */
static void as_roundf(void)
{
    bool same = true;

    for (int i = -127 * 2; i <= 127 * 2; i++)
        for (int side = -1; side <= 1; side++) {
            float half = (float)i / 2, x = half;
            float v[Q8_COUNT] = { 127 };
            uint8_t out[Q8_BYTES];

            if (side != 0)
                x = nextafterf(half, side < 0 ? -1000.0F : 1000.0F);
            if (fabsf(x) > 127)
                continue;
            v[1] = x;
            q8_encode(out, v, Q8_COUNT);
            same = same && (int8_t)out[3] == (int)roundf(x);
        }
    ok(same, "rounded as roundf() does, beside every half, too");
}

static void back(void)
{
    float v[3 * Q8_COUNT], w[3 * Q8_COUNT];
    uint8_t out[3 * Q8_BYTES];
    bool near = true;

    for (int i = 0; i < 3 * Q8_COUNT; i++)
        v[i] = (float)sin(i * 1.7) * (float)(1 << i / Q8_COUNT * 5);
    q8_encode(out, v, 3 * Q8_COUNT);
    q8_decode(w, out, 3 * Q8_COUNT);
    for (int i = 0; i < 3 * Q8_COUNT; i++) {
        float step = (float)(1 << i / Q8_COUNT * 5) / 127.0F;
        near = near && fabsf(v[i] - w[i]) <= step * 0.57F;
    }
    ok(near, "what comes back is half a step away at most");
}

/* Nothing in here may be undefined; the sanitizers watch. */
static void extremes(void)
{
    static const float worst[] = { 0, -0.0F, 1e-45F, 1e-38F, 1e-6F, Q8_LARGEST,
        -Q8_LARGEST };
    bool finite = true;

    for (size_t i = 0; i < ARRAY_LEN(worst); i++) {
        float v[Q8_COUNT] = { worst[i], worst[i] / 2, -worst[i] };
        uint8_t out[Q8_BYTES];

        q8_encode(out, v, Q8_COUNT);
        q8_decode(v, out, Q8_COUNT);
        for (int k = 0; k < Q8_COUNT; k++)
            finite = finite && isfinite(v[k]);
    }
    ok(finite, "zeros, subnormals and the largest stay finite");
}

int main(void)
{
    golden();
    halves();
    as_roundf();
    back();
    extremes();
    return done();
}
