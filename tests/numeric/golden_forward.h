/*
 * golden_forward.h - logits of six tiny models as the reference
 * implementation gives them in float32 on the CPU (transformers 4.45.2).
 * Their weights come from a generator, see tiny_value in tinymodel.h.
 * Generated from the table of measured numbers; not to be edited.
 */
#ifndef TESTS_GOLDEN_FORWARD_H
#define TESTS_GOLDEN_FORWARD_H

#include "tests/numeric/tinymodel.h"

enum { GOLDEN_IDS = 10, GOLDEN_VOCAB = 64 };

/* clang-format off */

static const uint32_t golden_ids[GOLDEN_IDS] = { 1, 5, 9, 2, 33, 17, 60, 8, 3, 12 };

static const struct tiny_tensor gpt_neox_parallel_tensors[] = {
    { .name = "gpt_neox.embed_in.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "gpt_neox.layers.0.input_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.0.input_layernorm.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.0.post_attention_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.0.post_attention_layernorm.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.0.attention.query_key_value.weight",
        .rank = 2, .shape = { 96, 32 } },
    { .name = "gpt_neox.layers.0.attention.query_key_value.bias",
        .rank = 1, .shape = { 96 } },
    { .name = "gpt_neox.layers.0.attention.dense.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "gpt_neox.layers.0.attention.dense.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.0.mlp.dense_h_to_4h.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "gpt_neox.layers.0.mlp.dense_h_to_4h.bias",
        .rank = 1, .shape = { 64 } },
    { .name = "gpt_neox.layers.0.mlp.dense_4h_to_h.weight",
        .rank = 2, .shape = { 32, 64 } },
    { .name = "gpt_neox.layers.0.mlp.dense_4h_to_h.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.1.input_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.1.input_layernorm.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.1.post_attention_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.1.post_attention_layernorm.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.1.attention.query_key_value.weight",
        .rank = 2, .shape = { 96, 32 } },
    { .name = "gpt_neox.layers.1.attention.query_key_value.bias",
        .rank = 1, .shape = { 96 } },
    { .name = "gpt_neox.layers.1.attention.dense.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "gpt_neox.layers.1.attention.dense.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.1.mlp.dense_h_to_4h.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "gpt_neox.layers.1.mlp.dense_h_to_4h.bias",
        .rank = 1, .shape = { 64 } },
    { .name = "gpt_neox.layers.1.mlp.dense_4h_to_h.weight",
        .rank = 2, .shape = { 32, 64 } },
    { .name = "gpt_neox.layers.1.mlp.dense_4h_to_h.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.final_layer_norm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.final_layer_norm.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "embed_out.weight",
        .rank = 2, .shape = { 64, 32 } },
};

static const struct tiny_tensor gpt_neox_sequential_tensors[] = {
    { .name = "gpt_neox.embed_in.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "gpt_neox.layers.0.input_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.0.input_layernorm.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.0.post_attention_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.0.post_attention_layernorm.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.0.attention.query_key_value.weight",
        .rank = 2, .shape = { 96, 32 } },
    { .name = "gpt_neox.layers.0.attention.query_key_value.bias",
        .rank = 1, .shape = { 96 } },
    { .name = "gpt_neox.layers.0.attention.dense.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "gpt_neox.layers.0.attention.dense.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.0.mlp.dense_h_to_4h.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "gpt_neox.layers.0.mlp.dense_h_to_4h.bias",
        .rank = 1, .shape = { 64 } },
    { .name = "gpt_neox.layers.0.mlp.dense_4h_to_h.weight",
        .rank = 2, .shape = { 32, 64 } },
    { .name = "gpt_neox.layers.0.mlp.dense_4h_to_h.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.1.input_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.1.input_layernorm.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.1.post_attention_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.1.post_attention_layernorm.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.1.attention.query_key_value.weight",
        .rank = 2, .shape = { 96, 32 } },
    { .name = "gpt_neox.layers.1.attention.query_key_value.bias",
        .rank = 1, .shape = { 96 } },
    { .name = "gpt_neox.layers.1.attention.dense.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "gpt_neox.layers.1.attention.dense.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.layers.1.mlp.dense_h_to_4h.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "gpt_neox.layers.1.mlp.dense_h_to_4h.bias",
        .rank = 1, .shape = { 64 } },
    { .name = "gpt_neox.layers.1.mlp.dense_4h_to_h.weight",
        .rank = 2, .shape = { 32, 64 } },
    { .name = "gpt_neox.layers.1.mlp.dense_4h_to_h.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.final_layer_norm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "gpt_neox.final_layer_norm.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "embed_out.weight",
        .rank = 2, .shape = { 64, 32 } },
};

