/*
 * cpu_internal.h - what the parts of the CPU backend share: its state, and
 * the steps of a layer. backend_cpu.c says in which order they happen.
 */
#ifndef VERIFY_RUN_CPU_INTERNAL_H
#define VERIFY_RUN_CPU_INTERNAL_H

#include "verify-run/backend.h"
#include "verify-run/matmul.h"

enum {
    CPU_BLOCK = 512,         /* tokens per reading of the weights */
    CPU_QUERIES = 12,        /* tokens per reading of the cache */
    CPU_SMALL_WORK = 1 << 15 /* below this, threads only cost */
};

/* Which expert a token goes to, and what its answer counts. */
struct cpu_choice {
    uint32_t expert;
    float weight;
};

struct backend_state {
    const struct model_config *c;
    const struct weights *w;
    const struct ops *ops;
    struct pool *pool;
    const struct stream *stream;
    struct arena arena;
    uint32_t capacity;
    float *inv_freq;       /* (rope.dims / 2) */
    float *local_inv_freq; /* the same, of layers with a window */
    float *slopes;         /* (heads) */
    float *bias;           /* (heads, capacity), of a rounded ALiBi */
    float *keys;           /* (layers, kv_heads, capacity, head_dim) */
    float *values;         /* the same */
    float *scores;         /* (heads, CPU_QUERIES, capacity) */
    float *cs;             /* (CPU_BLOCK, rope.dims) */
    float *local_cs;       /* the same */
    /* (CPU_BLOCK, ...) of dim unless said otherwise */
    float *x;       /* the residual stream */
    float *h;       /* normalised input of a branch */
    float *branch;  /* output of the attention */
    float *branch2; /* output of the MLP */
    float *qkv;     /* (heads + 2 kv_heads) * head_dim */
    float *heads;   /* heads * head_dim */
    float *inner;   /* the MLP's inner */
    float *inner2;  /* the gated MLP's other half */
    float *fixed;   /* vectors in fixed point, when matrices are int8 */
    /* with experts */
    float *routes;              /* experts */
    float *one;                 /* one expert's tokens, then its answers */
    struct cpu_choice *choices; /* experts_used */
};

/* The vectors of one block of tokens in one layer. */
struct cpu_block {
    uint32_t layer;
    uint32_t pos; /* of the first */
    size_t n;
};

/* y = W x + b for n vectors; y is (n, rows). */
void cpu_project(const struct backend_state *s, uint32_t layer, enum role r,
    const float *x, size_t n, float *y);

/* y = norm(x) of n vectors of dim, of the family's kind; y may be x. */
void cpu_norm(const struct backend_state *s, uint32_t layer, enum role r,
    const float *x, size_t n, float *y);

/* One vector of any length, by this weight and bias, which may be NULL. */
void cpu_norm_one(const struct model_config *c, float *y, const float *x,
    const float *w, const float *b, size_t n);

/* Floats of one token in s->qkv. */
size_t cpu_qkv_len(const struct model_config *c);

/* s->qkv of s->h. */
void cpu_qkv(struct backend_state *s, const struct cpu_block *b);

/* Cosines and sines of a block's positions. */
void cpu_positions(struct backend_state *s, uint32_t pos, size_t n);

/* out = the attention's branch, of s->qkv. */
void cpu_attention(
    struct backend_state *s, const struct cpu_block *b, float *out);

/* out = the MLP's branch, of s->h. */
void cpu_mlp(struct backend_state *s, const struct cpu_block *b, float *out);

#endif
