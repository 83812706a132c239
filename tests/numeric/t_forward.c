/*
 * t_forward.c - whole forward passes of the CPU backend against golden
 * numbers, and its promises: the same bits whatever the threads and however
 * tokens are batched; the first value that is not finite is named.
 */
#include <math.h>

#include "tests/numeric/golden.h"
#include "tests/unit/tap.h"
#include "verify-run/backend.h"
#include "verify-run/ops.h"

enum { MANY = 60, CAPACITY = 64 }; /* more than one block of tokens */

static const double tolerance = 2e-5;

/* Of the reference that itself rounds every step to bfloat16. */
static const double bf16_tolerance = 0.08;

/* A model from a folder in the CPU backend. */
struct bench {
    struct checkpoint c;
    struct model_config config;
    struct weights w;
    struct pool *pool;
    struct backend_state *state;
    struct err e;
};

static bool bench_open(
    struct bench *b, const char *folder, unsigned threads, bool fp32)
{
    struct backend_opened opened = { .device = "" };
    struct weights_source src = { &b->config, &b->c, NULL,
        fp32 ? DTYPE_F32 : DTYPE_NONE };
    struct backend_model m = {
        .config = &b->config, .weights = &b->w, .capacity = CAPACITY
    };

    memset(b, 0, sizeof(*b));
    b->w = (struct weights)WEIGHTS_INIT;
    if (checkpoint_open(&b->c, folder, NULL, &b->e) != 0 ||
        config_load(&b->config, &b->c, &b->e) != 0 ||
        weights_bind(&b->w, &src, &b->e) != 0)
        return false;
    m.pool = b->pool = pool_open(threads, &b->e);
    if (!weights_complete(&b->w) || b->pool == NULL)
        return false;
    b->state = backend_cpu.open(&m, &opened, &b->e);
    return b->state != NULL && opened.device[0] != '\0';
}

static void bench_close(struct bench *b)
{
    backend_cpu.close(b->state);
    pool_close(b->pool);
    weights_free(&b->w);
    checkpoint_close(&b->c);
}

/* One pass over n tokens; the last position's logits, or all. */
static struct backend_pass pass(struct bench *b, const uint32_t *tokens,
    uint32_t n, uint32_t pos, bool all, float *logits)
{
    struct backend_pass p = {
        .tokens = tokens, .n = n, .pos = pos, .all = all, .logits = logits
    };

    if (backend_cpu.forward(b->state, &p, &b->e) != 0)
        ok(false, "forward: %s", b->e.msg);
    return p;
}

static double worst(const float *got, const double *want, size_t n)
{
    double out = 0;

    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - want[i]);
        out = d <= out ? out : d; /* a NaN stays */
    }
    return out;
}

static void judge_rows(
    const struct golden_case *g, const float *logits, double allowed)
{
    double far = 0;
    int wrong = 0;

    for (int t = 0; t < GOLDEN_IDS; t++) {
        const float *row = logits + t * GOLDEN_VOCAB;
        double sum = 0;
        double d;
        uint32_t best = 0;

        for (uint32_t i = 0; i < GOLDEN_VOCAB; i++) {
            sum += (double)row[i] * (double)row[i];
            best = row[i] > row[best] ? i : best;
        }
        wrong += (double)(row[best] - row[g->argmax[t]]) > allowed;
        d = fabs(sqrt(sum) - g->row_l2[t]);
        far = d <= far ? far : d;
    }
    ok(wrong == 0, "%s: the best token of every position", g->name);
    ok(far <= 5 * allowed, "%s: norms of the rows, off by %.2g", g->name, far);
}

/* The model with all of its tensors in one type. */
static struct tiny_model tiny_make_as(
    const char *config, const struct tiny_tensor *t, size_t n, enum dtype dtype)
{
    struct tiny_tensor as[GOLDEN_TENSORS];

    memcpy(as, t, n * sizeof(*t));
    for (size_t i = 0; i < n; i++)
        as[i].dtype = dtype;
    return tiny_make(config, as, n);
}

