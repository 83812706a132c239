/* Families whose tensors are called as Llama's are. */
#include "verify-run/families.h"

/* A later key overrides an earlier one of the same field. */
#define LLAMA_SIZES(vocab_, dim_, layers_, heads_, inner_, context_)           \
    COUNT("vocab_size", vocab, vocab_), COUNT("hidden_size", dim, dim_),       \
        COUNT("num_hidden_layers", layers, layers_),                           \
        COUNT("num_attention_heads", heads, heads_),                           \
        COUNT("intermediate_size", inner, inner_),                             \
        COUNT("max_position_embeddings", context, context_)

static const struct arch_key mistral_keys[] = {
    LLAMA_SIZES(32000, 4096, 32, 32, 14336, 4096 * 32),
    MAYBE("num_key_value_heads", kv_heads, 8),
    MAYBE("head_dim", head_dim, 0),
    REAL("rms_norm_eps", eps, 1e-6),
    REAL("rope_theta", rope.base, 10000),
    MAYBE("sliding_window", window, 4096),
    FLAG("tie_word_embeddings", tied, 0),
    KEYS_END,
};

static const struct arch_key mixtral_keys[] = {
    LLAMA_SIZES(32000, 4096, 32, 32, 14336, 4096 * 32),
    MAYBE("num_key_value_heads", kv_heads, 8),
    MAYBE("head_dim", head_dim, 0),
    COUNT("num_local_experts", experts, 8),
    COUNT("num_experts_per_tok", experts_used, 2),
    REAL("rms_norm_eps", eps, 1e-5),
    REAL("rope_theta", rope.base, 1e6),
    MAYBE("sliding_window", window, 0),
    FLAG("tie_word_embeddings", tied, 0),
    KEYS_END,
};

static const struct arch_key qwen2_keys[] = {
    LLAMA_SIZES(151936, 4096, 32, 32, 22016, 32768),
    MAYBE("num_key_value_heads", kv_heads, 32),
    MAYBE("head_dim", head_dim, 0),
    REAL("rms_norm_eps", eps, 1e-6),
    REAL("rope_theta", rope.base, 10000),
    MAYBE("sliding_window", window, 4096),
    UNLESS("use_sliding_window", window, 0),
    MAYBE("max_window_layers", window_from, 28),
    FLAG(NULL, qkv_bias, 1),
    FLAG("tie_word_embeddings", tied, 0),
    KEYS_END,
};

static const struct arch_key qwen3_keys[] = {
    LLAMA_SIZES(151936, 4096, 32, 32, 22016, 32768),
    MAYBE("num_key_value_heads", kv_heads, 32),
    MAYBE("head_dim", head_dim, 128),
    REAL("rms_norm_eps", eps, 1e-6),
    REAL("rope_theta", rope.base, 10000),
    MAYBE("sliding_window", window, 4096),
    UNLESS("use_sliding_window", window, 0),
    MAYBE("max_window_layers", window_from, 28),
    FLAG("attention_bias", qkv_bias, 0),
    FLAG("attention_bias", o_bias, 0),
    FLAG("tie_word_embeddings", tied, 0),
    KEYS_END,
};

static const struct arch_key gemma_keys[] = {
    LLAMA_SIZES(256000, 3072, 28, 16, 24576, 8192),
    MAYBE("num_key_value_heads", kv_heads, 16),
    COUNT("head_dim", head_dim, 256),
    REAL("rms_norm_eps", eps, 1e-6),
    REAL("rope_theta", rope.base, 10000),
    FLAG("attention_bias", qkv_bias, 0),
    FLAG("attention_bias", o_bias, 0),
    MUST("use_bidirectional_attention", 0),
    FLAG("tie_word_embeddings", tied, 1),
    KEYS_END,
};

