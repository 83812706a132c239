/* Families with names of their own, most in the manner of GPT-2. */
#include "verify-run/families.h"

/* A later key overrides an earlier one of the same field. */
static const struct arch_key gpt2_keys[] = {
    COUNT("vocab_size", vocab, 50257),
    COUNT("n_embd", dim, 768),
    COUNT("n_layer", layers, 12),
    COUNT("n_head", heads, 12),
    COUNT(NULL, inner_ratio, 4),
    MAYBE("n_inner", inner, 0),
    COUNT("n_positions", context, 1024),
    REAL("layer_norm_epsilon", eps, 1e-5),
    MUST("scale_attn_weights", 1),
    MUST("scale_attn_by_inverse_layer_idx", 0),
    MUST("add_cross_attention", 0),
    FLAG(NULL, qkv_bias, 1),
    FLAG(NULL, o_bias, 1),
    FLAG(NULL, mlp_bias, 1),
    FLAG("tie_word_embeddings", tied, 1),
    KEYS_END,
};

static const struct arch_key bigcode_keys[] = {
    COUNT("vocab_size", vocab, 50257),
    COUNT("n_embd", dim, 768),
    COUNT("n_layer", layers, 12),
    COUNT("n_head", heads, 12),
    COUNT(NULL, kv_heads, 1),
    COUNT(NULL, inner_ratio, 4),
    MAYBE("n_inner", inner, 0),
    COUNT("n_positions", context, 1024),
    REAL("layer_norm_epsilon", eps, 1e-5),
    MUST("scale_attn_weights", 1),
    MUST("add_cross_attention", 0),
    FLAG(NULL, qkv_bias, 1),
    FLAG(NULL, o_bias, 1),
    FLAG(NULL, mlp_bias, 1),
    FLAG("tie_word_embeddings", tied, 1),
    KEYS_END,
};

static const struct arch_key bigcode_heads_keys[] = {
    COUNT("vocab_size", vocab, 50257),
    COUNT("n_embd", dim, 768),
    COUNT("n_layer", layers, 12),
    COUNT("n_head", heads, 12),
    COUNT(NULL, inner_ratio, 4),
    MAYBE("n_inner", inner, 0),
    COUNT("n_positions", context, 1024),
    REAL("layer_norm_epsilon", eps, 1e-5),
    MUST("scale_attn_weights", 1),
    MUST("add_cross_attention", 0),
    FLAG(NULL, qkv_bias, 1),
    FLAG(NULL, o_bias, 1),
    FLAG(NULL, mlp_bias, 1),
    FLAG("tie_word_embeddings", tied, 1),
    KEYS_END,
};

static const struct arch_key gptj_keys[] = {
    COUNT("vocab_size", vocab, 50400),
    COUNT("n_embd", dim, 4096),
    COUNT("n_layer", layers, 28),
    COUNT("n_head", heads, 16),
    COUNT(NULL, inner_ratio, 4),
    MAYBE("n_inner", inner, 0),
    COUNT("n_positions", context, 2048),
    REAL("layer_norm_epsilon", eps, 1e-5),
    REAL(NULL, rope.base, 10000),
    REAL_MAYBE(NULL, rope.fraction, 0),
    COUNT("rotary_dim", rope.dims, 64),
    FLAG(NULL, mlp_bias, 1),
    FLAG(NULL, head_bias, 1),
    FLAG("tie_word_embeddings", tied, 0),
    KEYS_END,
};

static const struct arch_key opt_keys[] = {
    COUNT("vocab_size", vocab, 50272),
    COUNT("hidden_size", dim, 768),
    COUNT("num_hidden_layers", layers, 12),
    COUNT("num_attention_heads", heads, 12),
    COUNT("ffn_dim", inner, 3072),
    COUNT("max_position_embeddings", context, 2048),
    COUNT(NULL, position_offset, 2),
    REAL(NULL, eps, 1e-5),
    MUST("do_layer_norm_before", 1),
    MUST("_remove_final_layer_norm", 0),
    MUST("layer_norm_elementwise_affine", 1),
    FLAG("enable_bias", qkv_bias, 1),
    FLAG("enable_bias", o_bias, 1),
    FLAG("enable_bias", mlp_bias, 1),
    FLAG("tie_word_embeddings", tied, 1),
    KEYS_END,
};

