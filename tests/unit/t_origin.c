/* t_origin.c - numbers of models without a config.json, and refusals. */
#include "tests/numeric/tinymodel.h"
#include "tests/unit/tap.h"
#include "verify-run/origin.h"
#include "verify-run/published.h"

enum { V = 32, D = 24, F = 40 };

static const struct tiny_tensor fast[] = {
    { .name = "tok_embeddings.weight", .rank = 2, .shape = { V, D } },
    { .name = "layers.0.attention.wqkv.weight",
        .rank = 2,
        .shape = { 2 * D, D } },
    { .name = "layers.0.attention.wo.weight", .rank = 2, .shape = { D, D } },
    { .name = "layers.0.feed_forward.w2.weight", .rank = 2, .shape = { D, F } },
    { .name = "layers.1.attention.wo.weight", .rank = 2, .shape = { D, D } },
    { .name = "output.weight", .rank = 2, .shape = { V, D } },
};

struct trial {
    struct model_config config;
    struct origin o;
    struct err e;
    int rc;
};

static struct trial load(const char *config, const struct tiny_tensor *t,
    size_t n, const char *arch, uint32_t heads)
{
    struct tiny_model m = tiny_make(config, t, n);
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    struct origin_wish wish = { arch, heads };
    struct trial x = { .rc = -1 };

    if (checkpoint_open(&c, m.folder, NULL, &x.e) == 0)
        x.rc = origin_load(&x.config, &x.o, &c, &wish, &x.e);
    tiny_remove(&m);
    return x;
}

static struct trial load_fast(const char *config, uint32_t heads)
{
    return load(config, fast, ARRAY_LEN(fast), NULL, heads);
}

static void test_shapes(void)
{
    struct trial x = load_fast(NULL, 4);

    ok(x.rc == 0, "shapes and --heads are enough");
    ok(x.config.vocab == V && x.config.dim == D && x.config.layers == 2 &&
            x.config.inner == F && x.config.heads == 4 &&
            x.config.kv_heads == 2 && x.config.head_dim == 6,
        "all numbers");
    is_str(x.o.rule, "inferred from shapes, heads 4 from --heads", "the rule");
    x = load_fast("{\"n_heads\":2,\"n_layers\":2,\"norm_eps\":0.001}", 0);
    ok(x.rc == 0 && x.config.heads == 2 && x.config.kv_heads == 1 &&
            x.config.eps == 0.001,
        "a config in a project's own words");
}

static void test_refused(void)
{
    static const struct {
        const char *config;
        uint32_t heads;
        enum err_kind kind;
        const char *word;
    } cases[] = {
        { NULL, 0, ERR_MISSING, "would be a guess" },
        { NULL, 5, ERR_REFUSED, "wqkv" },
        { NULL, 65536, ERR_REFUSED, "wqkv" },
        { "{\"n_heads\":1e300}", 0, ERR_REFUSED, "n_heads" },
        { "{\"n_heads\":2.5}", 0, ERR_REFUSED, "n_heads" },
        { "{\"n_heads\":-2}", 0, ERR_REFUSED, "n_heads" },
        { "{\"n_heads\":\"4\"}", 0, ERR_REFUSED, "n_heads" },
        { "{\"n_heads\":7}", 0, ERR_REFUSED, "7 heads" },
        { "{\"n_heads\":4,\"n_kv_heads\":4}", 0, ERR_REFUSED,
            "num_key_value_heads" },
        { "{\"n_heads\":4,\"head_dim\":12}", 0, ERR_REFUSED, "head_dim" },
        { "{\"head_dim\":5}", 0, ERR_REFUSED, "head_dim 5" },
        { "[]", 0, ERR_REFUSED, "object" },
        { "{\"model_type\":\"mamba\"}", 0, ERR_UNSUPPORTED, "mamba" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trial x = load_fast(cases[i].config, cases[i].heads);

        ok(x.rc == -1 && x.e.kind == cases[i].kind &&
                strstr(x.e.msg, cases[i].word) != NULL,
            "refused: %s, %u heads", cases[i].config ? cases[i].config : "none",
            cases[i].heads);
        if (x.rc == 0 || x.e.kind != cases[i].kind)
            printf("#   got %d, kind %d '%s'\n", x.rc, (int)x.e.kind, x.e.msg);
    }
}

/* A config in other words that says the size of a head. */
static void test_head_dim(void)
{
    struct trial x = load_fast("{\"n_heads\":4,\"head_dim\":6}", 2);

    ok(x.rc == 0 && x.config.heads == 2 && x.config.kv_heads == 1 &&
            x.config.head_dim == 12 && strstr(x.o.rule, "--heads") != NULL,
        "--heads counts, whatever head_dim a config says: %s", x.o.rule);
    x = load_fast("{\"head_dim\":6}", 0);
    ok(x.rc == 0 && x.config.heads == 4 && x.config.kv_heads == 2 &&
            strstr(x.o.rule, "head_dim of the config") != NULL,
        "the heads from their size: %s", x.o.rule);
    x = load_fast("{\"n_heads\":4,\"n_kv_heads\":2,\"head_dim\":6}", 0);
    ok(x.rc == 0 && x.config.heads == 4, "all three agree: %s", x.e.msg);
    x = load_fast("{\"n_heads\":4,\"rope_theta\":1e8}", 0);
    ok(x.rc == 0 && x.config.rope.base == 1e8, "a base is no count: %s",
        x.e.msg);
}

/* Each tensor in turn of a shape that says nothing, or too much. */
static void test_hostile(void)
{
    static const uint64_t sizes[] = { 0, 1, 3, 4096 };

    for (size_t i = 0; i < ARRAY_LEN(fast); i++) {
        struct tiny_tensor t[ARRAY_LEN(fast)];
        struct trial x;

        memcpy(t, fast, sizeof(t));
        t[i].rank = 1;
        t[i].shape[0] = D;
        x = load(NULL, t, ARRAY_LEN(t), NULL, 4);
        ok(x.rc == 0 || x.e.kind == ERR_REFUSED, "%s of rank 1", t[i].name);
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
            memcpy(t, fast, sizeof(t));
            t[i].shape[k % 2] = sizes[k];
            x = load(NULL, t, ARRAY_LEN(t), NULL, 4);
            ok(x.rc == 0 || x.e.kind == ERR_REFUSED || x.e.kind == ERR_MISSING,
                "%s with a side of %" PRIu64, t[i].name, sizes[k]);
        }
    }
}

