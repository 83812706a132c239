/* t_activation.c - every activation against its formula in double. */
#include <math.h>

#include "tests/unit/tap.h"
#include "verify-run/ops.h"

static double want_gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static double want_tanh_gelu(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double want_quick(double x)
{
    return x / (1 + exp(-1.702 * x));
}

static double want_clip10(double x)
{
    return fmin(fmax(want_gelu(x), -10), 10);
}

static double want_silu(double x)
{
    return x / (1 + exp(-x));
}

static double want_relu(double x)
{
    return x > 0 ? x : 0;
}

static double want_relu2(double x)
{
    return x > 0 ? x * x : 0;
}

static double want_relu6(double x)
{
    return fmin(fmax(x, 0), 6);
}

static double want_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double want_linear(double x)
{
    return x;
}

static double want_leaky(double x)
{
    return x < 0 ? 0.01 * x : x;
}

static double want_mish(double x)
{
    return x * tanh(log1p(exp(x)));
}

static const struct {
    enum activation act;
    const char *name;
    double (*want)(double);
} all[] = {
    { ACT_GELU, "gelu", want_gelu },
    { ACT_GELU_TANH, "gelu by tanh", want_tanh_gelu },
    { ACT_GELU_QUICK, "quick gelu", want_quick },
    { ACT_GELU_CLIP10, "gelu within 10", want_clip10 },
    { ACT_SILU, "silu", want_silu },
    { ACT_RELU, "relu", want_relu },
    { ACT_RELU2, "relu squared", want_relu2 },
    { ACT_RELU6, "relu within 6", want_relu6 },
    { ACT_TANH, "tanh", tanh },
    { ACT_SIGMOID, "sigmoid", want_sigmoid },
    { ACT_LINEAR, "linear", want_linear },
    { ACT_LEAKY_RELU, "leaky relu", want_leaky },
    { ACT_MISH, "mish", want_mish },
};

static void test_formula(size_t i)
{
    enum { N = 1601 };
    float x[N];
    double far = 0;

    for (int k = 0; k < N; k++)
        x[k] = (float)(k - N / 2) / 40.0f;
    ops_activate(x, N, all[i].act);
    for (int k = 0; k < N; k++) {
        double v = all[i].want((double)((float)(k - N / 2) / 40.0f));
        double d = fabs((double)x[k] - v) / fmax(1, fabs(v));

        far = d <= far ? far : d; /* a NaN stays */
    }
    ok(far <= 1e-6, "%s, off by %.2g", all[i].name, far);
}

/* What is no number must reach the check for it; far away nothing else is. */
static void test_ends(size_t i)
{
    float x[] = { NAN, -200.0f, 200.0f };

    ops_activate(x, 3, all[i].act);
    ok(isnan(x[0]), "%s: a NaN stays", all[i].name);
    ok(isfinite(x[1]) && isfinite(x[2]), "%s: far out it is finite",
        all[i].name);
}

/* Both forms of gelu are alike, and not the same. */
static void test_told_apart(void)
{
    double far = 0;

    for (double v = -4; v < 4; v += 0.01)
        far = fmax(far, fabs(want_gelu(v) - want_tanh_gelu(v)));
    ok(far > 1e-4 && far < 1e-3,
        "the gelus differ by %.2g: they are told apart", far);
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        test_formula(i);
        test_ends(i);
    }
    test_told_apart();
    return done();
}
