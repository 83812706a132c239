#include "verify-run/arch.h"

#include <ctype.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "verify-run/config.h"

#define COUNT(key, field, fallback)                                            \
    {                                                                          \
        key, KEY_COUNT, offsetof(struct model_config, field), fallback         \
    }
#define REAL(key, field, fallback)                                             \
    {                                                                          \
        key, KEY_REAL, offsetof(struct model_config, field), fallback          \
    }
#define FLAG(key, field, fallback)                                             \
    {                                                                          \
        key, KEY_FLAG, offsetof(struct model_config, field), fallback          \
    }
#define KEYS_END                                                               \
    {                                                                          \
        NULL, KEY_COUNT, 0, 0                                                  \
    }

/* A later key overrides an earlier one of the same field. */
static const struct arch_key neox_keys[] = {
    COUNT("vocab_size", vocab, 50432),
    COUNT("hidden_size", dim, 6144),
    COUNT("num_hidden_layers", layers, 44),
    COUNT("num_attention_heads", heads, 64),
    COUNT("intermediate_size", inner, 24576),
    COUNT("max_position_embeddings", context, 2048),
    REAL("layer_norm_eps", eps, 1e-5),
    REAL("rotary_pct", rope.fraction, 0.25),
    REAL("partial_rotary_factor", rope.fraction, NAN),
    REAL("rotary_emb_base", rope.base, 10000),
    REAL("rope_theta", rope.base, NAN),
    FLAG("use_parallel_residual", parallel_residual, 1),
    FLAG("attention_bias", qkv_bias, 1),
    FLAG("attention_bias", o_bias, 1),
    FLAG(NULL, mlp_bias, 1),
    FLAG("tie_word_embeddings", tied, 0),
    KEYS_END,
};

static const struct arch_key llama_keys[] = {
    COUNT("vocab_size", vocab, 32000),
    COUNT("hidden_size", dim, 4096),
    COUNT("num_hidden_layers", layers, 32),
    COUNT("num_attention_heads", heads, 32),
    COUNT("num_key_value_heads", kv_heads, NAN),
    COUNT("head_dim", head_dim, NAN),
    COUNT("intermediate_size", inner, 11008),
    COUNT("max_position_embeddings", context, 2048),
    REAL("rms_norm_eps", eps, 1e-6),
    REAL("rope_theta", rope.base, 10000),
    REAL(NULL, rope.fraction, 1),
    FLAG("attention_bias", qkv_bias, 0),
    FLAG("attention_bias", o_bias, 0),
    FLAG("mlp_bias", mlp_bias, 0),
    FLAG("tie_word_embeddings", tied, 0),
    KEYS_END,
};

#define NEOX_LAYER "gpt_neox.layers.{i}."
#define LLAMA_LAYER "model.layers.{i}."

const struct arch arch_table[] = {
    {
        .model_type = "gpt_neox",
        .title = "GPT-NeoX",
        .norm = NORM_LAYER,
        .qkv = QKV_PER_HEAD,
        .parallel = RESIDUAL_PARALLEL,
        .mlp = MLP_PLAIN,
        .activation = "gelu",
        .keys = neox_keys,
        .names = {
            [ROLE_EMBED] = "gpt_neox.embed_in",
            [ROLE_NORM_OUT] = "gpt_neox.final_layer_norm",
            [ROLE_HEAD] = "embed_out",
            [ROLE_NORM1] = NEOX_LAYER "input_layernorm",
            [ROLE_QKV] = NEOX_LAYER "attention.query_key_value",
            [ROLE_O] = NEOX_LAYER "attention.dense",
            [ROLE_NORM2] = NEOX_LAYER "post_attention_layernorm",
            [ROLE_UP] = NEOX_LAYER "mlp.dense_h_to_4h",
            [ROLE_DOWN] = NEOX_LAYER "mlp.dense_4h_to_h",
        },
        .ignored = {
            NEOX_LAYER "attention.bias", /* the causal mask, no bias */
            NEOX_LAYER "attention.masked_bias",
            NEOX_LAYER "attention.rotary_emb.inv_freq",
        },
    },
    {
        .model_type = "llama",
        .title = "Llama",
        .norm = NORM_RMS,
        .qkv = QKV_SPLIT,
        .parallel = RESIDUAL_SEQUENTIAL,
        .mlp = MLP_GATED,
        .activation = "silu",
        .keys = llama_keys,
        .names = {
            [ROLE_EMBED] = "model.embed_tokens",
            [ROLE_NORM_OUT] = "model.norm",
            [ROLE_HEAD] = "lm_head",
            [ROLE_NORM1] = LLAMA_LAYER "input_layernorm",
            [ROLE_Q] = LLAMA_LAYER "self_attn.q_proj",
            [ROLE_K] = LLAMA_LAYER "self_attn.k_proj",
            [ROLE_V] = LLAMA_LAYER "self_attn.v_proj",
            [ROLE_O] = LLAMA_LAYER "self_attn.o_proj",
            [ROLE_NORM2] = LLAMA_LAYER "post_attention_layernorm",
            [ROLE_GATE] = LLAMA_LAYER "mlp.gate_proj",
            [ROLE_UP] = LLAMA_LAYER "mlp.up_proj",
            [ROLE_DOWN] = LLAMA_LAYER "mlp.down_proj",
        },
        .ignored = {
            LLAMA_LAYER "self_attn.rotary_emb.inv_freq",
        },
    },
    { .model_type = NULL },
};

