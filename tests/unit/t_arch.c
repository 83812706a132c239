/* t_arch.c - families as data: names, patterns, wrappers. */
#include "tests/numeric/tinymodel.h"
#include "tests/unit/tap.h"
#include "verify-run/shape.h"

static void test_names(void)
{
    const struct arch *a = arch_find("gpt_neox");
    char name[ARCH_NAME_MAX];

    ok(arch_tensor(a, (struct arch_part){ ROLE_QKV, 31, 0, true }, name),
        "NeoX has one qkv");
    is_str(
        name, "gpt_neox.layers.31.attention.query_key_value.bias", "its name");
    ok(!arch_tensor(a, (struct arch_part){ .role = ROLE_Q }, name),
        "and no q of its own");
    ok(!arch_tensor(a, (struct arch_part){ .role = ROLE_GATE }, name),
        "nor a gate");
    a = arch_find("llama");
    ok(arch_tensor(a, (struct arch_part){ ROLE_HEAD, 7, 0, false }, name),
        "Llama has a head");
    is_str(name, "lm_head.weight", "once, whatever the layer");
    a = arch_find("stablelm_epoch");
    ok(a == arch_find("stablelm"), "a family has two names");
    ok(arch_tensor(a, (struct arch_part){ ROLE_Q_NORM, 3, 12, false }, name),
        "with norms for every head");
    is_str(name, "model.layers.3.self_attn.q_layernorm.norms.12.weight",
        "layer and head are in the name");
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
        { "a.{i}.b.{e}", "a.1.b.22", true },
        { "a.{i}.b.{e}.c", "a.1.b.22.c", true },
        { "a.{i}.b.{e}.c", "a.1.b..c", false },
        { "a.{i}.b.{e}", "a.1.b.", false },
        { "a.{i}.b.{e}", "a.1.", false },
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

/* Every row's names are enough for any config, and its defaults are one. */
static void test_row(const struct arch *a)
{
    const char *const *names = a->names;
    struct model_config c;
    struct err e = ERR_INIT;
    uint64_t shape[2];
    bool good = true;

    config_begin(&c, a);
    ok(config_finish(&c, &e) == 0, "%s: its defaults are a config %s", a->title,
        e.msg);
    for (int r = 0; r < ROLE_COUNT; r++)
        good =
            good && (names[r] == NULL ||
                        role_in_layer(r) == (strstr(names[r], "{i}") != NULL));
    ok(good, "%s: names have a layer or none", a->title);
    for (int r = 0; r < ROLE_COUNT; r++)
        good = good && (names[r] != NULL || shape_of(&c, r, false, shape) == 0);
    ok(good, "%s: what has a shape has a name", a->title);
    ok(names[ROLE_EMBED] && names[ROLE_HEAD] && names[ROLE_O] &&
            names[ROLE_DOWN],
        "%s: what every family has", a->title);
    ok((names[ROLE_QKV] == NULL) == (c.kinds.qkv == QKV_SPLIT) &&
            (names[ROLE_Q] != NULL) == (c.kinds.qkv == QKV_SPLIT),
        "%s: qkv", a->title);
    ok((names[ROLE_GATE_UP] != NULL) == (c.kinds.mlp == MLP_FUSED) &&
            (names[ROLE_UP] == NULL) == (c.kinds.mlp == MLP_FUSED) &&
            (names[ROLE_ROUTER] != NULL) == (c.kinds.mlp == MLP_MOE),
        "%s: MLP", a->title);
    ok((names[ROLE_POSITION] != NULL) == (c.kinds.position == POSITION_LEARNED),
        "%s: positions", a->title);
}

static void test_table(void)
{
    char list[128];
    const struct arch *a;

    for (size_t i = 0; (a = arch_nth(i)) != NULL; i++)
        test_row(a);
    arch_supported(list, sizeof(list));
    ok(strncmp(list, "gpt_neox, llama, stablelm, gpt_fast, quantum_llm", 48) ==
            0,
        "the list: %s", list);
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
    a = arch_choose(NULL, NULL, &c);
    is_str(a != NULL ? a->model_type : "none", want, "the family");
    if (a != NULL)
        is_str(arch_wrap_of(a, &c).add, prefix, "what stands in front");
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
    test_guess("embed_tokens.weight", "llama", "");
    test_guess("tok_embeddings.weight", "gpt_fast", "");
    test_guess("tok_emb.weight", "quantum_llm", "");
    test_guess("wte.weight", "smalllm", "");
    test_guess("bert.embeddings.weight", "none", "");
    return done();
}
