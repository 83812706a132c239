/*
 * gguf_family.h - the decoder families that GGUF has a name for, as data:
 * what their tensors are called there, and how rows move.
 * Source: checkpoint formats, section 11.4; architectures, sections 4 to 6.
 */
#ifndef CONVERT_GGUF_FAMILY_H
#define CONVERT_GGUF_FAMILY_H

#include "base/str.h"

/* A size of a tensor, by what it counts. */
enum gguf_size {
    SIZE_ONE, /* as columns: a vector */
    SIZE_VOCAB,
    SIZE_DIM,
    SIZE_INNER,
    SIZE_Q,   /* heads x head size */
    SIZE_KV,  /* key and value heads x head size */
    SIZE_QKV, /* three times SIZE_Q */
    SIZE_COUNT
};

/* How the rows of a tensor are ordered anew. */
enum gguf_rows {
    ROWS_SAME,
    ROWS_PAIRS, /* of each head: both halves interleaved, for rotation */
    ROWS_SPLIT  /* [heads][q, k, v] becomes [q, k, v][heads] */
};

enum gguf_flags {
    PART_NORM = 1,        /* always F32 */
    PART_BIAS = 2,        /* has a bias */
    PART_ATTN_BIAS = 4,   /* has one when the config says so of attention */
    PART_MLP_BIAS = 8,    /* has one when it says so of the MLP */
    PART_HEAD = 16,       /* the output head, which may be tied */
    PART_STACK = 32,      /* a vector for every {h}, which become a matrix;
                             only in models that norm each head */
    PART_SEQUENTIAL = 64, /* only where the residual is not parallel */
};

/* One tensor, ".weight" and ".bias" left off; {i} is the layer. */
struct gguf_part {
    const char *from, *to;
    enum gguf_size rows, cols;
    enum gguf_rows order;
    unsigned flags;
};

struct gguf_family {
    const char *model_type;        /* as config.json has it */
    const char *arch;              /* as GGUF has it */
    const struct gguf_part *parts; /* ended by from == NULL */
    const char *ignored[4];        /* leftover buffers; NULL ends */
    const char *acts[5];           /* hidden_act that readers assume */
    const char *attn_bias;         /* keys in config.json; or NULL */
    const char *mlp_bias;
    const char *eps;
    double eps_default;
    double rotary_default; /* part of a head that is rotated */
    bool rms;
    bool has_kv;       /* knows num_key_value_heads */
    bool has_head_dim; /* knows head_dim */
    bool has_parallel; /* knows use_parallel_residual */
    bool parallel_default;
    bool head_needed; /* a tied output head is written as a copy */
    bool scales;      /* knows rope scaling */
};

/* gguf_family_find - by model_type; NULL when there is none. */
const struct gguf_family *gguf_family_find(const char *model_type);

/* gguf_family_ignores - a leftover buffer that no forward pass reads. */
bool gguf_family_ignores(const struct gguf_family *f, struct str name);

/* Longest name gguf_part_name() can make, its terminator included. */
enum { GGUF_PART_NAME_MAX = 160 };

/*
 * gguf_part_name - a pattern with {i} and {h} filled in, and a tail
 * Returns out.
 */
char *gguf_part_name(char out[GGUF_PART_NAME_MAX], const char *pattern,
    uint32_t layer, uint32_t head, const char *tail);

#endif
