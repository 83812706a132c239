/*
 * arch.h - families of decoders as data: what their parts are, what their
 * tensors are called, how their config.json spells the numbers. A new
 * family is a row in arch.c; a new kind of part is a value of an enum here
 * and a case in the backends.
 * Source: architectures, sections 2 to 5 and 11.
 */
#ifndef VERIFY_RUN_ARCH_H
#define VERIFY_RUN_ARCH_H

#include "base/str.h"
#include "formats/checkpoint.h"

enum norm_kind {
    NORM_RMS,  /* weight only */
    NORM_LAYER /* weight and bias */
};

enum qkv_layout {
    QKV_SPLIT,   /* three matrices */
    QKV_PER_HEAD /* one matrix, rows [H][q, k, v][head size] */
};

enum residual_kind {
    RESIDUAL_SEQUENTIAL, /* x += Attn(N1 x); x += Mlp(N2 x) */
    RESIDUAL_PARALLEL    /* x += Attn(N1 x) + Mlp(N2 x), both of the same x */
};

enum mlp_kind {
    MLP_PLAIN, /* down(act(up x)) */
    MLP_GATED  /* down(act(gate x) * up x) */
};

enum activation {
    ACT_GELU,      /* by erf */
    ACT_GELU_TANH, /* the tanh approximation */
    ACT_SILU,
    ACT_RELU
};

/* What a matrix or vector does. Those up to ROLE_HEAD exist once. */
enum role {
    ROLE_EMBED,
    ROLE_NORM_OUT,
    ROLE_HEAD,
    ROLE_NORM1, /* before attention; from here on once per layer */
    ROLE_QKV,
    ROLE_Q,
    ROLE_K,
    ROLE_V,
    ROLE_O,
    ROLE_NORM2, /* before the MLP */
    ROLE_GATE,
    ROLE_UP,
    ROLE_DOWN,
    ROLE_COUNT
};

/* role_name - "attention output", for messages. */
const char *role_name(enum role r);

static inline bool role_in_layer(enum role r)
{
    return r >= ROLE_NORM1;
}

static inline bool role_is_norm(enum role r)
{
    return r == ROLE_NORM_OUT || r == ROLE_NORM1 || r == ROLE_NORM2;
}

/* One member of config.json, or with key == NULL a constant. */
struct arch_key {
    const char *key;
    enum { KEY_COUNT, KEY_REAL, KEY_FLAG } kind; /* uint32_t, double, bool */
    size_t at;       /* offsetof in struct model_config */
    double fallback; /* when absent; NAN: leave what stands there */
};

struct arch {
    const char *model_type; /* as config.json has it */
    const char *title;
    enum norm_kind norm;
    enum qkv_layout qkv;
    enum residual_kind parallel; /* when parallel_residual is set */
    enum mlp_kind mlp;
    const char *activation;        /* default of hidden_act */
    const struct arch_key *keys;   /* ended by at == 0 && key == NULL */
    const char *names[ROLE_COUNT]; /* stems, {i} is the layer; or NULL */
    const char *ignored[5];        /* leftover buffers, full names; NULL ends */
};

/* arch_table - every family, ended by model_type == NULL. */
extern const struct arch arch_table[];

/* arch_find - by model_type; NULL when there is none. */
const struct arch *arch_find(const char *model_type);

/*
 * arch_guess - by the family's embedding among the tensors, when no config
 * names one. An embedding two families share names the first of the table.
 */
const struct arch *arch_guess(const struct checkpoint *c);

/* arch_supported - "gpt_neox, llama" into out. Returns out. */
char *arch_supported(char *out, size_t len);

/* Longest name a template can make, its terminator included. */
enum { ARCH_NAME_MAX = 128 };

/*
 * arch_tensor - the name of a role's tensor, ".weight" or ".bias"
 * Returns false when the family has no such role.
 */
bool arch_tensor(const struct arch *a, enum role r, uint32_t layer, bool bias,
    char out[ARCH_NAME_MAX]);

/* arch_match - does name follow the template, any number for {i}? */
bool arch_match(const char *pattern, struct str name);

/* arch_ignores - a leftover buffer that no forward pass reads. */
bool arch_ignores(const struct arch *a, struct str name);

/* arch_knows - the name of some role's weight or bias, in any layer. */
bool arch_knows(const struct arch *a, struct str name);

/*
 * arch_prefix - what a wrapper put in front of every name
 * ("module.", "_orig_mod.", "model."), or "".
 */
const char *arch_prefix(const struct arch *a, const struct checkpoint *c);

#endif
