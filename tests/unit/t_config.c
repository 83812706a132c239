/* t_config.c - config.json: defaults, spellings, refusals. */
#include <math.h>

#include "tests/numeric/tinymodel.h"
#include "tests/unit/tap.h"
#include "verify-run/shape.h"

static int parse(struct model_config *c, const char *text, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;

    err_clear(e);
    if (json_parse(&doc, str_of(text), 0, e) != 0)
        return -1;
    return config_parse(c, doc.root, NULL, e);
}

static void test_pythia(void)
{
    struct model_config c;
    struct err e = ERR_INIT;
    uint64_t shape[2];

    ok(parse(&c,
           "{\"model_type\":\"gpt_neox\",\"hidden_size\":2560,"
           "\"num_hidden_layers\":32,\"num_attention_heads\":32,"
           "\"intermediate_size\":10240,\"vocab_size\":50304,"
           "\"hidden_act\":\"gelu\",\"rotary_pct\":0.25,"
           "\"rotary_emb_base\":10000,\"layer_norm_eps\":1e-05,"
           "\"use_parallel_residual\":true,\"eos_token_id\":0,"
           "\"bos_token_id\":0,\"torch_dtype\":\"float16\"}",
           &e) == 0,
        "a Pythia");
    is_int(c.head_dim, 80, "size of a head");
    is_int(c.kv_heads, 32, "as many key heads");
    is_int(c.rope.dims, 20, "rotary dimensions that are no power of two");
    ok(c.kinds.residual == RESIDUAL_PARALLEL && c.act == ACT_GELU, "its kinds");
    ok(c.qkv_bias && c.o_bias && c.mlp_bias && !c.tied, "its biases");
    ok(c.n_eos == 1 && config_is_eos(&c, 0) && !config_is_eos(&c, 2) &&
            c.bos == 0,
        "its end token is 0");
    is_int(shape_of(&c, ROLE_QKV, false, shape), 2, "qkv is a matrix");
    ok(shape[0] == 7680 && shape[1] == 2560, "of this shape");
    is_int(shape_of(&c, ROLE_QKV, true, shape), 1, "with a bias");
    is_int(shape_of(&c, ROLE_HEAD, true, shape), 0, "the head has none");
}

/* Global and sliding layers that are both dynamic lengthen it once. */
static void test_two_dynamic(void)
{
    struct model_config c;
    struct err e = ERR_INIT;

    ok(parse(&c,
           "{\"model_type\":\"gemma3_text\",\"hidden_size\":64,"
           "\"num_attention_heads\":4,\"num_key_value_heads\":2,"
           "\"head_dim\":16,\"intermediate_size\":100,"
           "\"num_hidden_layers\":3,\"vocab_size\":100,"
           "\"max_position_embeddings\":100,\"rope_parameters\":{"
           "\"full_attention\":{\"rope_type\":\"dynamic\",\"factor\":3},"
           "\"sliding_attention\":{\"rope_type\":\"dynamic\",\"factor\":2}"
           "}}",
           &e) == 0,
        "two dynamic scalings %s", e.msg);
    is_int(c.context, 300, "the context is the longer one");
    ok(c.local.original_context == 100 && c.rope.original_context == 100,
        "both start from what the model was made for");
}

static void test_llama(void)
{
    struct model_config c;
    struct err e = ERR_INIT;
    uint64_t shape[2];

    ok(parse(&c,
           "{\"model_type\":\"llama\",\"hidden_size\":64,\"head_dim\":24,"
           "\"num_attention_heads\":8,\"num_key_value_heads\":2,"
           "\"intermediate_size\":100,\"rope_scaling\":null,"
           "\"num_hidden_layers\":3,\"vocab_size\":100,"
           "\"tie_word_embeddings\":true,\"attention_bias\":true,"
           "\"eos_token_id\":[7,8,7,-1,100],\"pad_token_id\":null}",
           &e) == 0,
        "a Llama");
    shape_of(&c, ROLE_Q, false, shape);
    ok(shape[0] == 192 && shape[1] == 64, "q need not be square");
    shape_of(&c, ROLE_K, false, shape);
    ok(shape[0] == 48 && shape[1] == 64, "k is shared by 4 heads");
    shape_of(&c, ROLE_O, false, shape);
    ok(shape[0] == 64 && shape[1] == 192, "o goes back");
    is_int(shape_of(&c, ROLE_HEAD, false, shape), 0, "tied: no head");
    ok(c.o_bias && c.qkv_bias && !c.mlp_bias, "attention_bias means o too");
    is_int(c.n_eos, 2, "end tokens, each once, those inside the vocabulary");
    is_int(c.rope.dims, 24, "all of a head turns");
    ok(c.kinds.residual == RESIDUAL_SEQUENTIAL && c.act == ACT_SILU,
        "its kinds");
    ok(parse(&c, "{\"model_type\":\"llama\",\"num_key_value_heads\":null}",
           &e) == 0 &&
            c.kv_heads == 32 && c.head_dim == 128,
        "null is absent");
}

