/*
 * t_positions.c - rotary frequencies under every scaling, and ALiBi's slopes,
 * against numbers that transformers gave for the same configs.
 */
#include <math.h>

#include "tests/unit/tap.h"
#include "verify-run/alibi.h"

#define MODEL                                                                  \
    "{\"model_type\":\"llama\",\"hidden_size\":64,"                            \
    "\"num_attention_heads\":4,\"max_position_embeddings\":128,"               \
    "\"rope_parameters\":{\"rope_theta\":10000.0,\"rope_type\":"
#define LONG_FACTORS                                                           \
    "\"longrope\",\"original_max_position_embeddings\":32,"                    \
    "\"short_factor\":[1.0,1.1,1.2,1.3,1.4,1.5,1.6,1.7],"                      \
    "\"long_factor\":[1.0,1.5,2.0,3.0,4.0,5.0,6.0,8.0]}}"

enum { PAIRS = 8 };

struct scaled {
    const char *name;
    const char *config;
    uint32_t length; /* of the run */
    double gain;     /* cos and sin are multiplied by it */
    double want[PAIRS];
};

static const struct scaled cases[] = {
    { "default", MODEL "\"default\"}}", 100, 1,
        { 1, 0.316227764, 0.1, 0.0316227786, 0.01, 0.00316227786, 0.001,
            0.000316227786 } },
    { "linear", MODEL "\"linear\",\"factor\":2.5}}", 100, 1,
        { 0.4, 0.1264911, 0.04, 0.0126491114, 0.004, 0.00126491114, 0.0004,
            0.000126491112 } },
    { "dynamic, within", MODEL "\"dynamic\",\"factor\":2.0}}", 128, 1,
        { 1, 0.316227764, 0.1, 0.0316227786, 0.01, 0.00316227786, 0.001,
            0.000316227786 } },
    { "dynamic, beyond", MODEL "\"dynamic\",\"factor\":2.0}}", 200, 1,
        { 1, 0.283945143, 0.0806248412, 0.0228930302, 0.00650036521,
            0.001845747, 0.000524090894, 0.000148813066 } },
    { "llama3",
        MODEL "\"llama3\",\"factor\":4.0,\"low_freq_factor\":1.0,"
              "\"high_freq_factor\":4.0,"
              "\"original_max_position_embeddings\":32}}",
        100, 1,
        { 1, 0.127323955, 0.025, 0.00790569466, 0.0025, 0.000790569466, 0.00025,
            7.90569466e-05 } },
    { "yarn",
        MODEL "\"yarn\",\"factor\":4.0,"
              "\"original_max_position_embeddings\":32}}",
        100, 1.13862944,
        { 1, 0.197642356, 0.025, 0.00790569466, 0.0025, 0.000790569466, 0.00025,
            7.90569466e-05 } },
    { "yarn, all members",
        MODEL "\"yarn\",\"factor\":2.5,\"beta_fast\":16,\"beta_slow\":2,"
              "\"truncate\":false,\"mscale\":1.2,\"mscale_all_dim\":0.7,"
              "\"original_max_position_embeddings\":48}}",
        100, 1.0430531,
        { 1, 0.153232545, 0.04, 0.0126491114, 0.004, 0.00126491114, 0.0004,
            0.000126491112 } },
    { "longrope, short", MODEL LONG_FACTORS, 32, 1.18321596,
        { 1, 0.287479758, 0.0833333358, 0.0243252143, 0.00714285718,
            0.00210818532, 0.000624999986, 0.000186016332 } },
    { "longrope, long", MODEL LONG_FACTORS, 33, 1.18321596,
        { 1, 0.210818499, 0.05, 0.010540925, 0.0025, 0.000632455572,
            0.000166666665, 3.95284733e-05 } },
};

