#include "convert/layers.h"

#include "base/html.h"
#include "tests/unit/tap.h"

enum { MANY = 500 };

/* Layers of the names given, joined by blanks. */
static void check(const char *const *names, const char *want, const char *name)
{
    struct layers l AUTO(layers_free) = LAYERS_INIT;
    struct tensor t[8] = { 0 };
    struct layout p = { .out = t };
    struct buf got AUTO(buf_free) = BUF_INIT(4096);
    struct err e = ERR_INIT;

    for (; names[p.n] != NULL; p.n++)
        t[p.n] = (struct tensor){
            .name = str_of(names[p.n]), .dtype = DTYPE_F16, .n = 1
        };
    layers_make(&l, &p, &e);
    for (uint64_t i = 0; i < l.n; i++)
        buf_printf(
            &got, "%.*s%s ", STR_ARG(l.v[i].name), l.v[i].numbered ? "#" : "");
    is_str(got.p, want, name);
}

static void order(void)
{
    static const char *const llama[] = { "lm_head.weight",
        "model.embed_tokens.weight", "model.layers.10.mlp.up_proj.weight",
        "model.layers.2.mlp.up_proj.weight",
        "model.layers.2.input_layernorm.weight", "model.norm.weight", NULL };
    static const char *const plain[] = { "weight", "0.weight", "0.bias", "a.",
        ".b", "..", NULL };
    static const char *const stacks[] = { "encoder.9.x", "decoder.10.x",
        "decoder.9.x", "decoder.9.experts.11.x", NULL };

    check(llama,
        "model.embed_tokens model.layers.2# model.layers.10# model.norm "
        "lm_head ",
        "a language model, in its order");
    check(plain, "0# . .b a weight ", "names without much to say");
    check(stacks, "decoder.9# decoder.10# encoder.9# ",
        "two stacks, the first number counts");
}

static void many(void)
{
    static struct tensor t[MANY];
    static char names[MANY][16];
    struct layers l AUTO(layers_free) = LAYERS_INIT;
    struct layout p = { .out = t, .n = MANY };
    struct err e = ERR_INIT;
    uint64_t bytes = 0;

    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "l.%d.w", i);
        t[i] = (struct tensor){
            .name = str_of(names[i]), .dtype = DTYPE_F16, .n = 3
        };
    }
    ok(layers_make(&l, &p, &e) == 0 && l.n <= LAYERS_MAX &&
            l.n > LAYERS_MAX / 2,
        "more layers than can be shown share");
    for (uint64_t i = 0; i < l.n; i++)
        for (int k = 0; k < KIND_COUNT; k++)
            bytes += l.v[i].bytes[k];
    is_int((long long)bytes, 6 * MANY, "and lose nothing");
    ok(l.of[MANY - 1] == l.n - 1 && l.spectra[0] == &l.v[0].spectrum,
        "the last is in the last");
}

static void kinds(void)
{
    static const struct {
        const char *name;
        enum layer_kind kind;
    } t[] = { { "model.layers.0.self_attn.q_proj.weight", KIND_ATTENTION },
        { "model.layers.0.self_attn.q_norm.weight", KIND_NORM },
        { "transformer.h.0.mlp.c_fc.weight", KIND_MLP },
        { "transformer.wte.weight", KIND_EMBEDDING },
        { "embed_out.weight", KIND_HEAD }, { "lm_head.weight", KIND_HEAD },
        { "output.weight", KIND_HEAD }, { "conv1.weight", KIND_OTHER } };

    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        is_int(layer_kind(str_of(t[i].name)), t[i].kind, t[i].name);
}

static void text(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(4096);

    html_text(&b, str_of("<a href=\"x\">&\n\x1b[1m\xff\xc3\xa9"));
    is_str(b.p,
        "&lt;a href=&quot;x&quot;&gt;&amp;\xEF\xBF\xBD\xEF\xBF\xBD[1m"
        "\xEF\xBF\xBD\xc3\xa9",
        "text of strangers stays text");
    buf_clear(&b);
    html_short(&b, str_of("\xc3\xa9\xc3\xa9<x"), 3);
    is_str(b.p, "\xc3\xa9\xc3\xa9&lt;\xE2\x80\xA6", "cut by characters");
}

int main(void)
{
    order();
    many();
    kinds();
    text();
    return done();
}
