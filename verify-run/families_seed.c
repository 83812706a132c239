/* Pythia, the four one-billion models, gpt-fast, QuantumLLM, SmallLM. */
#include "verify-run/families.h"

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
    CHOICE("use_parallel_residual", residual, RESIDUAL_PARALLEL,
        RESIDUAL_SEQUENTIAL, 1),
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
    MAYBE("num_key_value_heads", kv_heads, 0),
    MAYBE("head_dim", head_dim, 0),
    COUNT("intermediate_size", inner, 11008),
    COUNT("max_position_embeddings", context, 2048),
    REAL("rms_norm_eps", eps, 1e-6),
    REAL("rope_theta", rope.base, 10000),
    FLAG("attention_bias", qkv_bias, 0),
    FLAG("attention_bias", o_bias, 0),
    FLAG("mlp_bias", mlp_bias, 0),
    FLAG("tie_word_embeddings", tied, 0),
    KEYS_END,
};

/* The second spellings are those of early revisions, stablelm_epoch. */
static const struct arch_key stablelm_keys[] = {
    COUNT("vocab_size", vocab, 50304),
    COUNT("hidden_size", dim, 2560),
    COUNT("num_hidden_layers", layers, 32),
    COUNT("num_attention_heads", heads, 32),
    COUNT("num_heads", heads, NAN),
    MAYBE("num_key_value_heads", kv_heads, 32),
    COUNT("intermediate_size", inner, 6912),
    COUNT("max_position_embeddings", context, 4096),
    REAL("layer_norm_eps", eps, 1e-5),
    REAL("norm_eps", eps, NAN),
    REAL("rope_theta", rope.base, 10000),
    REAL("partial_rotary_factor", rope.fraction, 0.25),
    REAL("rope_pct", rope.fraction, NAN),
    MUST("rotary_scaling_factor", 1),
    FLAG("use_qkv_bias", qkv_bias, 0),
    CHOICE("qk_layernorm", qk_norm, QK_NORM_EACH, QK_NORM_NONE, 0),
    CHOICE("use_parallel_residual", residual, RESIDUAL_SHARED,
        RESIDUAL_SEQUENTIAL, 0),
    FLAG("tie_word_embeddings", tied, 0),
    KEYS_END,
};

/* gpt-fast's own words, and those of Meta's params.json and llama2.c. */
static const struct arch_key gpt_fast_keys[] = {
    COUNT("vocab_size", vocab, 32000),
    COUNT("dim", dim, 4096),
    COUNT("n_layer", layers, 32),
    COUNT("n_layers", layers, NAN),
    COUNT("n_head", heads, 32),
    COUNT("n_heads", heads, NAN),
    MAYBE("n_local_heads", kv_heads, 0),
    MAYBE("n_kv_heads", kv_heads, NAN),
    MAYBE("intermediate_size", inner, 0),
    MAYBE("hidden_dim", inner, NAN),
    COUNT("multiple_of", inner_multiple, 256),
    COUNT("block_size", context, 2048),
    COUNT("max_seq_len", context, NAN),
    REAL("norm_eps", eps, 1e-5),
    REAL("rope_base", rope.base, 10000),
    REAL("rope_theta", rope.base, NAN),
    FLAG(NULL, tied, 0),
    KEYS_END,
};

static const struct arch_key quantum_keys[] = {
    COUNT("vocab_size", vocab, 16384),
    COUNT("d_model", dim, 768),
    COUNT("n_layers", layers, 12),
    COUNT("n_heads", heads, 12),
    COUNT("d_ff", inner, 3072),
    COUNT("max_seq_len", context, 1024),
    REAL(NULL, eps, 1e-6),
    REAL(NULL, rope.base, 10000),
    FLAG(NULL, tied, 1),
    KEYS_END,
};

static const struct arch_key smalllm_keys[] = {
    COUNT("vocab_size", vocab, 16000),
    COUNT("hidden_size", dim, 384),
    COUNT("num_layers", layers, 8),
    COUNT("num_heads", heads, 6),
    COUNT("intermediate_size", inner, 1536),
    COUNT("max_position_embeddings", context, 512),
    REAL("layer_norm_eps", eps, 1e-5),
    REAL("rope_theta", rope.base, 10000),
    MUST("use_rope", 1),
    FLAG(NULL, qkv_bias, 1),
    FLAG(NULL, o_bias, 1),
    FLAG(NULL, mlp_bias, 1),
    FLAG(NULL, tied, 1),
    KEYS_END,
};

#define NEOX_LAYER "gpt_neox.layers.{i}."
#define FAST_LAYER "layers.{i}."
#define BLOCK "blocks.{i}."

#define FAST_ENDS                                                              \
    [ROLE_EMBED] = "tok_embeddings", [ROLE_NORM_OUT] = "norm",                 \
    [ROLE_HEAD] = "output", [ROLE_NORM1] = FAST_LAYER "attention_norm",        \
    [ROLE_O] = FAST_LAYER "attention.wo",                                      \
    [ROLE_NORM2] = FAST_LAYER "ffn_norm",                                      \
    [ROLE_GATE] = FAST_LAYER "feed_forward.w1",                                \
    [ROLE_UP] = FAST_LAYER "feed_forward.w3",                                  \
    [ROLE_DOWN] = FAST_LAYER "feed_forward.w2"