static const struct arch_key bloom_keys[] = {
    COUNT("vocab_size", vocab, 250880),
    COUNT("n_embed", dim, 64),
    COUNT("hidden_size", dim, NAN),
    COUNT("num_hidden_layers", layers, 2),
    COUNT("n_layer", layers, NAN),
    COUNT("num_attention_heads", heads, 8),
    COUNT("n_head", heads, NAN),
    COUNT(NULL, inner_ratio, 4),
    COUNT("seq_length", context, 2048),
    REAL("layer_norm_epsilon", eps, 1e-5),
    MUST("apply_residual_connection_post_layernorm", 0),
    FLAG(NULL, qkv_bias, 1),
    FLAG(NULL, o_bias, 1),
    FLAG(NULL, mlp_bias, 1),
    FLAG("tie_word_embeddings", tied, 1),
    KEYS_END,
};

#define FALCON_KEYS                                                            \
    COUNT("vocab_size", vocab, 65024), COUNT("hidden_size", dim, 4544),        \
        COUNT("num_hidden_layers", layers, 32), COUNT("n_layer", layers, NAN), \
        COUNT("num_attention_heads", heads, 71), COUNT("n_head", heads, NAN),  \
        COUNT(NULL, inner_ratio, 4), MAYBE("ffn_hidden_size", inner, 0),       \
        COUNT("max_position_embeddings", context, 2048),                       \
        REAL("layer_norm_epsilon", eps, 1e-5),                                 \
        REAL("rope_theta", rope.base, 10000),                                  \
        CHOICE(                                                                \
            "alibi", position, POSITION_ALIBI_FALCON, POSITION_ROPE_HALF, 0),  \
        FLAG("bias", qkv_bias, 0), FLAG("bias", o_bias, 0),                    \
        FLAG("bias", mlp_bias, 0), FLAG("tie_word_embeddings", tied, 1)

/* 40b, 180b and 11b: groups of queries. */
static const struct arch_key falcon_grouped_keys[] = {
    FALCON_KEYS,
    MAYBE("num_kv_heads", kv_heads, 0),
    MAYBE("n_head_kv", kv_heads, NAN),
    KEYS_END,
};

/* 7b: one key head. */
static const struct arch_key falcon_multi_keys[] = {
    FALCON_KEYS,
    COUNT(NULL, kv_heads, 1),
    CHOICE("parallel_attn", residual, RESIDUAL_SHARED, RESIDUAL_SEQUENTIAL, 1),
    KEYS_END,
};

/* rw: every query its own. */
static const struct arch_key falcon_heads_keys[] = {
    FALCON_KEYS,
    CHOICE("parallel_attn", residual, RESIDUAL_SHARED, RESIDUAL_SEQUENTIAL, 1),
    KEYS_END,
};

static const struct arch_key mpt_keys[] = {
    COUNT("vocab_size", vocab, 50368),
    COUNT("d_model", dim, 2048),
    COUNT("n_layers", layers, 24),
    COUNT("n_heads", heads, 16),
    COUNT("expansion_ratio", inner_ratio, 4),
    COUNT("max_seq_len", context, 2048),
    REAL("layer_norm_epsilon", eps, 1e-5),
    MUST("attn_config.alibi", 1),
    REAL("attn_config.alibi_bias_max", alibi_max, 8),
    REAL_MAYBE("attn_config.clip_qkv", clip_qkv, 0),
    REAL_MAYBE("attn_config.softmax_scale", attention_scale, 0),
    MUST("attn_config.qk_ln", 0),
    MUST("attn_config.prefix_lm", 0),
    MUST("no_bias", 1),
    FLAG("tie_word_embeddings", tied, 1),
    KEYS_END,
};

#define GPT_LAYER "transformer.h.{i}."
#define OPT_LAYER "model.decoder.layers.{i}."
#define MPT_LAYER "transformer.blocks.{i}."

#define GPT2_NAMES                                                             \
    [ROLE_EMBED] = "transformer.wte", [ROLE_POSITION] = "transformer.wpe",     \
    [ROLE_NORM_OUT] = "transformer.ln_f", [ROLE_HEAD] = "lm_head",             \
    [ROLE_NORM1] = GPT_LAYER "ln_1", [ROLE_QKV] = GPT_LAYER "attn.c_attn",     \
    [ROLE_O] = GPT_LAYER "attn.c_proj", [ROLE_NORM2] = GPT_LAYER "ln_2",       \
    [ROLE_UP] = GPT_LAYER "mlp.c_fc", [ROLE_DOWN] = GPT_LAYER "mlp.c_proj"
#define GPT2_BUFFERS GPT_LAYER "attn.bias", GPT_LAYER "attn.masked_bias"

