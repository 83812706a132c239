/*
 * kinds.h - the kinds of parts that decoders are made of, and the roles of
 * their tensors. Families choose among them (arch.h), backends compute them.
 * Source: architectures, sections 2 and 11.
 */
#ifndef VERIFY_RUN_KINDS_H
#define VERIFY_RUN_KINDS_H

#include "base/sys.h"

enum norm_kind {
    NORM_RMS,           /* weight only */
    NORM_RMS_PLUS_ONE,  /* multiplies by 1 + weight */
    NORM_LAYER,         /* weight and bias */
    NORM_LAYER_NO_BIAS, /* weight only */
    NORM_LAYER_PLAIN    /* neither */
};

enum position_kind {
    POSITION_ROPE_HALF,     /* entry i turns with i + dims/2 */
    POSITION_ROPE_ADJACENT, /* entry 2i turns with 2i + 1 */
    POSITION_LEARNED,       /* a table added to the embedding */
    POSITION_ALIBI,         /* slopes of BLOOM */
    POSITION_ALIBI_FALCON,  /* the same in bfloat16, and scaled */
    POSITION_ALIBI_MPT
};

enum qkv_layout {
    QKV_SPLIT,  /* three matrices */
    QKV_BLOCKS, /* one, rows [all q][all k][all v] */
    QKV_GROUPED /* one, for every key head [its q heads][k][v] */
};

/* Queries and keys normalised before they turn. */
enum qk_norm {
    QK_NORM_NONE,
    QK_NORM_EACH,   /* per head, a tensor for every head */
    QK_NORM_ROWS,   /* per head, a row of one tensor for every head */
    QK_NORM_SHARED, /* per head, one weight for all heads */
    QK_NORM_WHOLE   /* over all heads at once */
};

enum residual_kind {
    RESIDUAL_SEQUENTIAL, /* x += Attn(N1 x); x += Mlp(N2 x) */
    RESIDUAL_PARALLEL,   /* x += Attn(N1 x) + Mlp(N2 x), both of the same x */
    RESIDUAL_SHARED,     /* x += Attn(N1 x) + Mlp(N1 x) */
    RESIDUAL_SANDWICH,   /* x += N1b(Attn(N1 x)); x += N2b(Mlp(N2 x)) */
    RESIDUAL_POSTNORM    /* x += N1b(Attn(x)); x += N2b(Mlp(x)) */
};

enum mlp_kind {
    MLP_PLAIN, /* down(act(up x)) */
    MLP_GATED, /* down(act(gate x) * up x) */
    MLP_FUSED, /* gated, one matrix: rows of the gate, then of up */
    MLP_MOE    /* gated, the best few of many experts, weighted */
};

enum activation {
    ACT_GELU,        /* by erf */
    ACT_GELU_TANH,   /* the tanh approximation */
    ACT_GELU_QUICK,  /* x sigmoid(1.702 x) */
    ACT_GELU_CLIP10, /* by erf, clipped to -10 .. 10 */
    ACT_SILU,
    ACT_RELU,
    ACT_RELU2, /* squared */
    ACT_RELU6,
    ACT_TANH,
    ACT_SIGMOID,
    ACT_LINEAR,
    ACT_LEAKY_RELU, /* slope 0.01 */
    ACT_MISH
};

/* How a family is put together; a config may choose otherwise. */
struct arch_kinds {
    enum norm_kind norm;
    enum position_kind position;
    enum qkv_layout qkv;
    enum qk_norm qk_norm;
    enum residual_kind residual;
    enum mlp_kind mlp;
};

/* What a matrix or vector does. Those up to ROLE_HEAD exist once. */
enum role {
    ROLE_EMBED,
    ROLE_POSITION,
    ROLE_EMBED_NORM,
    ROLE_NORM_OUT,
    ROLE_HEAD,
    ROLE_NORM1, /* before attention; from here on once per layer */
    ROLE_QKV,
    ROLE_Q,
    ROLE_K,
    ROLE_V,
    ROLE_Q_NORM, /* {e} is the head */
    ROLE_K_NORM,
    ROLE_O,
    ROLE_NORM1_POST, /* after attention */
    ROLE_NORM2,      /* before the MLP */
    ROLE_ROUTER,
    ROLE_GATE_UP,
    ROLE_GATE, /* with MLP_MOE {e} is the expert */
    ROLE_UP,
    ROLE_DOWN,
    ROLE_NORM2_POST, /* after the MLP */
    ROLE_COUNT
};

/* role_name - "attention output", for messages. */
const char *role_name(enum role r);

static inline bool role_in_layer(enum role r)
{
    return r >= ROLE_NORM1;
}

bool role_is_norm(enum role r);

#endif
