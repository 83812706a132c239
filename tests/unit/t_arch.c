/* t_arch.c - families as data: names, patterns, wrappers. */
#include "tests/numeric/tinymodel.h"
#include "tests/unit/tap.h"
#include "verify-run/config.h"

static void test_names(void)
{
    const struct arch *a = arch_find("gpt_neox");
    char name[ARCH_NAME_MAX];

    ok(arch_tensor(a, ROLE_QKV, 31, true, name), "NeoX has one qkv");
    is_str(
        name, "gpt_neox.layers.31.attention.query_key_value.bias", "its name");
    ok(!arch_tensor(a, ROLE_Q, 0, false, name), "and no q of its own");
    ok(!arch_tensor(a, ROLE_GATE, 0, false, name), "nor a gate");
    a = arch_find("llama");
    ok(arch_tensor(a, ROLE_HEAD, 7, false, name), "Llama has a head");
    is_str(name, "lm_head.weight", "once, whatever the layer");
    ok(arch_find("LLAMA") == NULL, "names are exact");
    ok(arch_find("") == NULL, "no name is no family");
}

static void test_match(void)
{
    static const struct {
        const char *pattern;
        const char *name;
        bool want;
    } cases[] = {
        { "a.{i}.b", "a.0.b", true },
        { "a.{i}.b", "a.123.b", true },
        { "a.{i}.b", "a..b", false },
        { "a.{i}.b", "a.1x.b", false },
        { "a.{i}.b", "a.1", false },
        { "a.{i}.b", "a.", false },
        { "a.{i}.b", "", false },
        { "a.{i}.b", "a.1.b.c", false },
        { "a.{i}.b", "xa.1.b", false },
        { "a.b", "a.b", true },
        { "a.b", "a.c", false },
        { "a.b", "a.", false },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ok(arch_match(cases[i].pattern, str_of(cases[i].name)) == cases[i].want,
            "'%s' and '%s'", cases[i].pattern, cases[i].name);
}

static void test_buffers(void)
{
    const struct arch *a = arch_find("gpt_neox");
    struct str mask = str_of("gpt_neox.layers.3.attention.bias");
    struct str bias = str_of("gpt_neox.layers.3.attention.dense.bias");

    ok(arch_ignores(a, mask), "a causal mask is a leftover");
    ok(!arch_knows(a, mask), "and no bias");
    ok(!arch_ignores(a, bias), "a bias is none");
    ok(arch_knows(a, bias), "but a part of the family");
    ok(arch_knows(a, str_of("embed_out.bias")), "also one of no layer");
    ok(!arch_knows(a, str_of("embed_out")), "a name without a kind is not");
    ok(!arch_knows(a, str_of(".weight")), "nor a kind without a name");
}

/* Every row is complete enough to be used without asking. */
static void test_table(void)
{
    char list[128];

    for (const struct arch *a = arch_table; a->model_type != NULL; a++) {
        struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
        struct model_config c;
        struct err e = ERR_INIT;
        uint64_t shape[2];
        bool good = true;

        json_parse(&doc, str_of("{}"), 0, &e);
        ok(config_parse(&c, doc.root, a, &e) == 0, "%s: its defaults are one",
            a->model_type);
        for (int r = 0; r < ROLE_COUNT; r++) {
            bool has = config_shape(&c, r, false, shape) != 0;
            bool name = a->names[r] != NULL;

            good = good && (has == name || (r == ROLE_HEAD && c.tied));
            good = good && (!name || role_in_layer(r) ==
                                         (strstr(a->names[r], "{i}") != NULL));
        }
        ok(good, "%s: names and shapes agree", a->model_type);
        ok(a->names[ROLE_EMBED] && a->names[ROLE_HEAD] &&
                a->names[ROLE_NORM1] && a->names[ROLE_NORM2] &&
                a->names[ROLE_NORM_OUT] && a->names[ROLE_O] &&
                a->names[ROLE_UP] && a->names[ROLE_DOWN],
            "%s: what every family has", a->model_type);
        ok((a->names[ROLE_QKV] == NULL) == (a->qkv == QKV_SPLIT) &&
                (a->names[ROLE_Q] != NULL) == (a->qkv == QKV_SPLIT),
            "%s: qkv", a->model_type);
        ok((a->names[ROLE_GATE] != NULL) == (a->mlp == MLP_GATED), "%s: gate",
            a->model_type);
    }
    is_str(arch_supported(list, sizeof(list)), "gpt_neox, llama", "the list");
    is_str(arch_supported(list, 10), "gpt_neox", "cut between names");
}

static void test_guess(const char *embed, const char *want, const char *prefix)
{
    struct tiny_tensor t[] = { { .name = embed, .rank = 1, .shape = { 2 } },
        { .name = "other", .rank = 1, .shape = { 2 } } };
    struct tiny_model m = tiny_make(NULL, t, 2);
    struct checkpoint c AUTO(checkpoint_close) = CHECKPOINT_INIT;
    const struct arch *a;
    struct err e = ERR_INIT;

    ok(checkpoint_open(&c, m.folder, NULL, &e) == 0, "%s", embed);
    a = arch_guess(&c);
    is_str(a != NULL ? a->model_type : "none", want, "the family");
    if (a != NULL)
        is_str(arch_prefix(a, &c), prefix, "what stands in front");
    tiny_remove(&m);
}

int main(void)
{
    test_names();
    test_match();
    test_buffers();
    test_table();
    test_guess("gpt_neox.embed_in.weight", "gpt_neox", "");
    test_guess("model.embed_tokens.weight", "llama", "");
    test_guess("module.model.embed_tokens.weight", "llama", "module.");
    test_guess("_orig_mod.gpt_neox.embed_in.weight", "gpt_neox", "_orig_mod.");
    test_guess("wte.weight", "none", "");
    return done();
}