static const struct arch_key gemma2_keys[] = {
    LLAMA_SIZES(256000, 2304, 26, 8, 9216, 8192),
    MAYBE("num_key_value_heads", kv_heads, 4),
    COUNT("head_dim", head_dim, 256),
    REAL("rms_norm_eps", eps, 1e-6),
    REAL("rope_theta", rope.base, 10000),
    RSQRT("query_pre_attn_scalar", attention_scale, 1.0 / 16),
    REAL_MAYBE("attn_logit_softcapping", softcap, 50),
    REAL_MAYBE("final_logit_softcapping", logit_softcap, 30),
    MAYBE("sliding_window", window, 4096),
    COUNT(NULL, window_period, 2),
    FLAG("attention_bias", qkv_bias, 0),
    FLAG("attention_bias", o_bias, 0),
    MUST("use_bidirectional_attention", 0),
    FLAG("tie_word_embeddings", tied, 1),
    KEYS_END,
};

static const struct arch_key gemma3_keys[] = {
    LLAMA_SIZES(262208, 2304, 26, 8, 9216, 131072),
    MAYBE("num_key_value_heads", kv_heads, 4),
    COUNT("head_dim", head_dim, 256),
    REAL("rms_norm_eps", eps, 1e-6),
    REAL("rope_theta", rope.base, 1e6),
    REAL("rope_local_base_freq", local.base, 10000),
    FLAG(NULL, has_local, 1),
    RSQRT("query_pre_attn_scalar", attention_scale, 1.0 / 16),
    REAL_MAYBE("attn_logit_softcapping", softcap, 0),
    REAL_MAYBE("final_logit_softcapping", logit_softcap, 0),
    MAYBE("sliding_window", window, 4096),
    COUNT("sliding_window_pattern", window_period, 6),
    COUNT("_sliding_window_pattern", window_period, NAN),
    FLAG("attention_bias", qkv_bias, 0),
    FLAG("attention_bias", o_bias, 0),
    MUST("use_bidirectional_attention", 0),
    FLAG("tie_word_embeddings", tied, 1),
    KEYS_END,
};

static const struct arch_key phi_keys[] = {
    LLAMA_SIZES(51200, 2048, 24, 32, 8192, 2048),
    MAYBE("num_key_value_heads", kv_heads, 0),
    REAL("layer_norm_eps", eps, 1e-5),
    REAL("rope_theta", rope.base, 10000),
    REAL("partial_rotary_factor", rope.fraction, 0.5),
    MUST("qk_layernorm", 0),
    FLAG(NULL, qkv_bias, 1),
    FLAG(NULL, o_bias, 1),
    FLAG(NULL, mlp_bias, 1),
    FLAG(NULL, head_bias, 1),
    FLAG("tie_word_embeddings", tied, 0),
    KEYS_END,
};

static const struct arch_key phi3_keys[] = {
    LLAMA_SIZES(32064, 3072, 32, 32, 8192, 4096),
    MAYBE("num_key_value_heads", kv_heads, 0),
    REAL("rms_norm_eps", eps, 1e-5),
    REAL("rope_theta", rope.base, 10000),
    REAL("partial_rotary_factor", rope.fraction, 1),
    REAL("original_max_position_embeddings", rope.original_context, 4096),
    MAYBE("sliding_window", window, 0),
    FLAG("attention_bias", qkv_bias, 0),
    FLAG("tie_word_embeddings", tied, 0),
    KEYS_END,
};

static const struct arch_key olmo_keys[] = {
    LLAMA_SIZES(50304, 4096, 32, 32, 11008, 2048),
    MAYBE("num_key_value_heads", kv_heads, 0),
    REAL(NULL, eps, 1e-5),
    REAL("rope_theta", rope.base, 10000),
    REAL_MAYBE("clip_qkv", clip_qkv, 0),
    FLAG("attention_bias", qkv_bias, 0),
    FLAG("attention_bias", o_bias, 0),
    FLAG("tie_word_embeddings", tied, 0),
    KEYS_END,
};

static const struct arch_key olmo2_keys[] = {
    LLAMA_SIZES(50304, 4096, 32, 32, 11008, 2048),
    MAYBE("num_key_value_heads", kv_heads, 0),
    REAL("rms_norm_eps", eps, 1e-5),
    REAL("rope_theta", rope.base, 10000),
    FLAG("attention_bias", qkv_bias, 0),
    FLAG("attention_bias", o_bias, 0),
    FLAG("tie_word_embeddings", tied, 0),
    KEYS_END,
};