static void test_wishes(void)
{
    struct trial x = load(NULL, fast, ARRAY_LEN(fast), "lama", 4);

    ok(x.rc == -1 && x.e.kind == ERR_USAGE, "no such family");
    x = load(NULL, fast, ARRAY_LEN(fast), "llama", 4);
    ok(x.rc == -1 && x.e.kind == ERR_REFUSED &&
            strstr(x.e.msg, "embed_tokens") != NULL,
        "another family");
    x = load(NULL, fast, ARRAY_LEN(fast), "7b", 0);
    ok(x.rc == -1 && x.e.kind == ERR_REFUSED && strstr(x.e.msg, "4096") != NULL,
        "another model: %s", x.e.msg);
    x = load("{\"model_type\":\"mamba\",\"n_heads\":4}", fast, ARRAY_LEN(fast),
        "gpt_fast", 0);
    ok(x.rc == 0, "the user is believed over a model_type: %s", x.e.msg);
}

static void test_table(void)
{
    char text[200];
    double v[INFER_COUNT] = { [INFER_VOCAB] = 32000,
        [INFER_DIM] = 4096,
        [INFER_LAYERS] = 32,
        [INFER_INNER] = 11008 };

    is_str(published_in("Llama-2-7b-chat-hf")->name, "7B", "a part of a name");
    is_str(published_in("mistral-7b-v0.1")->name, "Mistral-7B",
        "the longest wins");
    is_str(published_in("Meta-LLAMA-3.1-8B")->name, "llama-3.1-8b",
        "whatever the case");
    ok(published_in("pythia-1b") == NULL, "none");
    ok(published_in("gemma-27b-it") == NULL &&
            published_in("tiny-1.7B") == NULL,
        "not the end of another number");
    ok(published_find("8B") == NULL, "a whole name is asked for");
    ok(published_only(v, 4096, 4096) == NULL, "two have these shapes");
    published_alike(text, sizeof(text), v, 4096, 4096);
    is_str(text, "7B, CodeLlama-7b-Python-hf", "which");
    published_alike(text, 5, v, 4096, 4096);
    is_str(text, "7B, ", "cut");
    v[INFER_INNER] = 14336;
    is_str(published_only(v, 1024, 4096)->name, "Mistral-7B", "one has these");
    for (const struct published *m = published_models; m->name != NULL; m++)
        ok(m->dim % m->heads == 0 && m->heads % m->kv_heads == 0 &&
                published_find(m->name) == m && published_in(m->name) == m,
            "%s makes sense", m->name);
}

int main(void)
{
    test_shapes();
    test_refused();
    test_head_dim();
    test_hostile();
    test_wishes();
    test_table();
    return done();
}