static void test_golden(const struct golden_case *g)
{
    bool bf16 = strstr(g->name, "bf16") != NULL;
    double allowed = bf16 ? bf16_tolerance : tolerance;
    struct tiny_model m = tiny_make_as(
        g->config, g->tensors, g->n_tensors, bf16 ? DTYPE_BF16 : DTYPE_F32);
    float logits[GOLDEN_IDS * GOLDEN_VOCAB];
    float last[GOLDEN_VOCAB];
    struct backend_pass p;
    struct bench b;
    double d;

    if (!ok(bench_open(&b, m.folder, 2, false), "%s: opens", g->name))
        printf("# %s\n", b.e.msg);
    if (b.state != NULL) {
        p = pass(&b, golden_ids, GOLDEN_IDS, 0, true, logits);
        d = worst(logits + (GOLDEN_IDS - 1) * GOLDEN_VOCAB, g->last_logits,
            GOLDEN_VOCAB);
        ok(d <= allowed, "%s: last logits, off by %.2g", g->name, d);
        judge_rows(g, logits, allowed);
        ok(!p.fault.found, "%s: all finite", g->name);
        if (!bf16)
            is_int(p.argmax, g->argmax[GOLDEN_IDS - 1], "argmax of the pass");
        pass(&b, golden_ids, GOLDEN_IDS, 0, false, last);
        ok(memcmp(last, logits + (GOLDEN_IDS - 1) * GOLDEN_VOCAB,
               sizeof(last)) == 0,
            "%s: the last row alone is the same", g->name);
    }
    bench_close(&b);
    tiny_remove(&m);
}

static void many_tokens(uint32_t out[MANY])
{
    for (uint32_t i = 0; i < MANY; i++)
        out[i] = (i * 29 + 7) % GOLDEN_VOCAB;
}

static void test_batching(const struct golden_case *g)
{
    struct tiny_model m = tiny_make(g->config, g->tensors, g->n_tensors);
    static float whole[MANY * GOLDEN_VOCAB];
    static float other[MANY * GOLDEN_VOCAB];
    uint32_t tokens[MANY];
    struct bench b;

    many_tokens(tokens);
    ok(bench_open(&b, m.folder, 1, false), "%s: one thread", g->name);
    pass(&b, tokens, MANY, 0, true, whole);
    for (uint32_t i = 0; i < MANY; i++)
        pass(&b, tokens + i, 1, i, true, other + i * GOLDEN_VOCAB);
    ok(memcmp(whole, other, sizeof(whole)) == 0,
        "%s: one by one gives the same bits", g->name);
    memset(other, 0, sizeof(other));
    pass(&b, tokens, 41, 0, true, other);
    pass(&b, tokens + 41, MANY - 41, 41, true, other + 41 * GOLDEN_VOCAB);
    ok(memcmp(whole, other, sizeof(whole)) == 0,
        "%s: in two parts gives the same bits", g->name);
    bench_close(&b);
    for (unsigned threads = 2; threads <= 5; threads += 3) {
        ok(bench_open(&b, m.folder, threads, false), "%u threads", threads);
        pass(&b, tokens, MANY, 0, true, other);
        ok(memcmp(whole, other, sizeof(whole)) == 0,
            "%s: %u threads give the same bits", g->name, threads);
        bench_close(&b);
    }
    tiny_remove(&m);
}

/* Going back forgets what came later. */
static void test_rewind(const struct golden_case *g)
{
    struct tiny_model m = tiny_make(g->config, g->tensors, g->n_tensors);
    float first[GOLDEN_VOCAB];
    float again[GOLDEN_VOCAB];
    uint32_t tokens[MANY];
    struct bench b;

    many_tokens(tokens);
    ok(bench_open(&b, m.folder, 2, false), "%s: opens", g->name);
    pass(&b, tokens, 9, 0, false, first);
    pass(&b, tokens + 20, 30, 5, false, again);
    ok(memcmp(first, again, sizeof(first)) != 0, "another text differs");
    pass(&b, tokens + 5, 4, 5, false, again);
    ok(memcmp(first, again, sizeof(first)) == 0,
        "back to position 5, the same tokens give the same bits");
    pass(&b, tokens + 20, 1, 3, false, again);
    pass(&b, tokens + 4, 5, 4, false, again);
    ok(memcmp(first, again, sizeof(first)) != 0,
        "another token before changes the answer");
    bench_close(&b);
    tiny_remove(&m);
}