static const struct arch_key cohere_keys[] = {
    LLAMA_SIZES(256000, 8192, 40, 64, 22528, 8192),
    MAYBE("num_key_value_heads", kv_heads, 0),
    REAL("layer_norm_eps", eps, 1e-5),
    REAL("rope_theta", rope.base, 10000),
    REAL("logit_scale", logit_scale, 0.0625),
    CHOICE("use_qk_norm", qk_norm, QK_NORM_ROWS, QK_NORM_NONE, 0),
    FLAG("attention_bias", qkv_bias, 0),
    FLAG("attention_bias", o_bias, 0),
    FLAG("tie_word_embeddings", tied, 1),
    KEYS_END,
};

static const struct arch_key starcoder2_keys[] = {
    LLAMA_SIZES(49152, 3072, 30, 24, 12288, 4096),
    MAYBE("num_key_value_heads", kv_heads, 2),
    REAL("norm_epsilon", eps, 1e-5),
    REAL("rope_theta", rope.base, 10000),
    MAYBE("sliding_window", window, 0),
    FLAG("use_bias", qkv_bias, 1),
    FLAG("use_bias", o_bias, 1),
    FLAG("use_bias", mlp_bias, 1),
    FLAG("tie_word_embeddings", tied, 1),
    KEYS_END,
};

static const struct arch_key granite_keys[] = {
    LLAMA_SIZES(32000, 4096, 32, 32, 11008, 2048),
    MAYBE("num_key_value_heads", kv_heads, 0),
    REAL("rms_norm_eps", eps, 1e-6),
    REAL("rope_theta", rope.base, 10000),
    REAL("embedding_multiplier", embed_scale, 1),
    REAL("residual_multiplier", residual_scale, 1),
    REAL("attention_multiplier", attention_scale, 1),
    INVERSE("logits_scaling", logit_scale, 1),
    FLAG("attention_bias", qkv_bias, 0),
    FLAG("attention_bias", o_bias, 0),
    FLAG("mlp_bias", mlp_bias, 0),
    FLAG("tie_word_embeddings", tied, 0),
    KEYS_END,
};

/* Kinds of most of them; a later one of the same kind wins. */
#define LLAMA_KINDS                                                            \
    .norm = NORM_RMS, .position = POSITION_ROPE_HALF, .qkv = QKV_SPLIT,        \
    .residual = RESIDUAL_SEQUENTIAL, .mlp = MLP_GATED

#define GEMMA2_NORMS                                                           \
    [ROLE_NORM1] = LLAMA_LAYER "input_layernorm",                              \
    [ROLE_NORM1_POST] = LLAMA_LAYER "post_attention_layernorm",                \
    [ROLE_NORM2] = LLAMA_LAYER "pre_feedforward_layernorm",                    \
    [ROLE_NORM2_POST] = LLAMA_LAYER "post_feedforward_layernorm"
#define QK_NORMS                                                               \
    [ROLE_Q_NORM] = LLAMA_LAYER "self_attn.q_norm", [ROLE_K_NORM] =            \
                                                        LLAMA_LAYER            \
                                                    "self_attn.k_norm"
#define EXPERT LLAMA_LAYER "block_sparse_moe.experts.{e}."
#define ROTARY_BUFFER LLAMA_LAYER "self_attn.rotary_emb.inv_freq"