const char *role_name(enum role r)
{
    static const char *const names[ROLE_COUNT] = {
        [ROLE_EMBED] = "embedding",
        [ROLE_NORM_OUT] = "final norm",
        [ROLE_HEAD] = "output head",
        [ROLE_NORM1] = "attention norm",
        [ROLE_QKV] = "query, key, value",
        [ROLE_Q] = "query",
        [ROLE_K] = "key",
        [ROLE_V] = "value",
        [ROLE_O] = "attention output",
        [ROLE_NORM2] = "MLP norm",
        [ROLE_GATE] = "MLP gate",
        [ROLE_UP] = "MLP up",
        [ROLE_DOWN] = "MLP down",
    };

    return r < ROLE_COUNT ? names[r] : "?";
}

const struct arch *arch_find(const char *model_type)
{
    for (const struct arch *a = arch_table; a->model_type != NULL; a++)
        if (strcmp(a->model_type, model_type) == 0)
            return a;
    return NULL;
}

char *arch_supported(char *out, size_t len)
{
    size_t at = 0;

    out[0] = '\0';
    for (const struct arch *a = arch_table; a->model_type != NULL; a++) {
        int n = snprintf(
            out + at, len - at, "%s%s", at > 0 ? ", " : "", a->model_type);
        if (n < 0 || (size_t)n >= len - at) {
            out[at] = '\0';
            break;
        }
        at += (size_t)n;
    }
    return out;
}

bool arch_tensor(const struct arch *a, enum role r, uint32_t layer, bool bias,
    char out[ARCH_NAME_MAX])
{
    const char *stem = a->names[r];
    const char *hole = stem == NULL ? NULL : strstr(stem, "{i}");
    const char *tail = bias ? ".bias" : ".weight";

    if (stem == NULL)
        return false;
    if (hole == NULL)
        snprintf(out, ARCH_NAME_MAX, "%s%s", stem, tail);
    else
        snprintf(out, ARCH_NAME_MAX, "%.*s%u%s%s", (int)(hole - stem), stem,
            layer, hole + 3, tail);
    return true;
}

bool arch_match(const char *pattern, struct str name)
{
    const char *hole = strstr(pattern, "{i}");
    size_t front = hole == NULL ? 0 : (size_t)(hole - pattern);
    size_t at = front;

    if (hole == NULL)
        return str_is(name, pattern);
    if (name.len < front || memcmp(name.p, pattern, front) != 0)
        return false;
    while (at < name.len && isdigit((unsigned char)name.p[at]))
        at++;
    return at > front &&
           str_is((struct str){ name.p + at, name.len - at }, hole + 3);
}

bool arch_ignores(const struct arch *a, struct str name)
{
    for (size_t i = 0; a->ignored[i] != NULL; i++)
        if (arch_match(a->ignored[i], name))
            return true;
    return false;
}

bool arch_knows(const struct arch *a, struct str name)
{
    struct str stem = name;

    if (str_ends(name, ".weight"))
        stem.len -= strlen(".weight");
    else if (str_ends(name, ".bias"))
        stem.len -= strlen(".bias");
    else
        return false;
    for (int r = 0; r < ROLE_COUNT; r++)
        if (a->names[r] != NULL && arch_match(a->names[r], stem))
            return true;
    return false;
}

/* The wrapper in front of the family's embedding; NULL: it is not there. */
static const char *embed_prefix(
    const struct arch *a, const struct checkpoint *c)
{
    static const char *const wrappers[] = { "", "module.", "_orig_mod.",
        "model.", "module._orig_mod.", "_orig_mod.module." };
    char name[ARCH_NAME_MAX];
    char full[ARCH_NAME_MAX + 32];

    arch_tensor(a, ROLE_EMBED, 0, false, name);
    for (size_t i = 0; i < ARRAY_LEN(wrappers); i++) {
        snprintf(full, sizeof(full), "%s%s", wrappers[i], name);
        if (checkpoint_find(c, full) != NULL)
            return wrappers[i];
    }
    return NULL;
}

const struct arch *arch_guess(const struct checkpoint *c)
{
    for (const struct arch *a = arch_table; a->model_type != NULL; a++)
        if (embed_prefix(a, c) != NULL)
            return a;
    return NULL;
}

const char *arch_prefix(const struct arch *a, const struct checkpoint *c)
{
    const char *prefix = embed_prefix(a, c);

    return prefix != NULL ? prefix : "";
}
