/* t_drift.c - distance of logits, and how likely a text is. */
#include <math.h>

#include "tests/unit/tap.h"
#include "verify-run/drift.h"
#include "verify-run/perplexity.h"

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static void test_sums(void)
{
    const float a[4] = { 1, 2, 3, 6 };
    const float b[4] = { 1, 2, 4, 6 };
    const float c[4] = { 1, 2, 3, 0 };
    struct drift d = { 0 };

    ok(drift_mean(&d) == 0 && drift_share(&d) == 0 && drift_kl(&d) == 0,
        "nothing drifts from nothing");
    drift_add(&d, a, a, 4);
    ok(d.max == 0 && drift_share(&d) == 0 && near(drift_kl(&d), 0),
        "nor a thing from itself");
    ok(near(drift_spread(&d), sqrt(14.0 / 4)), "the spread");
    drift_add(&d, a, b, 4);
    ok(d.max == 1 && near(drift_mean(&d), 1.0 / 8), "one of eight by one");
    ok(near(drift_share(&d), sqrt(1.0 / 8) / sqrt(14.0 / 4)), "as a share");
    ok(drift_kl(&d) > 0 && drift_agreement(&d) == 1, "the best is the same");
    drift_add(&d, a, c, 4);
    ok(near(drift_agreement(&d), 2.0 / 3) && d.max == 6, "then it is not");
}

static void test_no_numbers(void)
{
    const float a[3] = { 1, 2, 3 };
    const float bad[3] = { 1, NAN, 3 };
    const float barred[3] = { 1, -INFINITY, 3 };
    const float flat[3] = { 2, 2, 2 };
    struct drift d = { 0 };

    drift_add(&d, a, bad, 3);
    ok(isnan(d.max) && !(drift_share(&d) <= 1), "no number: no bound holds");
    d = (struct drift){ 0 };
    drift_add(&d, bad, a, 3);
    ok(isnan(drift_kl(&d)), "nor is it 0 nats from there to a number");
    d = (struct drift){ 0 };
    drift_add(&d, a, barred, 3);
    ok(!(drift_share(&d) <= 1), "infinitely far: the same");
    d = (struct drift){ 0 };
    drift_add(&d, flat, a, 3);
    ok(!(drift_share(&d) <= 1), "from what has no spread: the same");
}

static void test_bounds(void)
{
    double exact = drift_bound(DTYPE_F32, DTYPE_F32);
    double half = drift_bound(DTYPE_F32, DTYPE_F16);
    double brain = drift_bound(DTYPE_BF16, DTYPE_F32);

    ok(exact < half && half < brain && brain < drift_bound(DTYPE_F32, DTYPE_I8),
        "the fewer bits the farther");
    ok(drift_bound(DTYPE_F16, DTYPE_F16) == exact, "one type: exact");
    ok(drift_bound(DTYPE_I8, DTYPE_I8) > brain, "two quantisations: not");
    ok(near(drift_bound(DTYPE_F16, DTYPE_BF16), half + brain - exact),
        "two roundings add up");
}

static void test_nats(void)
{
    const float flat[4] = { 5, 5, 5, 5 };
    const float far[2] = { 1000, 0 };
    const float bad[2] = { 1, NAN };

    ok(near(perplexity_nats(flat, 4, 2), log(4)), "one of four");
    ok(near(perplexity_nats(far, 2, 1), 1000), "far off, without overflow");
    ok(near(perplexity_nats(far, 2, 0), 0), "sure of it");
    ok(isnan(perplexity_nats(bad, 2, 0)), "no number");
}

static void test_shuffle(void)
{
    uint32_t a[64];
    uint32_t b[64];
    uint32_t one[1] = { 9 };
    int moved = 0;
    uint64_t seen = 0;

    for (uint32_t i = 0; i < 64; i++)
        a[i] = b[i] = i;
    perplexity_shuffle(a, 64);
    perplexity_shuffle(b, 64);
    for (uint32_t i = 0; i < 64; i++) {
        moved += a[i] != i;
        seen |= (uint64_t)1 << a[i];
    }
    ok(a[0] == 0 && moved > 48 && seen == UINT64_MAX,
        "every id has another place, but the first");
    ok(memcmp(a, b, sizeof(a)) == 0, "always the same one");
    perplexity_shuffle(one, 1);
    perplexity_shuffle(one, 0);
    is_int(one[0], 9, "few are left alone");
}

static void test_verdict(void)
{
    struct perplexity p = {
        .state = PERPLEXITY_MADE, .value = 100, .untrained = 512, .order = 1.2
    };

    ok(perplexity_trained(&p), "better than ignorance, and order matters");
    p.value = 600;
    ok(!perplexity_trained(&p), "worse, and it matters little");
    p.order = 2.2;
    ok(perplexity_trained(&p), "worse, and it matters much: other texts");
    p.value = 100;
    p.order = 0.5;
    ok(!perplexity_trained(&p), "order is nothing to it");
    p.order = NAN;
    ok(!perplexity_trained(&p), "no number");
    p.order = 5;
    p.state = PERPLEXITY_LOST;
    ok(!perplexity_trained(&p), "nor a text without one");
}

int main(void)
{
    test_sums();
    test_no_numbers();
    test_bounds();
    test_nats();
    test_shuffle();
    test_verdict();
    return done();
}