/* Stored half-precision weights, and the same widened first. */
static void test_half(
    const struct golden_case *g, enum dtype dtype, double allowed)
{
    struct tiny_tensor tensors[64];
    float stored[GOLDEN_VOCAB];
    float widened[GOLDEN_VOCAB];
    struct tiny_model m;
    struct bench b;
    double d = 0;

    memcpy(tensors, g->tensors, g->n_tensors * sizeof(tensors[0]));
    for (size_t i = 0; i < g->n_tensors; i++)
        tensors[i].dtype = dtype;
    m = tiny_make(g->config, tensors, g->n_tensors);
    ok(bench_open(&b, m.folder, 2, false), "%s in %s", g->name,
        dtype_name(dtype));
    is_str(dtype_name(b.w.dtype),
        dtype == DTYPE_F64 ? "F32" : dtype_name(dtype), "its type in use");
    pass(&b, golden_ids, GOLDEN_IDS, 0, false, stored);
    bench_close(&b);
    ok(bench_open(&b, m.folder, 2, true), "widened");
    is_str(dtype_name(b.w.dtype), "F32", "its type in use");
    pass(&b, golden_ids, GOLDEN_IDS, 0, false, widened);
    bench_close(&b);
    ok(memcmp(stored, widened, sizeof(stored)) == 0,
        "widened first or on the way, the same bits");
    d = worst(stored, g->last_logits, GOLDEN_VOCAB);
    ok(d <= allowed, "near the float32 numbers, off by %.2g", d);
    tiny_remove(&m);
}

/* A factor the config gives is no number of the weights' type. */
static void test_embed_factor(const struct golden_case *g)
{
    struct buf config AUTO(buf_free) = BUF_INIT(1 << 16);
    const char *at;
    float stored[GOLDEN_VOCAB];
    float widened[GOLDEN_VOCAB];
    struct tiny_model m;
    struct bench b;

    at = strstr(g->config, "embedding_multiplier\":12") + 24;
    buf_printf(&config, "%.*s.34%s", (int)(at - g->config), g->config, at);
    m = tiny_make_as(config.p, g->tensors, g->n_tensors, DTYPE_BF16);
    ok(bench_open(&b, m.folder, 2, false), "%s, a factor of 12.34", g->name);
    pass(&b, golden_ids, GOLDEN_IDS, 0, false, stored);
    bench_close(&b);
    ok(bench_open(&b, m.folder, 2, true), "widened");
    pass(&b, golden_ids, GOLDEN_IDS, 0, false, widened);
    bench_close(&b);
    ok(memcmp(stored, widened, sizeof(stored)) == 0,
        "counts the same in either type");
    tiny_remove(&m);
}

static void test_fault(const struct golden_case *g, const char *name,
    enum role role, uint32_t layer, float poison)
{
    struct tiny_tensor tensors[64];
    struct tiny_model m;
    struct backend_pass p;
    struct bench b;

    memcpy(tensors, g->tensors, g->n_tensors * sizeof(tensors[0]));
    for (size_t i = 0; i < g->n_tensors; i++)
        if (strcmp(tensors[i].name, name) == 0)
            tensors[i].poison = poison;
    m = tiny_make(g->config, tensors, g->n_tensors);
    ok(bench_open(&b, m.folder, 2, false), "%g in %s", (double)poison, name);
    p = pass(&b, golden_ids, GOLDEN_IDS, 0, false, NULL);
    ok(p.fault.found, "is found");
    is_str(role_name(p.fault.role), role_name(role), "in the right place");
    is_int(p.fault.layer, layer, "in the right layer");
    bench_close(&b);
    tiny_remove(&m);
}