/* All but the norms, which BLOOM and each Falcon call otherwise. */
#define BLOOM_NAMES                                                            \
    [ROLE_EMBED] = "transformer.word_embeddings",                              \
    [ROLE_NORM_OUT] = "transformer.ln_f", [ROLE_HEAD] = "lm_head",             \
    [ROLE_QKV] = GPT_LAYER "self_attention.query_key_value",                   \
    [ROLE_O] = GPT_LAYER "self_attention.dense",                               \
    [ROLE_UP] = GPT_LAYER "mlp.dense_h_to_4h",                                 \
    [ROLE_DOWN] = GPT_LAYER "mlp.dense_4h_to_h"
#define BLOOM_NORMS                                                            \
    [ROLE_NORM1] = GPT_LAYER "input_layernorm", [ROLE_NORM2] = GPT_LAYER       \
                                                "post_attention_layernorm"
#define FALCON_BUFFER GPT_LAYER "self_attention.rotary.inv_freq"

const struct arch families_gpt[] = {
    {
        .model_type = "gpt2",
        .title = "GPT-2",
        .telltale = "transformer.wpe.weight",
        .kinds = {
            .norm = NORM_LAYER,
            .position = POSITION_LEARNED,
            .qkv = QKV_BLOCKS,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_PLAIN,
        },
        .in_out = true,
        .activation = "gelu_new",
        .act_key = "activation_function",
        .base = "transformer.",
        .keys = gpt2_keys,
        .names = { GPT2_NAMES },
        .ignored = { GPT2_BUFFERS },
    },
    {
        .model_type = "gpt_bigcode",
        .title = "GPT BigCode, one head of its own per query",
        .when = { "multi_query", 0 },
        .telltale = "transformer.wpe.weight",
        .kinds = {
            .norm = NORM_LAYER,
            .position = POSITION_LEARNED,
            .qkv = QKV_GROUPED,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_PLAIN,
        },
        .activation = "gelu_pytorch_tanh",
        .act_key = "activation_function",
        .base = "transformer.",
        .keys = bigcode_heads_keys,
        .names = { GPT2_NAMES },
        .ignored = { GPT2_BUFFERS },
    },
    {
        .model_type = "gpt_bigcode",
        .title = "GPT BigCode",
        .telltale = "transformer.wpe.weight",
        .kinds = {
            .norm = NORM_LAYER,
            .position = POSITION_LEARNED,
            .qkv = QKV_BLOCKS,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_PLAIN,
        },
        .activation = "gelu_pytorch_tanh",
        .act_key = "activation_function",
        .base = "transformer.",
        .keys = bigcode_keys,
        .names = { GPT2_NAMES },
        .ignored = { GPT2_BUFFERS },
    },
    {
        .model_type = "gptj",
        .title = "GPT-J",
        .telltale = "transformer.h.0.attn.q_proj.weight",
        .kinds = {
            .norm = NORM_LAYER,
            .position = POSITION_ROPE_ADJACENT,
            .qkv = QKV_SPLIT,
            .residual = RESIDUAL_SHARED,
            .mlp = MLP_PLAIN,
        },
        .activation = "gelu_new",
        .act_key = "activation_function",
        .base = "transformer.",
        .keys = gptj_keys,
        .names = {
            [ROLE_EMBED] = "transformer.wte",
            [ROLE_NORM_OUT] = "transformer.ln_f",
            [ROLE_HEAD] = "lm_head",
            [ROLE_NORM1] = GPT_LAYER "ln_1",
            [ROLE_Q] = GPT_LAYER "attn.q_proj",
            [ROLE_K] = GPT_LAYER "attn.k_proj",
            [ROLE_V] = GPT_LAYER "attn.v_proj",
            [ROLE_O] = GPT_LAYER "attn.out_proj",
            [ROLE_UP] = GPT_LAYER "mlp.fc_in",
            [ROLE_DOWN] = GPT_LAYER "mlp.fc_out",
        },
        .ignored = { GPT2_BUFFERS },
    },
    {
        .model_type = "opt",
        .title = "OPT",
        .kinds = {
            .norm = NORM_LAYER,
            .position = POSITION_LEARNED,
            .qkv = QKV_SPLIT,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_PLAIN,
        },
        .activation = "relu",
        .act_key = "activation_function",
        .base = "model.",
        .keys = opt_keys,
        .names = {
            [ROLE_EMBED] = "model.decoder.embed_tokens",
            [ROLE_POSITION] = "model.decoder.embed_positions",
            [ROLE_NORM_OUT] = "model.decoder.final_layer_norm",
            [ROLE_HEAD] = "lm_head",
            [ROLE_NORM1] = OPT_LAYER "self_attn_layer_norm",
            [ROLE_Q] = OPT_LAYER "self_attn.q_proj",
            [ROLE_K] = OPT_LAYER "self_attn.k_proj",
            [ROLE_V] = OPT_LAYER "self_attn.v_proj",
            [ROLE_O] = OPT_LAYER "self_attn.out_proj",
            [ROLE_NORM2] = OPT_LAYER "final_layer_norm",
            [ROLE_UP] = OPT_LAYER "fc1",
            [ROLE_DOWN] = OPT_LAYER "fc2",
        },
    },
    {
        .model_type = "bloom",
        .title = "BLOOM",
        .telltale = "transformer.word_embeddings_layernorm.weight",
        .kinds = {
            .norm = NORM_LAYER,
            .position = POSITION_ALIBI,
            .qkv = QKV_GROUPED,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_PLAIN,
        },
        .activation = "gelu_pytorch_tanh",
        .base = "transformer.",
        .keys = bloom_keys,
        .names = {
            BLOOM_NAMES,
            BLOOM_NORMS,
            [ROLE_EMBED_NORM] = "transformer.word_embeddings_layernorm",
        },
    },
    {
        .model_type = "falcon",
        .title = "Falcon with groups and one norm",
        .when = { "num_ln_in_parallel_attn", 1 },
        .kinds = {
            .norm = NORM_LAYER,
            .qkv = QKV_GROUPED,
            .residual = RESIDUAL_SHARED,
            .mlp = MLP_PLAIN,
        },
        .activation = "gelu",
        .act_key = "activation",
        .base = "transformer.",
        .keys = falcon_grouped_keys,
        .names = {
            BLOOM_NAMES,
            [ROLE_NORM1] = GPT_LAYER "input_layernorm",
        },
        .ignored = { FALCON_BUFFER },
    },
    {
        .model_type = "falcon",
        .title = "Falcon with groups",
        .when = { "new_decoder_architecture", 1 },
        .kinds = {
            .norm = NORM_LAYER,
            .qkv = QKV_GROUPED,
            .residual = RESIDUAL_PARALLEL,
            .mlp = MLP_PLAIN,
        },
        .activation = "gelu",
        .act_key = "activation",
        .base = "transformer.",
        .keys = falcon_grouped_keys,
        .names = {
            BLOOM_NAMES,
            [ROLE_NORM1] = GPT_LAYER "ln_attn",
            [ROLE_NORM2] = GPT_LAYER "ln_mlp",
        },
        .ignored = { FALCON_BUFFER },
    },
    {
        .model_type = "falcon",
        .title = "Falcon with a key head per query",
        .when = { "multi_query", 0 },
        .kinds = {
            .norm = NORM_LAYER,
            .qkv = QKV_GROUPED,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_PLAIN,
        },
        .activation = "gelu",
        .act_key = "activation",
        .base = "transformer.",
        .keys = falcon_heads_keys,
        .names = { BLOOM_NAMES, BLOOM_NORMS },
        .ignored = { FALCON_BUFFER },
    },
    {
        .model_type = "falcon",
        .title = "Falcon",
        .kinds = {
            .norm = NORM_LAYER,
            .qkv = QKV_BLOCKS,
            .residual = RESIDUAL_SHARED,
            .mlp = MLP_PLAIN,
        },
        .activation = "gelu",
        .act_key = "activation",
        .base = "transformer.",
        .keys = falcon_multi_keys,
        .names = { BLOOM_NAMES, BLOOM_NORMS },
        .ignored = { FALCON_BUFFER },
    },
    {
        .model_type = "mpt",
        .title = "MPT",
        .kinds = {
            .norm = NORM_LAYER_NO_BIAS,
            .position = POSITION_ALIBI_MPT,
            .qkv = QKV_BLOCKS,
            .residual = RESIDUAL_SEQUENTIAL,
            .mlp = MLP_PLAIN,
        },
        .activation = "gelu",
        .base = "transformer.",
        .keys = mpt_keys,
        .names = {
            [ROLE_EMBED] = "transformer.wte",
            [ROLE_NORM_OUT] = "transformer.norm_f",
            [ROLE_HEAD] = "lm_head",
            [ROLE_NORM1] = MPT_LAYER "norm_1",
            [ROLE_QKV] = MPT_LAYER "attn.Wqkv",
            [ROLE_O] = MPT_LAYER "attn.out_proj",
            [ROLE_NORM2] = MPT_LAYER "norm_2",
            [ROLE_UP] = MPT_LAYER "ffn.up_proj",
            [ROLE_DOWN] = MPT_LAYER "ffn.down_proj",
        },
    },
    { .model_type = NULL },
};
