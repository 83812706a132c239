#include "convert/gguf_family.h"

#include <stdio.h>

#define LAYER "model.layers.{i}."

static const struct gguf_part llama[] = {
    { "model.embed_tokens", "token_embd", SIZE_VOCAB, SIZE_DIM, 0, 0 },
    { "model.norm", "output_norm", SIZE_DIM, SIZE_ONE, 0, PART_NORM },
    { "lm_head", "output", SIZE_VOCAB, SIZE_DIM, 0, PART_HEAD },
    { LAYER "input_layernorm", "blk.{i}.attn_norm", SIZE_DIM, SIZE_ONE, 0,
        PART_NORM },
    { LAYER "self_attn.q_proj", "blk.{i}.attn_q", SIZE_Q, SIZE_DIM, ROWS_PAIRS,
        PART_ATTN_BIAS },
    { LAYER "self_attn.k_proj", "blk.{i}.attn_k", SIZE_KV, SIZE_DIM, ROWS_PAIRS,
        PART_ATTN_BIAS },
    { LAYER "self_attn.v_proj", "blk.{i}.attn_v", SIZE_KV, SIZE_DIM, 0,
        PART_ATTN_BIAS },
    { LAYER "self_attn.o_proj", "blk.{i}.attn_output", SIZE_DIM, SIZE_Q, 0,
        PART_ATTN_BIAS },
    { LAYER "post_attention_layernorm", "blk.{i}.ffn_norm", SIZE_DIM, SIZE_ONE,
        0, PART_NORM },
    { LAYER "mlp.gate_proj", "blk.{i}.ffn_gate", SIZE_INNER, SIZE_DIM, 0,
        PART_MLP_BIAS },
    { LAYER "mlp.up_proj", "blk.{i}.ffn_up", SIZE_INNER, SIZE_DIM, 0,
        PART_MLP_BIAS },
    { LAYER "mlp.down_proj", "blk.{i}.ffn_down", SIZE_DIM, SIZE_INNER, 0,
        PART_MLP_BIAS },
    { .from = NULL },
};

static const struct gguf_part stablelm[] = {
    { "model.embed_tokens", "token_embd", SIZE_VOCAB, SIZE_DIM, 0, 0 },
    { "model.norm", "output_norm", SIZE_DIM, SIZE_ONE, 0,
        PART_NORM | PART_BIAS },
    { "lm_head", "output", SIZE_VOCAB, SIZE_DIM, 0, PART_HEAD },
    { LAYER "input_layernorm", "blk.{i}.attn_norm", SIZE_DIM, SIZE_ONE, 0,
        PART_NORM | PART_BIAS },
    { LAYER "self_attn.q_proj", "blk.{i}.attn_q", SIZE_Q, SIZE_DIM, 0,
        PART_ATTN_BIAS },
    { LAYER "self_attn.k_proj", "blk.{i}.attn_k", SIZE_KV, SIZE_DIM, 0,
        PART_ATTN_BIAS },
    { LAYER "self_attn.v_proj", "blk.{i}.attn_v", SIZE_KV, SIZE_DIM, 0,
        PART_ATTN_BIAS },
    { LAYER "self_attn.o_proj", "blk.{i}.attn_output", SIZE_DIM, SIZE_Q, 0, 0 },
    { LAYER "self_attn.q_layernorm.norms.{h}", "blk.{i}.attn_q_norm", SIZE_Q,
        SIZE_ONE, 0, PART_NORM | PART_STACK },
    { LAYER "self_attn.k_layernorm.norms.{h}", "blk.{i}.attn_k_norm", SIZE_KV,
        SIZE_ONE, 0, PART_NORM | PART_STACK },
    { LAYER "post_attention_layernorm", "blk.{i}.ffn_norm", SIZE_DIM, SIZE_ONE,
        0, PART_NORM | PART_BIAS | PART_SEQUENTIAL },
    { LAYER "mlp.gate_proj", "blk.{i}.ffn_gate", SIZE_INNER, SIZE_DIM, 0, 0 },
    { LAYER "mlp.up_proj", "blk.{i}.ffn_up", SIZE_INNER, SIZE_DIM, 0, 0 },
    { LAYER "mlp.down_proj", "blk.{i}.ffn_down", SIZE_DIM, SIZE_INNER, 0, 0 },
    { .from = NULL },
};

#undef LAYER
#define LAYER "gpt_neox.layers.{i}."