static void test_rope(void)
{
    static const struct {
        int at;
        double want;
    } golden[] = { { 0, 1 }, { 1, 0.663601238 }, { 2, 0.440366603 },
        { 10, 0.0165604401 }, { 13, 0.00483942135 }, { 14, 0.00321144599 },
        { 15, 0.00129054793 }, { 16, 0.000429556797 }, { 17, 9.7082878e-05 },
        { 31, 9.41830673e-08 } };
    struct model_config c;
    struct err e = ERR_INIT;
    float freq[64];
    double far = 0;

    ok(parse(&c,
           "{\"model_type\":\"llama\",\"hidden_size\":2048,"
           "\"num_attention_heads\":32,\"rope_theta\":500000.0,"
           "\"rope_scaling\":{\"factor\":32.0,\"low_freq_factor\":1.0,"
           "\"high_freq_factor\":4.0,\"rope_type\":\"llama3\","
           "\"original_max_position_embeddings\":8192}}",
           &e) == 0,
        "llama3 scaling");
    rope_inv_freq(&c.rope, c.context, freq);
    for (size_t i = 0; i < ARRAY_LEN(golden); i++)
        far = fmax(far, fabs((double)freq[golden[i].at] / golden[i].want - 1));
    ok(far < 1e-6, "its frequencies, off by %.2g", far);
    ok(parse(&c,
           "{\"model_type\":\"llama\",\"rope_scaling\":"
           "{\"type\":\"linear\",\"factor\":4}}",
           &e) == 0,
        "linear scaling, the old spelling");
    rope_inv_freq(&c.rope, c.context, freq);
    ok(freq[0] == 0.25f, "divides");
    ok(parse(&c,
           "{\"model_type\":\"llama\",\"rope_parameters\":"
           "{\"rope_type\":\"default\",\"rope_theta\":1e6}}",
           &e) == 0 &&
            c.rope.base == 1e6,
        "rope_parameters of newer files");
}

/* Which layers see a window, "w.w" as letters. */
static const char *windows(const struct model_config *c, char out[64])
{
    for (uint32_t i = 0; i < c->layers; i++)
        out[i] = config_window(c, i) > 0 ? 'w' : '.';
    out[c->layers] = '\0';
    return out;
}

static void test_windows(void)
{
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        { "{\"model_type\":\"gemma2\"}", "w.w." },
        { "{\"model_type\":\"gemma2\",\"layer_types\":[\"full_attention\","
          "\"full_attention\",\"full_attention\",\"sliding_attention\"]}",
            "...w" },
        { "{\"model_type\":\"gemma3_text\",\"sliding_window_pattern\":3}",
            "ww.w" },
        { "{\"model_type\":\"gemma3_text\",\"sliding_window_pattern\":1}",
            "...." },
        { "{\"model_type\":\"mistral\"}", "wwww" },
        { "{\"model_type\":\"mistral\",\"sliding_window\":null}", "...." },
        { "{\"model_type\":\"qwen2\",\"use_sliding_window\":true,"
          "\"max_window_layers\":2}",
            "..ww" },
        { "{\"model_type\":\"qwen2\",\"sliding_window\":8}", "...." },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model_config c;
        struct err e = ERR_INIT;
        char text[512];
        char got[64];

        snprintf(text, sizeof(text), "{\"num_hidden_layers\":4,%s",
            cases[i].text + 1);
        if (!ok(parse(&c, text, &e) == 0, "%s", cases[i].text))
            printf("# %s\n", e.msg);
        else
            is_str(windows(&c, got), cases[i].want, "its windows");
    }
}