static const struct tiny_tensor llama_mha_tensors[] = {
    { .name = "model.embed_tokens.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.0.self_attn.q_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.0.self_attn.k_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.0.self_attn.v_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.0.self_attn.o_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.0.mlp.gate_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.0.mlp.up_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.0.mlp.down_proj.weight",
        .rank = 2, .shape = { 32, 64 } },
    { .name = "model.layers.0.input_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.0.post_attention_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.1.self_attn.q_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.1.self_attn.k_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.1.self_attn.v_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.1.self_attn.o_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.1.mlp.gate_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.1.mlp.up_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.1.mlp.down_proj.weight",
        .rank = 2, .shape = { 32, 64 } },
    { .name = "model.layers.1.input_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.1.post_attention_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.norm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "lm_head.weight",
        .rank = 2, .shape = { 64, 32 } },
};

static const struct tiny_tensor llama_gqa_tensors[] = {
    { .name = "model.embed_tokens.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.0.self_attn.q_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.0.self_attn.k_proj.weight",
        .rank = 2, .shape = { 16, 32 } },
    { .name = "model.layers.0.self_attn.v_proj.weight",
        .rank = 2, .shape = { 16, 32 } },
    { .name = "model.layers.0.self_attn.o_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.0.mlp.gate_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.0.mlp.up_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.0.mlp.down_proj.weight",
        .rank = 2, .shape = { 32, 64 } },
    { .name = "model.layers.0.input_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.0.post_attention_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.1.self_attn.q_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.1.self_attn.k_proj.weight",
        .rank = 2, .shape = { 16, 32 } },
    { .name = "model.layers.1.self_attn.v_proj.weight",
        .rank = 2, .shape = { 16, 32 } },
    { .name = "model.layers.1.self_attn.o_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.1.mlp.gate_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.1.mlp.up_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.1.mlp.down_proj.weight",
        .rank = 2, .shape = { 32, 64 } },
    { .name = "model.layers.1.input_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.1.post_attention_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.norm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "lm_head.weight",
        .rank = 2, .shape = { 64, 32 } },
};

static const struct tiny_tensor llama3_rope_tied_tensors[] = {
    { .name = "model.embed_tokens.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.0.self_attn.q_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.0.self_attn.k_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.0.self_attn.v_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.0.self_attn.o_proj.weight",
        .rank = 2, .shape = { 32, 64 } },
    { .name = "model.layers.0.mlp.gate_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.0.mlp.up_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.0.mlp.down_proj.weight",
        .rank = 2, .shape = { 32, 64 } },
    { .name = "model.layers.0.input_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.0.post_attention_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.1.self_attn.q_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.1.self_attn.k_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.1.self_attn.v_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.1.self_attn.o_proj.weight",
        .rank = 2, .shape = { 32, 64 } },
    { .name = "model.layers.1.mlp.gate_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.1.mlp.up_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.1.mlp.down_proj.weight",
        .rank = 2, .shape = { 32, 64 } },
    { .name = "model.layers.1.input_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.1.post_attention_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.norm.weight",
        .rank = 1, .shape = { 32 } },
};

static const struct tiny_tensor llama_linear_rope_bias_tensors[] = {
    { .name = "model.embed_tokens.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.0.self_attn.q_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.0.self_attn.q_proj.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.0.self_attn.k_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.0.self_attn.k_proj.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.0.self_attn.v_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.0.self_attn.v_proj.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.0.self_attn.o_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.0.self_attn.o_proj.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.0.mlp.gate_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.0.mlp.gate_proj.bias",
        .rank = 1, .shape = { 64 } },
    { .name = "model.layers.0.mlp.up_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.0.mlp.up_proj.bias",
        .rank = 1, .shape = { 64 } },
    { .name = "model.layers.0.mlp.down_proj.weight",
        .rank = 2, .shape = { 32, 64 } },
    { .name = "model.layers.0.mlp.down_proj.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.0.input_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.0.post_attention_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.1.self_attn.q_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.1.self_attn.q_proj.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.1.self_attn.k_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.1.self_attn.k_proj.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.1.self_attn.v_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.1.self_attn.v_proj.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.1.self_attn.o_proj.weight",
        .rank = 2, .shape = { 32, 32 } },
    { .name = "model.layers.1.self_attn.o_proj.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.1.mlp.gate_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.1.mlp.gate_proj.bias",
        .rank = 1, .shape = { 64 } },
    { .name = "model.layers.1.mlp.up_proj.weight",
        .rank = 2, .shape = { 64, 32 } },
    { .name = "model.layers.1.mlp.up_proj.bias",
        .rank = 1, .shape = { 64 } },
    { .name = "model.layers.1.mlp.down_proj.weight",
        .rank = 2, .shape = { 32, 64 } },
    { .name = "model.layers.1.mlp.down_proj.bias",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.1.input_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.layers.1.post_attention_layernorm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "model.norm.weight",
        .rank = 1, .shape = { 32 } },
    { .name = "lm_head.weight",
        .rank = 2, .shape = { 64, 32 } },
};

