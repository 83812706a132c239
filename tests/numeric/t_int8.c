/*
 * t_int8.c - models converted to int8, run from where their bytes lie:
 * gpt-fast's own numbers for a row, and whole passes against a model whose
 * weights were quantised here, by the formulas, one value at a time.
 */
#include <math.h>

#include "convert/convert.h"
#include "formats/quant_int8.h"
#include "tests/numeric/golden.h"
#include "tests/unit/tap.h"
#include "verify-run/backend.h"

static void convert(const char *from, char to[PATH_MAX])
{
    struct convert_opts o = { .source = from,
        .out = to,
        .threads = 2,
        .recipe = { .dtype = DTYPE_BF16, .int8 = true },
        .progress = PROGRESS_NONE };
    struct convert_result r;
    struct err e = ERR_INIT;

    snprintf(to, PATH_MAX, "%s-int8", from);
    if (convert_run(&o, &r, &e) != 0) {
        printf("Bail out! %s\n", e.msg);
        _exit(1);
    }
}

static void forget(struct tiny_model *m, const char *converted)
{
    struct tiny_model out;

    snprintf(out.folder, sizeof(out.folder), "%.255s", converted);
    tiny_remove(&out);
    tiny_remove(m);
}

/* ---- the row that was measured ---- */

static void test_golden_row(void)
{
    static const int8_t want[32] = { -48, 27, 33, -33, -29, 4, -97, 28, 37, 119,
        -48, -91, 107, 96, 123, 78, -15, -128, 36, 14, -1, 30, 72, -79, -29,
        -31, -57, -26, -98, -18, 50, -10 };
    static const struct tiny_tensor w1 = {
        .name = "layers.0.feed_forward.w1.weight",
        .rank = 2,
        .shape = { 64, 32 }
    };
    struct tiny_model m = tiny_make(NULL, &w1, 1);
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    const struct tensor *t, *s = NULL;
    struct err e = ERR_INIT;
    char folder[PATH_MAX];
    int8_t row[32] = { 0 };
    uint16_t scale = 0;

    convert(m.folder, folder);
    if (checkpoint_open(&c, folder, NULL, &e) == 0 &&
        (t = checkpoint_find(&c, w1.name)) != NULL &&
        (s = int8_scales_of(&c, t)) != NULL) {
        checkpoint_read(&c, t, 0, 32, row, &e);
        checkpoint_read(&c, s, 0, 1, &scale, &e);
    }
    ok(s != NULL && s->dtype == DTYPE_BF16, "a matrix and its scales");
    ok(memcmp(row, want, sizeof(row)) == 0, "the bytes that gpt-fast makes");
    ok((double)cast_bf16_to_f32(scale) == 0.0023345947265625, "and its scale");
    checkpoint_close(&c);
    forget(&m, folder);
}

/* ---- whole passes ---- */

struct bench {
    struct checkpoint c;
    struct model_config config;
    struct weights w;
    struct pool *pool;
    struct backend_state *state;
    struct err e;
};

static void bench_close(struct bench *b)
{
    backend_cpu.close(b->state);
    pool_close(b->pool);
    weights_free(&b->w);
    checkpoint_close(&b->c);
}

/* Logits of the golden ids, every position. */
static enum dtype run(const char *folder, bool fp32, float *logits)
{
    struct backend_opened opened = { .device = "" };
    struct bench b = { .w = WEIGHTS_INIT };
    struct weights_source src = { &b.config, &b.c, NULL,
        fp32 ? DTYPE_F32 : DTYPE_NONE };
    struct backend_model m = {
        .config = &b.config, .weights = &b.w, .capacity = GOLDEN_IDS
    };
    struct backend_pass p = {
        .tokens = golden_ids, .n = GOLDEN_IDS, .all = true, .logits = logits
    };
    enum dtype out = DTYPE_NONE;