static const struct gguf_part gpt_neox[] = {
    { "gpt_neox.embed_in", "token_embd", SIZE_VOCAB, SIZE_DIM, 0, 0 },
    { "gpt_neox.final_layer_norm", "output_norm", SIZE_DIM, SIZE_ONE, 0,
        PART_NORM | PART_BIAS },
    { "embed_out", "output", SIZE_VOCAB, SIZE_DIM, 0, PART_HEAD },
    { LAYER "input_layernorm", "blk.{i}.attn_norm", SIZE_DIM, SIZE_ONE, 0,
        PART_NORM | PART_BIAS },
    { LAYER "attention.query_key_value", "blk.{i}.attn_qkv", SIZE_QKV, SIZE_DIM,
        ROWS_SPLIT, PART_BIAS },
    { LAYER "attention.dense", "blk.{i}.attn_output", SIZE_DIM, SIZE_Q, 0,
        PART_BIAS },
    { LAYER "post_attention_layernorm", "blk.{i}.ffn_norm", SIZE_DIM, SIZE_ONE,
        0, PART_NORM | PART_BIAS },
    { LAYER "mlp.dense_h_to_4h", "blk.{i}.ffn_up", SIZE_INNER, SIZE_DIM, 0,
        PART_BIAS },
    { LAYER "mlp.dense_4h_to_h", "blk.{i}.ffn_down", SIZE_DIM, SIZE_INNER, 0,
        PART_BIAS },
    { .from = NULL },
};

static const struct gguf_family families[] = {
    { .model_type = "llama",
        .arch = "llama",
        .parts = llama,
        .ignored = { "model.layers.{i}.self_attn.rotary_emb.inv_freq" },
        .acts = { "silu", "swish" },
        .attn_bias = "attention_bias",
        .mlp_bias = "mlp_bias",
        .eps = "rms_norm_eps",
        .eps_default = 1e-6,
        .rotary_default = 1,
        .rms = true,
        .has_kv = true,
        .has_head_dim = true,
        .scales = true },
    { .model_type = "gpt_neox",
        .arch = "gptneox",
        .parts = gpt_neox,
        .ignored = { "gpt_neox.layers.{i}.attention.bias",
            "gpt_neox.layers.{i}.attention.masked_bias",
            "gpt_neox.layers.{i}.attention.rotary_emb.inv_freq" },
        .acts = { "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh" },
        .eps = "layer_norm_eps",
        .eps_default = 1e-5,
        .rotary_default = 0.25,
        .has_parallel = true,
        .parallel_default = true,
        .head_needed = true },
    { .model_type = "stablelm",
        .arch = "stablelm",
        .parts = stablelm,
        .ignored = { "model.layers.{i}.self_attn.rotary_emb.inv_freq" },
        .acts = { "silu", "swish" },
        .attn_bias = "use_qkv_bias",
        .eps = "layer_norm_eps",
        .eps_default = 1e-5,
        .rotary_default = 0.25,
        .has_kv = true,
        .has_parallel = true,
        .head_needed = true },
};

const struct gguf_family *gguf_family_find(const char *model_type)
{
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        if (strcmp(families[i].model_type, model_type) == 0)
            return &families[i];
    return NULL;
}

/* Does name follow the pattern, any number for {i}? */
static bool matches(const char *pattern, struct str name)
{
    const char *hole = strstr(pattern, "{i}");
    size_t front = hole != NULL ? (size_t)(hole - pattern) : 0, at = front;

    if (hole == NULL)
        return str_is(name, pattern);
    if (name.len <= front || memcmp(name.p, pattern, front) != 0)
        return false;
    while (at < name.len && name.p[at] >= '0' && name.p[at] <= '9')
        at++;
    return at > front &&
           str_is((struct str){ name.p + at, name.len - at }, hole + 3);
}

bool gguf_family_ignores(const struct gguf_family *f, struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(f->ignored); i++)
        if (f->ignored[i] != NULL && matches(f->ignored[i], name))
            return true;
    return false;
}

char *gguf_part_name(char out[GGUF_PART_NAME_MAX], const char *pattern,
    uint32_t layer, uint32_t head, const char *tail)
{
    size_t n = 0;

    for (const char *p = pattern; *p != '\0' && n < GGUF_PART_NAME_MAX; p++) {
        if (p[0] == '{') {
            n += (size_t)snprintf(out + n, GGUF_PART_NAME_MAX - n, "%u",
                p[1] == 'i' ? layer : head);
            p += 2;
        } else {
            out[n++] = *p;
        }
    }
    snprintf(out + n, GGUF_PART_NAME_MAX - n, "%s", tail);
    return out;
}