struct golden_case {
    const char *name;
    const char *config; /* the text of config.json */
    const struct tiny_tensor *tensors;
    size_t n_tensors;
    uint32_t argmax[GOLDEN_IDS];
    double row_l2[GOLDEN_IDS];
    double last_logits[GOLDEN_VOCAB];
};

static const struct golden_case golden_cases[] = {
    { .name = "gpt_neox_parallel",
        .config =
            "{\"vocab_size\": 64, \"hidden_size\": 32, "
            "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
            "\"intermediate_size\": 64, \"hidden_act\": \"gelu\", "
            "\"rotary_pct\": 0.25, \"rotary_emb_base\": 10000, "
            "\"max_position_embeddings\": 64, \"layer_norm_eps\": 1e-05, "
            "\"tie_word_embeddings\": false, "
            "\"use_parallel_residual\": true, \"rope_scaling\": null, "
            "\"attention_bias\": true, \"model_type\": \"gpt_neox\"}",
        .tensors = gpt_neox_parallel_tensors,
        .n_tensors = ARRAY_LEN(gpt_neox_parallel_tensors),
        .argmax = {
            37, 6, 37, 14, 51, 37, 6, 63, 37, 37,
        },
        .row_l2 = {
            7.614585, 8.62285, 8.077932, 7.748298, 7.73633, 8.262685,
            7.479664, 7.520697, 7.780463, 7.860151,
        },
        .last_logits = {
            -1.938941, -0.560038, -0.414839, -1.732781, -0.341057, 0.658378,
            0.234463, 0.119589, 0.060475, -0.824568, 1.142729, 0.667921,
            -0.886522, 0.699582, -0.071948, 0.520812, 0.092212, -0.862837,
            0.029636, -1.460807, 0.024902, 0.108249, -0.643608, -0.764801,
            0.921933, -0.043356, 0.549819, -1.309974, 0.264412, -0.933133,
            2.097047, 0.989724, 0.369339, -1.252132, 0.883953, -0.74265,
            -0.382447, 2.528658, -0.769148, 0.107874, 1.153499, -0.163648,
            -0.029384, -0.45913, -1.327045, -1.137628, -0.664788, 0.016439,
            -0.065265, -1.931653, 0.016208, 1.774241, 0.301063, 0.844459,
            1.528255, -1.289495, 0.007144, -0.682104, 0.545017, -2.332001,
            0.407393, -0.914853, 1.299921, 1.00708,
        } },
    { .name = "gpt_neox_sequential",
        .config =
            "{\"vocab_size\": 64, \"hidden_size\": 32, "
            "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
            "\"intermediate_size\": 64, \"hidden_act\": \"gelu\", "
            "\"rotary_pct\": 0.25, \"rotary_emb_base\": 10000, "
            "\"max_position_embeddings\": 64, \"layer_norm_eps\": 1e-05, "
            "\"tie_word_embeddings\": false, "
            "\"use_parallel_residual\": false, \"rope_scaling\": null, "
            "\"attention_bias\": true, \"model_type\": \"gpt_neox\"}",
        .tensors = gpt_neox_sequential_tensors,
        .n_tensors = ARRAY_LEN(gpt_neox_sequential_tensors),
        .argmax = {
            63, 50, 1, 35, 14, 63, 10, 1, 34, 34,
        },
        .row_l2 = {
            7.173314, 8.072769, 7.783856, 8.063934, 7.09835, 7.481708,
            7.641417, 7.418738, 7.195147, 7.353767,
        },
        .last_logits = {
            -1.262449, 0.246492, -0.566367, -0.138451, -0.352452, 0.385353,
            -0.420709, 0.996704, 0.470778, -1.191583, 1.644727, -0.731103,
            -0.237091, 0.158016, 0.434587, 0.39804, -0.287432, 0.303258,
            1.333846, -0.650059, -0.170906, 1.3685, 0.951996, -1.010321,
            0.289956, 0.320345, 0.926659, -1.178711, -0.655808, -0.444311,
            1.124148, -0.226086, -0.528795, -0.883292, 2.566387, 0.186298,
            -0.931471, 1.658608, 0.306602, 0.215069, 1.329994, 0.906706,
            -0.241255, 0.05173, -1.412694, -0.803874, -0.518314, 1.022339,
            -0.079577, -1.88618, 0.42357, 1.330338, 0.252209, 0.491905,
            1.30813, -1.684128, 0.920545, -0.947304, 0.138122, -1.962454,
            -0.46278, -0.339646, 0.180944, 0.597663,
        } },
    { .name = "llama_mha",
        .config =
            "{\"vocab_size\": 64, \"hidden_size\": 32, "
            "\"intermediate_size\": 64, \"num_hidden_layers\": 2, "
            "\"num_attention_heads\": 4, \"num_key_value_heads\": 4, "
            "\"hidden_act\": \"silu\", \"max_position_embeddings\": 64, "
            "\"rms_norm_eps\": 1e-05, \"tie_word_embeddings\": false, "
            "\"rope_theta\": 10000.0, \"rope_scaling\": null, "
            "\"attention_bias\": false, \"mlp_bias\": false, "
            "\"head_dim\": 8, \"model_type\": \"llama\"}",
        .tensors = llama_mha_tensors,
        .n_tensors = ARRAY_LEN(llama_mha_tensors),
        .argmax = {
            54, 54, 54, 14, 9, 14, 49, 42, 42, 14,
        },
        .row_l2 = {
            8.140742, 8.28674, 7.626541, 8.191365, 8.147158, 8.097342,
            8.135282, 8.160355, 8.244519, 8.248193,
        },
        .last_logits = {
            -0.776969, 1.421912, -0.629444, -0.529245, -1.229234, -0.226445,
            -0.118787, -0.97119, 0.866733, 1.420933, 0.104115, -1.314516,
            -0.532924, -1.344233, 2.274953, 0.084984, -0.968301, -0.12713,
            1.306527, 0.210639, -0.108292, 0.924067, 0.102974, -0.968732,
            -2.556018, 1.896497, -1.078103, -0.745295, -0.727223, -0.288204,
            -1.055913, -0.930626, 1.508592, -0.434938, -0.587554, 0.331555,
            -0.727058, 0.055138, -0.014737, -1.584664, 0.467164, -0.253537,
            0.808895, -0.116213, 1.225975, -1.059143, 0.706437, -0.923276,
            -1.372268, -0.998622, -1.559281, -0.372862, -1.5984, -1.246685,
            0.925843, 0.538724, -0.831836, 0.80204, 0.438342, -1.88357,
            -0.345988, 1.69093, -1.226668, -0.558719,
        } },
    { .name = "llama_gqa",
        .config =
            "{\"vocab_size\": 64, \"hidden_size\": 32, "
            "\"intermediate_size\": 64, \"num_hidden_layers\": 2, "
            "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
            "\"hidden_act\": \"silu\", \"max_position_embeddings\": 64, "
            "\"rms_norm_eps\": 1e-05, \"tie_word_embeddings\": false, "
            "\"rope_theta\": 10000.0, \"rope_scaling\": null, "
            "\"attention_bias\": false, \"mlp_bias\": false, "
            "\"head_dim\": 8, \"model_type\": \"llama\"}",
        .tensors = llama_gqa_tensors,
        .n_tensors = ARRAY_LEN(llama_gqa_tensors),
        .argmax = {
            11, 11, 45, 49, 15, 60, 45, 45, 35, 22,
        },
        .row_l2 = {
            10.277814, 8.908895, 9.212048, 8.067277, 9.051828, 8.783219,
            8.871763, 8.739281, 8.183878, 8.08991,
        },
        .last_logits = {
            -0.11743, 1.639282, -0.348976, 0.973191, -0.723268, 0.009739,
            0.266207, -0.361697, -0.883251, 1.39633, -1.64181, 0.378055,
            1.412306, 0.020568, 0.771262, 0.502374, 1.6296, 1.192046,
            -0.183031, -0.722592, -0.575713, -0.267562, 2.690315, -0.069428,
            -0.013995, 0.029146, -1.375972, -0.99265, -0.35681, -0.075287,
            -2.522481, -0.514245, -1.087989, 0.211655, 1.206049, 1.188753,
            1.829912, -0.838052, 0.350601, 1.018288, -0.448184, 1.042063,
            0.068358, 1.997284, 0.498639, 0.788518, 0.920309, 0.055022,
            -0.535036, 0.618363, 0.262961, 1.174215, -1.13405, -0.794492,
            0.527244, 0.687943, -0.691325, 0.162626, 1.107661, 1.378965,
            1.060573, 0.525623, 0.759871, -1.979638,
        } },
    { .name = "llama3_rope_tied",
        .config =
            "{\"vocab_size\": 64, \"hidden_size\": 32, "
            "\"intermediate_size\": 64, \"num_hidden_layers\": 2, "
            "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
            "\"hidden_act\": \"silu\", "
            "\"max_position_embeddings\": 1024, \"rms_norm_eps\": 1e-05, "
            "\"tie_word_embeddings\": true, \"rope_theta\": 500000.0, "
            "\"rope_scaling\": {\"rope_type\": \"llama3\", "
            "\"factor\": 32.0, \"low_freq_factor\": 1.0, "
            "\"high_freq_factor\": 4.0, "
            "\"original_max_position_embeddings\": 64}, "
            "\"attention_bias\": false, \"mlp_bias\": false, "
            "\"head_dim\": 16, \"model_type\": \"llama\"}",
        .tensors = llama3_rope_tied_tensors,
        .n_tensors = ARRAY_LEN(llama3_rope_tied_tensors),
        .argmax = {
            60, 9, 9, 51, 19, 21, 51, 51, 51, 51,
        },
        .row_l2 = {
            7.938794, 8.049408, 8.208662, 8.354026, 7.43582, 8.302166,
            8.593166, 8.771136, 8.513146, 7.6916,
        },
        .last_logits = {
            0.317407, -0.016341, 0.683734, 0.19386, 1.161934, 1.171305,
            -0.900685, -1.29483, 0.933673, 1.183681, -0.001368, 0.421455,
            0.150515, 1.113938, 1.853393, 0.525638, -1.466762, 0.282853,
            0.000929, -0.181252, 1.291937, 1.480233, 0.011764, -0.258231,
            -1.287982, 1.303784, -0.308568, 0.937572, -0.4462, 0.518626,
            -0.499201, -1.135023, 0.89053, -1.839165, 1.738955, 0.380369,
            -0.563109, -1.268209, 0.478638, -1.289614, -0.413524, -0.077755,
            0.47906, 0.563658, -0.043416, -1.551291, -0.838108, -0.477463,
            1.163343, 0.782047, -0.730409, 2.657812, 0.168244, 0.946658,
            -0.402194, 0.206039, -0.37747, -1.020604, 1.259948, 0.397936,
            0.86261, 0.041162, 0.003802, -1.948809,
        } },
    { .name = "llama_linear_rope_bias",
        .config =
            "{\"vocab_size\": 64, \"hidden_size\": 32, "
            "\"intermediate_size\": 64, \"num_hidden_layers\": 2, "
            "\"num_attention_heads\": 4, \"num_key_value_heads\": 4, "
            "\"hidden_act\": \"silu\", \"max_position_embeddings\": 64, "
            "\"rms_norm_eps\": 1e-06, \"tie_word_embeddings\": false, "
            "\"rope_theta\": 10000.0, "
            "\"rope_scaling\": {\"rope_type\": \"linear\", "
            "\"factor\": 4.0}, \"attention_bias\": true, "
            "\"mlp_bias\": true, \"head_dim\": 8, "
            "\"model_type\": \"llama\"}",
        .tensors = llama_linear_rope_bias_tensors,
        .n_tensors = ARRAY_LEN(llama_linear_rope_bias_tensors),
        .argmax = {
            54, 54, 9, 42, 42, 54, 54, 42, 42, 14,
        },
        .row_l2 = {
            8.098423, 8.181383, 7.650691, 7.744281, 7.729206, 7.002012,
            7.935955, 7.31257, 8.638016, 9.152846,
        },
        .last_logits = {
            -1.761231, 1.336706, 0.095874, -0.324258, -1.914616, -1.686743,
            0.85394, -0.748251, 0.104864, -0.123075, 0.077609, -2.145478,
            -0.084256, -1.574088, 2.617671, -0.631607, -0.487572, -0.825771,
            -0.136513, 0.488061, 0.110532, 1.173385, -0.528056, 0.477501,
            -2.86591, 0.411017, -0.120617, -0.012569, 0.658742, -0.430259,
            -1.332957, -0.962537, 0.813127, -1.847569, -0.573356, 0.50553,
            0.837545, 1.473589, 1.822564, -1.428557, -0.156564, 0.666873,
            1.458898, 0.604848, 1.238024, 0.045069, 1.520564, -1.172008,
            -1.096446, 0.813825, -1.538127, -0.322654, -2.407498, 0.590703,
            1.951936, 0.012978, -1.53079, 0.26043, 0.114877, -0.464313,
            0.368882, 1.502376, -0.927004, -0.740361,
        } },
};

/* clang-format on */

#endif