    if (checkpoint_open(&b.c, folder, NULL, &b.e) == 0 &&
        config_load(&b.config, &b.c, &b.e) == 0 &&
        weights_bind(&b.w, &src, &b.e) == 0 && weights_complete(&b.w)) {
        m.pool = b.pool = pool_open(2, &b.e);
        b.state = backend_cpu.open(&m, &opened, &b.e);
        backend_cpu.forward(b.state, &p, &b.e);
        out = b.w.dtype;
    }
    if (out == DTYPE_NONE || b.e.kind != ERR_NONE)
        printf("# %s: %s\n", folder, b.e.msg);
    bench_close(&b);
    return out;
}

/* The formulas, once more and slowly. */
static void quantise_here(float *v, const struct tiny_tensor *t)
{
    uint64_t cols = t->rank == 2 ? t->shape[1] : 1;

    if (!int8_is_linear(str_of(t->name)) || t->rank != 2) {
        for (uint64_t i = 0; i < tiny_count(t); i++)
            v[i] = cast_bf16_to_f32(cast_f32_to_bf16(v[i]));
        return;
    }
    for (uint64_t r = 0; r < t->shape[0]; r++) {
        float *row = v + r * cols, most = 0, scale, kept;

        for (uint64_t k = 0; k < cols; k++)
            most = fmaxf(most, fabsf(row[k]));
        scale = fmaxf(most / 127.5F, 1.1920929e-7F);
        kept = cast_bf16_to_f32(cast_f32_to_bf16(scale));
        for (uint64_t k = 0; k < cols; k++)
            row[k] = fmaxf(-128, fminf(127, rintf(row[k] / scale))) * kept;
    }
}

/* A float32 model with the values that int8 ones stand for. */
static struct tiny_model quantised(const struct golden_case *g)
{
    struct buf text AUTO(buf_free) = BUF_INIT(64 << 20);
    struct tiny_model m = tiny_make(g->config, g->tensors, g->n_tensors);
    uint64_t len, at;

    tiny_safetensors(&text, g->tensors, g->n_tensors);
    memcpy(&len, text.p, sizeof(len));
    at = 8 + len;
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct tiny_tensor *t = &g->tensors[i];

        quantise_here((float *)(void *)(text.p + at), t);
        at += tiny_count(t) * sizeof(float);
    }
    tiny_put(&m, "model.safetensors", text.p, text.len);
    return m;
}

static double apart(const float *a, const float *b)
{
    double out = 0;

    for (int i = 0; i < GOLDEN_IDS * GOLDEN_VOCAB; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        out = d <= out ? out : d; /* a NaN stays */
    }
    return out;
}

static void test_pass(const struct golden_case *g)
{
    static float a[GOLDEN_IDS * GOLDEN_VOCAB], b[GOLDEN_IDS * GOLDEN_VOCAB],
        c[GOLDEN_IDS * GOLDEN_VOCAB];
    struct tiny_model m = tiny_make(g->config, g->tensors, g->n_tensors);
    struct tiny_model q = quantised(g);
    char folder[PATH_MAX];
    const float *last = a + (GOLDEN_IDS - 1) * GOLDEN_VOCAB;
    double far = 0;

    convert(m.folder, folder);
    is_int(run(folder, false, a), DTYPE_I8, "int8 matrices are run as such");
    is_int(run(folder, true, b), DTYPE_F32, "or widened");
    run(q.folder, false, c);
    /* Embeddings of bfloat16 have their factor rounded, too. */
    ok(apart(a, c) <= (strncmp(g->name, "gemma", 5) == 0 ? 1e-3 : 2e-5),
        "%s: as the formulas give it, off by %.2g", g->name, apart(a, c));
    ok(apart(b, c) <= 2e-5, "%s: the same, widened, off by %.2g", g->name,
        apart(b, c));
    for (int i = 0; i < GOLDEN_VOCAB; i++)
        far = fmax(far, fabs((double)last[i] - g->last_logits[i]));
    ok(far > 1e-4 && far < 0.2, "%s: near the unquantised one, off by %.2g",
        g->name, far);
    tiny_remove(&q);
    forget(&m, folder);
}

int main(void)
{
    golden_load();
    test_golden_row();
    for (size_t i = 0; i < ARRAY_LEN(golden_cases); i++)
        if (strcmp(golden_cases[i].name, "gpt2") != 0) /* is refused */
            test_pass(&golden_cases[i]);
    return done();
}
