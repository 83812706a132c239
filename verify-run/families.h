/*
 * families.h - the rows of arch.h's table, and the words they are made of.
 * Each array is ended by model_type == NULL. A row says what is said of the
 * family in architectures, sections 4 to 10; a config member that would
 * change the computation in a way no row can say is a MUST.
 */
#ifndef VERIFY_RUN_FAMILIES_H
#define VERIFY_RUN_FAMILIES_H

#include <math.h>
#include <stddef.h>

#include "verify-run/config.h"

extern const struct arch families_seed[];  /* the five seed projects' */
extern const struct arch families_llama[]; /* with tensors named as Llama's */
extern const struct arch families_gpt[];   /* the others */

#define KEY_AT(key_, kind_, field, fallback_)                                  \
    {                                                                          \
        .key = key_, .kind = kind_, .fallback = fallback_,                     \
        .at = offsetof(struct model_config, field)                             \
    }
#define COUNT(key, field, fallback) KEY_AT(key, KEY_COUNT, field, fallback)
#define MAYBE(key, field, fallback) KEY_AT(key, KEY_MAYBE, field, fallback)
#define REAL(key, field, fallback) KEY_AT(key, KEY_REAL, field, fallback)
#define REAL_MAYBE(key, field, fallback)                                       \
    KEY_AT(key, KEY_REAL_MAYBE, field, fallback)
#define INVERSE(key, field, fallback) KEY_AT(key, KEY_INVERSE, field, fallback)
#define RSQRT(key, field, fallback) KEY_AT(key, KEY_RSQRT, field, fallback)
#define FLAG(key, field, fallback) KEY_AT(key, KEY_FLAG, field, fallback)
#define UNLESS(key, field, fallback) KEY_AT(key, KEY_UNLESS, field, fallback)
#define CHOICE(key_, field, yes_, no_, fallback_)                              \
    {                                                                          \
        .key = key_, .kind = KEY_CHOICE, .fallback = fallback_, .yes = yes_,   \
        .no = no_, .at = offsetof(struct model_config, kinds.field)            \
    }
#define MUST(key_, value)                                                      \
    {                                                                          \
        .key = key_, .kind = KEY_MUST, .fallback = value                       \
    }
#define KEYS_END                                                               \
    {                                                                          \
        .key = NULL                                                            \
    }

/* Names that many families share with Llama. */
#define LLAMA_LAYER "model.layers.{i}."
#define LLAMA_ENDS                                                             \
    [ROLE_EMBED] = "model.embed_tokens", [ROLE_NORM_OUT] = "model.norm",       \
    [ROLE_HEAD] = "lm_head"
#define LLAMA_ATTENTION                                                        \
    [ROLE_Q] = LLAMA_LAYER "self_attn.q_proj",                                 \
    [ROLE_K] = LLAMA_LAYER "self_attn.k_proj",                                 \
    [ROLE_V] = LLAMA_LAYER "self_attn.v_proj",                                 \
    [ROLE_O] = LLAMA_LAYER "self_attn.o_proj"
#define LLAMA_NORMS                                                            \
    [ROLE_NORM1] = LLAMA_LAYER "input_layernorm", [ROLE_NORM2] = LLAMA_LAYER   \
                                                  "post_attention_layernorm"
#define LLAMA_MLP                                                              \
    [ROLE_GATE] = LLAMA_LAYER "mlp.gate_proj",                                 \
    [ROLE_UP] = LLAMA_LAYER "mlp.up_proj",                                     \
    [ROLE_DOWN] = LLAMA_LAYER "mlp.down_proj"

#endif