const struct arch families_llama[] = {
    {
        .model_type = "mistral",
        .title = "Mistral",
        .kinds = { LLAMA_KINDS },
        .activation = "silu",
        .act_key = "hidden_act",
        .base = "model.",
        .keys = mistral_keys,
        .names = { LLAMA_ENDS, LLAMA_ATTENTION, LLAMA_NORMS, LLAMA_MLP },
        .ignored = { ROTARY_BUFFER },
    },
    {
        .model_type = "mixtral",
        .title = "Mixtral",
        .kinds = {
            .norm = NORM_RMS,
            .position = POSITION_ROPE_HALF,
            .qkv = QKV_SPLIT,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_MOE,
        },
        .activation = "silu",
        .act_key = "hidden_act",
        .base = "model.",
        .keys = mixtral_keys,
        .names = {
            LLAMA_ENDS,
            LLAMA_ATTENTION,
            LLAMA_NORMS,
            [ROLE_ROUTER] = LLAMA_LAYER "block_sparse_moe.gate",
            [ROLE_GATE] = EXPERT "w1",
            [ROLE_UP] = EXPERT "w3",
            [ROLE_DOWN] = EXPERT "w2",
        },
        .ignored = { ROTARY_BUFFER },
    },
    {
        .model_type = "qwen2",
        .title = "Qwen2",
        .telltale = "model.layers.0.self_attn.q_proj.bias",
        .kinds = { LLAMA_KINDS },
        .activation = "silu",
        .act_key = "hidden_act",
        .base = "model.",
        .keys = qwen2_keys,
        .names = { LLAMA_ENDS, LLAMA_ATTENTION, LLAMA_NORMS, LLAMA_MLP },
        .ignored = { ROTARY_BUFFER },
    },
    {
        .model_type = "qwen3",
        .title = "Qwen3",
        .kinds = { LLAMA_KINDS, .qk_norm = QK_NORM_SHARED },
        .activation = "silu",
        .act_key = "hidden_act",
        .base = "model.",
        .keys = qwen3_keys,
        .names = {
            LLAMA_ENDS, LLAMA_ATTENTION, LLAMA_NORMS, LLAMA_MLP, QK_NORMS,
        },
    },
    {
        .model_type = "gemma",
        .title = "Gemma",
        .kinds = {
            .norm = NORM_RMS_PLUS_ONE,
            .position = POSITION_ROPE_HALF,
            .qkv = QKV_SPLIT,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_GATED,
        },
        .embed_by_root = true,
        .activation = "gelu_pytorch_tanh",
        .act_key = "hidden_activation", /* hidden_act was wrong, and unused */
        .base = "model.",
        .keys = gemma_keys,
        .names = { LLAMA_ENDS, LLAMA_ATTENTION, LLAMA_NORMS, LLAMA_MLP },
        .ignored = { ROTARY_BUFFER },
    },
    {
        .model_type = "gemma2",
        .title = "Gemma 2",
        .kinds = {
            .norm = NORM_RMS_PLUS_ONE,
            .position = POSITION_ROPE_HALF,
            .qkv = QKV_SPLIT,
            .residual = RESIDUAL_SANDWICH,
            .mlp = MLP_GATED,
        },
        .embed_by_root = true,
        .activation = "gelu_pytorch_tanh",
        .act_key = "hidden_activation",
        .base = "model.",
        .keys = gemma2_keys,
        .names = { LLAMA_ENDS, LLAMA_ATTENTION, LLAMA_MLP, GEMMA2_NORMS },
    },
    {
        .model_type = "gemma3_text",
        .title = "Gemma 3, text",
        .kinds = {
            .norm = NORM_RMS_PLUS_ONE,
            .position = POSITION_ROPE_HALF,
            .qkv = QKV_SPLIT,
            .qk_norm = QK_NORM_SHARED,
            .residual = RESIDUAL_SANDWICH,
            .mlp = MLP_GATED,
        },
        .embed_by_root = true,
        .activation = "gelu_pytorch_tanh",
        .act_key = "hidden_activation",
        .base = "model.",
        .keys = gemma3_keys,
        .names = {
            LLAMA_ENDS, LLAMA_ATTENTION, LLAMA_MLP, GEMMA2_NORMS, QK_NORMS,
        },
    },
    {
        .model_type = "phi",
        .title = "Phi",
        .kinds = {
            .norm = NORM_LAYER,
            .position = POSITION_ROPE_HALF,
            .qkv = QKV_SPLIT,
            .residual = RESIDUAL_SHARED,
            .mlp = MLP_PLAIN,
        },
        .activation = "gelu_new",
        .act_key = "hidden_act",
        .base = "model.",
        .keys = phi_keys,
        .names = {
            [ROLE_EMBED] = "model.embed_tokens",
            [ROLE_NORM_OUT] = "model.final_layernorm",
            [ROLE_HEAD] = "lm_head",
            [ROLE_NORM1] = LLAMA_LAYER "input_layernorm",
            [ROLE_Q] = LLAMA_LAYER "self_attn.q_proj",
            [ROLE_K] = LLAMA_LAYER "self_attn.k_proj",
            [ROLE_V] = LLAMA_LAYER "self_attn.v_proj",
            [ROLE_O] = LLAMA_LAYER "self_attn.dense",
            [ROLE_UP] = LLAMA_LAYER "mlp.fc1",
            [ROLE_DOWN] = LLAMA_LAYER "mlp.fc2",
        },
    },
    {
        .model_type = "phi3",
        .title = "Phi-3",
        .kinds = {
            .norm = NORM_RMS,
            .position = POSITION_ROPE_HALF,
            .qkv = QKV_BLOCKS,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_FUSED,
        },
        .activation = "silu",
        .act_key = "hidden_act",
        .base = "model.",
        .keys = phi3_keys,
        .names = {
            LLAMA_ENDS,
            LLAMA_NORMS,
            [ROLE_QKV] = LLAMA_LAYER "self_attn.qkv_proj",
            [ROLE_O] = LLAMA_LAYER "self_attn.o_proj",
            [ROLE_GATE_UP] = LLAMA_LAYER "mlp.gate_up_proj",
            [ROLE_DOWN] = LLAMA_LAYER "mlp.down_proj",
        },
    },
    {
        .model_type = "olmo",
        .title = "OLMo",
        .kinds = {
            .norm = NORM_LAYER_PLAIN,
            .position = POSITION_ROPE_HALF,
            .qkv = QKV_SPLIT,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_GATED,
        },
        .activation = "silu",
        .act_key = "hidden_act",
        .base = "model.",
        .keys = olmo_keys,
        .names = {
            [ROLE_EMBED] = "model.embed_tokens",
            [ROLE_HEAD] = "lm_head",
            LLAMA_ATTENTION,
            LLAMA_MLP,
        },
    },
    {
        .model_type = "olmo2",
        .title = "OLMo 2",
        .kinds = {
            .norm = NORM_RMS,
            .position = POSITION_ROPE_HALF,
            .qkv = QKV_SPLIT,
            .qk_norm = QK_NORM_WHOLE,
            .residual = RESIDUAL_POSTNORM,
            .mlp = MLP_GATED,
        },
        .activation = "silu",
        .act_key = "hidden_act",
        .base = "model.",
        .keys = olmo2_keys,
        .names = {
            LLAMA_ENDS,
            LLAMA_ATTENTION,
            LLAMA_MLP,
            QK_NORMS,
            [ROLE_NORM1_POST] = LLAMA_LAYER "post_attention_layernorm",
            [ROLE_NORM2_POST] = LLAMA_LAYER "post_feedforward_layernorm",
        },
    },
    {
        .model_type = "cohere",
        .title = "Cohere",
        .kinds = {
            .norm = NORM_LAYER_NO_BIAS,
            .position = POSITION_ROPE_ADJACENT,
            .qkv = QKV_SPLIT,
            .residual = RESIDUAL_SHARED,
            .mlp = MLP_GATED,
        },
        .activation = "silu",
        .act_key = "hidden_act",
        .base = "model.",
        .keys = cohere_keys,
        .names = {
            LLAMA_ENDS,
            LLAMA_ATTENTION,
            LLAMA_MLP,
            QK_NORMS,
            [ROLE_NORM1] = LLAMA_LAYER "input_layernorm",
        },
    },
    {
        .model_type = "starcoder2",
        .title = "StarCoder2",
        .kinds = {
            .norm = NORM_LAYER,
            .position = POSITION_ROPE_HALF,
            .qkv = QKV_SPLIT,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_PLAIN,
        },
        .activation = "gelu_pytorch_tanh",
        .act_key = "hidden_act",
        .base = "model.",
        .keys = starcoder2_keys,
        .names = {
            LLAMA_ENDS,
            LLAMA_ATTENTION,
            LLAMA_NORMS,
            [ROLE_UP] = LLAMA_LAYER "mlp.c_fc",
            [ROLE_DOWN] = LLAMA_LAYER "mlp.c_proj",
        },
    },
    {
        .model_type = "granite",
        .title = "Granite",
        .kinds = { LLAMA_KINDS },
        .activation = "silu",
        .act_key = "hidden_act",
        .base = "model.",
        .keys = granite_keys,
        .names = { LLAMA_ENDS, LLAMA_ATTENTION, LLAMA_NORMS, LLAMA_MLP },
    },
    { .model_type = NULL },
};