#define FAST_BUFFERS "rope.freqs", "freqs_cis", "causal_mask"

const struct arch families_seed[] = {
    {
        .model_type = "gpt_neox",
        .title = "GPT-NeoX",
        .kinds = {
            .norm = NORM_LAYER,
            .qkv = QKV_GROUPED,
            .residual = RESIDUAL_PARALLEL,
            .mlp = MLP_PLAIN,
        },
        .activation = "gelu",
        .act_key = "hidden_act",
        .base = "gpt_neox.",
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
        .kinds = {
            .norm = NORM_RMS,
            .qkv = QKV_SPLIT,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_GATED,
        },
        .activation = "silu",
        .act_key = "hidden_act",
        .base = "model.",
        .keys = llama_keys,
        .names = { LLAMA_ENDS, LLAMA_ATTENTION, LLAMA_NORMS, LLAMA_MLP },
        .ignored = { LLAMA_LAYER "self_attn.rotary_emb.inv_freq" },
    },
    {
        .model_type = "stablelm",
        .alias = "stablelm_epoch",
        .title = "StableLM",
        .telltale = "model.norm.bias",
        .kinds = {
            .norm = NORM_LAYER,
            .qkv = QKV_SPLIT,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_GATED,
        },
        .bias_may_lack = true,
        .activation = "silu",
        .act_key = "hidden_act",
        .base = "model.",
        .keys = stablelm_keys,
        .names = {
            LLAMA_ENDS,
            LLAMA_ATTENTION,
            LLAMA_NORMS,
            LLAMA_MLP,
            [ROLE_Q_NORM] = LLAMA_LAYER "self_attn.q_layernorm.norms.{e}",
            [ROLE_K_NORM] = LLAMA_LAYER "self_attn.k_layernorm.norms.{e}",
        },
        .ignored = { LLAMA_LAYER "self_attn.rotary_emb.inv_freq" },
    },
    {
        .model_type = "gpt_fast",
        .title = "gpt-fast",
        .telltale = "layers.0.attention.wqkv.weight",
        .kinds = {
            .norm = NORM_RMS,
            .position = POSITION_ROPE_ADJACENT,
            .qkv = QKV_BLOCKS,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_GATED,
        },
        .activation = "silu",
        .keys = gpt_fast_keys,
        .names = {
            FAST_ENDS,
            [ROLE_QKV] = FAST_LAYER "attention.wqkv",
        },
        .ignored = { FAST_BUFFERS },
    },
    {
        .model_type = "gpt_fast",
        .title = "Llama in Meta's own layout",
        .kinds = {
            .norm = NORM_RMS,
            .position = POSITION_ROPE_ADJACENT,
            .qkv = QKV_SPLIT,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_GATED,
        },
        .activation = "silu",
        .keys = gpt_fast_keys,
        .names = {
            FAST_ENDS,
            [ROLE_Q] = FAST_LAYER "attention.wq",
            [ROLE_K] = FAST_LAYER "attention.wk",
            [ROLE_V] = FAST_LAYER "attention.wv",
        },
        .ignored = { FAST_BUFFERS },
    },
    {
        .model_type = "quantum_llm",
        .title = "QuantumLLM",
        .kinds = {
            .norm = NORM_RMS,
            .qkv = QKV_SPLIT,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_GATED,
        },
        .activation = "silu",
        .keys = quantum_keys,
        .names = {
            [ROLE_EMBED] = "tok_emb",
            [ROLE_NORM_OUT] = "norm",
            [ROLE_HEAD] = "lm_head",
            [ROLE_NORM1] = BLOCK "attn_norm",
            [ROLE_Q] = BLOCK "attn.q_proj",
            [ROLE_K] = BLOCK "attn.k_proj",
            [ROLE_V] = BLOCK "attn.v_proj",
            [ROLE_O] = BLOCK "attn.o_proj",
            [ROLE_NORM2] = BLOCK "ff_norm",
            [ROLE_GATE] = BLOCK "ff.w1",
            [ROLE_UP] = BLOCK "ff.w3",
            [ROLE_DOWN] = BLOCK "ff.w2",
        },
        .ignored = {
            BLOCK "attn.rotary.inv_freq",
            BLOCK "attn.rotary.cos_cached",
            BLOCK "attn.rotary.sin_cached",
        },
    },
    {
        .model_type = "smalllm",
        .title = "SmallLM",
        .kinds = {
            .norm = NORM_LAYER,
            .qkv = QKV_SPLIT,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_PLAIN,
        },
        .activation = "gelu",
        .act_key = "activation",
        .keys = smalllm_keys,
        .names = {
            [ROLE_EMBED] = "wte",
            [ROLE_NORM_OUT] = "ln_f",
            [ROLE_HEAD] = "lm_head",
            [ROLE_NORM1] = BLOCK "ln_1",
            [ROLE_Q] = BLOCK "attn.q_proj",
            [ROLE_K] = BLOCK "attn.k_proj",
            [ROLE_V] = BLOCK "attn.v_proj",
            [ROLE_O] = BLOCK "attn.o_proj",
            [ROLE_NORM2] = BLOCK "ln_2",
            [ROLE_UP] = BLOCK "mlp.c_fc",
            [ROLE_DOWN] = BLOCK "mlp.c_proj",
        },
    },
    { .model_type = NULL },
};