/* One row of many that overflows is a fault, wherever it stands. */
static void test_fault_rows(const struct golden_case *g)
{
    struct tiny_tensor tensors[64];
    float logits[GOLDEN_IDS * GOLDEN_VOCAB];
    struct tiny_model m;
    struct bench b;
    int early = 0;
    int missed = 0;

    memcpy(tensors, g->tensors, g->n_tensors * sizeof(tensors[0]));
    for (size_t i = 0; i < g->n_tensors; i++)
        if (strcmp(tensors[i].name, "embed_out.weight") == 0)
            tensors[i].poison = 3e38f;
    m = tiny_make(g->config, tensors, g->n_tensors);
    ok(bench_open(&b, m.folder, 1, false), "a head that overflows at times");
    for (uint32_t n = 1; n <= GOLDEN_IDS; n++) {
        struct backend_pass p = pass(&b, golden_ids, n, 0, true, logits);
        const float *last = logits + (n - 1) * GOLDEN_VOCAB;
        bool fine = ops_finite(logits, (size_t)n * GOLDEN_VOCAB);

        early += !fine && ops_finite(last, GOLDEN_VOCAB);
        missed += p.fault.found == fine;
    }
    ok(early > 0, "not always in the last row");
    is_int(missed, 0, "is a fault whenever some row does");
    bench_close(&b);
    tiny_remove(&m);
}

static void test_faults(void)
{
    const struct golden_case *neox = &golden_cases[0];
    const struct golden_case *llama = &golden_cases[3];

    test_fault(
        neox, "gpt_neox.layers.1.mlp.dense_4h_to_h.weight", ROLE_DOWN, 1, NAN);
    test_fault(neox, "gpt_neox.layers.0.attention.query_key_value.bias",
        ROLE_QKV, 0, INFINITY);
    test_fault(neox, "embed_out.weight", ROLE_HEAD, 0, NAN);
    test_fault(
        neox, "gpt_neox.final_layer_norm.bias", ROLE_NORM_OUT, 0, -INFINITY);
    test_fault(llama, "model.layers.1.self_attn.o_proj.weight", ROLE_O, 1, NAN);
    test_fault(llama, "model.layers.0.mlp.gate_proj.weight", ROLE_UP, 0, NAN);
    test_fault(
        llama, "model.layers.1.input_layernorm.weight", ROLE_NORM1, 1, NAN);
    test_fault_rows(neox);
}

static void test_generator(void)
{
    ok(tiny_hash("lm_head.weight") == 0xab67eb515e1b6f0du, "the name's hash");
    ok(fabs((double)tiny_value("lm_head.weight", 0) - 0.295668006) < 1e-8,
        "a weight");
    ok(fabs((double)tiny_value("model.norm.weight", 1) - 0.927564025) < 1e-8,
        "a norm");
    ok(fabs((double)tiny_value("a.bias", 0) - 0.0510771275) < 1e-8, "a bias");
}

int main(void)
{
    golden_load();
    test_generator();
    for (size_t i = 0; i < ARRAY_LEN(golden_cases); i++)
        test_golden(&golden_cases[i]);
    for (size_t i = 0; i < ARRAY_LEN(golden_cases); i++)
        test_batching(&golden_cases[i]);
    test_rewind(&golden_cases[3]);
    test_half(&golden_cases[0], DTYPE_F16, 0.02);
    test_half(&golden_cases[3], DTYPE_F16, 0.02);
    test_half(&golden_cases[3], DTYPE_BF16, 0.1);
    test_half(&golden_cases[4], DTYPE_BF16, 0.1);
    test_half(&golden_cases[5], DTYPE_F64, tolerance);
    test_embed_factor(golden_find("granite"));
    test_faults();
    return done();
}