static bool parse(struct model_config *c, const char *text)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct err e = ERR_INIT;

    if (json_parse(&doc, str_of(text), 0, &e) == 0 &&
        config_parse(c, doc.root, NULL, &e) == 0)
        return true;
    ok(false, "config: %s", e.msg);
    return false;
}

static double worst(const float *got, const double *want, size_t n)
{
    double far = 0;

    for (size_t i = 0; i < n; i++)
        far = fmax(far, fabs((double)got[i] / want[i] - 1));
    return far;
}

static void test_scaling(const struct scaled *s)
{
    struct model_config c;
    float freq[PAIRS];
    double far;

    if (!parse(&c, s->config))
        return;
    ok(c.rope.dims == 2 * PAIRS, "%s: all of a head turns", s->name);
    rope_inv_freq(&c.rope, s->length, freq);
    far = worst(freq, s->want, PAIRS);
    ok(far < 1e-6, "%s: frequencies, off by %.2g", s->name, far);
    ok(fabs(c.rope.attention_factor - s->gain) < 1e-8, "%s: gain %.9g", s->name,
        c.rope.attention_factor);
}

enum { HEADS = 12 };

static const double slopes_3[] = { 0.0625, 0.00390625, 0.25 };
static const double slopes_6[] = { 0.25, 0.0625, 0.015625, 0.00390625, 0.5,
    0.125 };
static const double slopes_8[] = { 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625,
    0.0078125, 0.00390625 };
static const double slopes_12[] = { 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625,
    0.0078125, 0.00390625, 0.707106769, 0.353553385, 0.176776677,
    0.0883883387 };
static const double gentle_12[] = { 0.707106769, 0.5, 0.353553385, 0.25,
    0.176776692, 0.125, 0.0883883461, 0.0625, 0.840896428, 0.594603539,
    0.420448214, 0.297301769 };

static void test_slopes(
    const char *type, uint32_t heads, double max, const double *want)
{
    struct model_config c;
    float got[HEADS];
    double far;

    config_begin(&c, arch_find(type));
    c.heads = heads;
    c.alibi_max = max;
    alibi_slopes(&c, got);
    far = worst(got, want, heads);
    ok(far < 1e-6, "%s: slopes of %u heads, off by %.2g", type, heads, far);
}

/* Falcon's penalties are numbers of bfloat16: past 256 they get coarse. */
static void test_falcon(void)
{
    static const uint32_t at[] = { 0, 1, 3, 257, 301, 700 };
    static const double want[] = { 0, 0.70703125, 2.125, 181, 212, 494 };
    enum { POSITIONS = 701, HEAD = 8 };
    static float bias[HEADS * POSITIONS];
    struct model_config c;
    double far = 0;

    config_begin(&c, arch_find("falcon"));
    c.kinds.position = POSITION_ALIBI_FALCON;
    c.heads = HEADS;
    c.attention_scale = 0.5;
    ok(alibi_is_rounded(&c), "Falcon has a table");
    alibi_bias(&c, POSITIONS, bias);
    for (size_t i = 0; i < ARRAY_LEN(at); i++)
        far = fmax(
            far, fabs((double)bias[HEAD * POSITIONS + at[i]] - want[i] / 2));
    ok(far == 0, "its numbers, off by %.2g", far);
    alibi_slopes(&c, bias);
    ok(bias[0] == 0 && bias[HEADS - 1] == 0, "and no slopes beside it");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        test_scaling(&cases[i]);
    test_slopes("bloom", 3, 0, slopes_3);
    test_slopes("bloom", 6, 0, slopes_6);
    test_slopes("bloom", 8, 0, slopes_8);
    test_slopes("bloom", 12, 0, slopes_12);
    test_slopes("mpt", 3, 8, slopes_3);
    test_slopes("mpt", 6, 8, slopes_6);
    test_slopes("mpt", 8, 8, slopes_8);
    test_slopes("mpt", 12, 8, slopes_12);
    test_slopes("mpt", 12, 4, gentle_12);
    test_falcon();
    return done();
}