static void test_refusals(void)
{
    static const struct {
        const char *text;
        enum err_kind kind;
        const char *word; /* in the message */
    } cases[] = {
        { "[]", ERR_REFUSED, "object" },
        { "{}", ERR_UNSUPPORTED, "no model_type" },
        { "{\"model_type\":\"mamba\"}", ERR_UNSUPPORTED, "state-space" },
        { "{\"model_type\":\"unheard\"}", ERR_UNSUPPORTED, "unheard" },
        { "{\"model_type\":\"llama\",\"hidden_act\":\"laplace\"}",
            ERR_UNSUPPORTED, "laplace" },
        { "{\"model_type\":\"llama\",\"hidden_act\":3}", ERR_REFUSED,
            "hidden_act" },
        { "{\"model_type\":\"llama\",\"hidden_size\":0}", ERR_REFUSED,
            "hidden_size" },
        { "{\"model_type\":\"llama\",\"hidden_size\":-4}", ERR_REFUSED,
            "hidden_size" },
        { "{\"model_type\":\"llama\",\"hidden_size\":64.5}", ERR_REFUSED,
            "hidden_size" },
        { "{\"model_type\":\"llama\",\"hidden_size\":\"64\"}", ERR_REFUSED,
            "hidden_size" },
        { "{\"model_type\":\"llama\",\"vocab_size\":4294967296}", ERR_REFUSED,
            "vocab_size" },
        { "{\"model_type\":\"llama\",\"num_hidden_layers\":100000}",
            ERR_REFUSED, "layers" },
        { "{\"model_type\":\"llama\",\"hidden_size\":65}", ERR_REFUSED,
            "multiple" },
        { "{\"model_type\":\"llama\",\"num_key_value_heads\":5}", ERR_REFUSED,
            "evenly" },
        { "{\"model_type\":\"llama\",\"rms_norm_eps\":0}", ERR_REFUSED,
            "rms_norm_eps" },
        { "{\"model_type\":\"llama\",\"rope_theta\":-1}", ERR_REFUSED,
            "rope_theta" },
        { "{\"model_type\":\"llama\",\"head_dim\":7}", ERR_REFUSED, "even" },
        { "{\"model_type\":\"llama\",\"head_dim\":16777216}", ERR_REFUSED,
            "heads of" },
        { "{\"model_type\":\"gpt_neox\",\"rotary_pct\":1.5}", ERR_REFUSED,
            "rotary" },
        { "{\"model_type\":\"llama\",\"tie_word_embeddings\":1}", ERR_REFUSED,
            "tie_word_embeddings" },
        { "{\"model_type\":\"llama\",\"rope_scaling\":[]}", ERR_REFUSED,
            "rope_scaling" },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"mrope\"}}",
            ERR_UNSUPPORTED, "mrope" },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"yarn\"}}",
            ERR_REFUSED, "factor" },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"linear\"}}",
            ERR_REFUSED, "factor" },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"linear\","
          "\"factor\":null}}",
            ERR_REFUSED, "factor" },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"llama3\","
          "\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":1,"
          "\"original_max_position_embeddings\":8192}}",
            ERR_REFUSED, "high_freq_factor" },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"linear\","
          "\"factor\":null}}",
            ERR_REFUSED, "factor" },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"yarn\","
          "\"factor\":null}}",
            ERR_REFUSED, "factor" },
        { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"llama3\","
          "\"factor\":8,\"low_freq_factor\":null,\"high_freq_factor\":4,"
          "\"original_max_position_embeddings\":8192}}",
            ERR_REFUSED, "low_freq_factor" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct model_config c;
        struct err e = ERR_INIT;

        ok(parse(&c, cases[i].text, &e) == -1 && e.kind == cases[i].kind &&
                strstr(e.msg, cases[i].word) != NULL,
            "refused: %s", cases[i].text);
        if (e.kind != cases[i].kind || strstr(e.msg, cases[i].word) == NULL)
            printf("#   got kind %d '%s'\n", (int)e.kind, e.msg);
    }
}

static void test_load(void)
{
    struct tiny_tensor t = {
        .name = "model.embed_tokens.weight", .rank = 1, .shape = { 2 }
    };
    struct tiny_model m = tiny_make("{\"model_type\":\"llama\","
                                    "\"eos_token_id\":5}",
        &t, 1);
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    static const char extra[] = "{\"eos_token_id\":[9,5]}";
    struct model_config config;
    struct err e = ERR_INIT;
    char path[PATH_MAX];

    tiny_put(&m, "generation_config.json", extra, sizeof(extra) - 1);
    ok(checkpoint_open(&c, m.folder, NULL, &e) == 0, "a folder opens");
    ok(config_load(&config, &c, &e) == 0 && config.n_eos == 2 &&
            config_is_eos(&config, 9),
        "end tokens of generation_config.json are added");
    tiny_put(&m, "config.json", "{}", 2);
    ok(config_load(&config, &c, &e) == 0 &&
            strcmp(config.arch->model_type, "llama") == 0,
        "without a model_type the tensors tell the family");
    tiny_put(&m, "config.json", "{\"model_type\":\"llama\"", 21);
    ok(config_load(&config, &c, &e) == -1 && e.kind == ERR_REFUSED &&
            strstr(e.msg, "config.json") != NULL,
        "a broken file is named");
    err_clear(&e);
    path_join(path, m.folder, "config.json", &e);
    unlink(path);
    ok(config_load(&config, &c, &e) == -1 && e.kind == ERR_MISSING &&
            e.hint[0] != '\0',
        "none at all: what to do is said");
    tiny_remove(&m);
}

int main(void)
{
    test_pythia();
    test_two_dynamic();
    test_llama();
    test_rope();
    test_windows();
    test_refusals();
    test_load();
    return done();
}
