/*
 * plugin.h - the interface between mlverify-run and a backend in a shared
 * object: plain data in, plain data out. A plugin gets the model as numbers
 * and as tensors in a table; it calls nothing of the program, and nothing of
 * a device appears here. Both sides are built from this header, and `abi` and
 * `size` together refuse a plugin of another build.
 */
#ifndef VERIFY_RUN_PLUGIN_H
#define VERIFY_RUN_PLUGIN_H

#include "base/err.h"
#include "formats/dtype.h"
#include "verify-run/pass.h"

enum { PLUGIN_ABI = 5 };

/* The one symbol of a plugin: a const struct plugin of this name. */
#define PLUGIN_SYMBOL "ml_backend_plugin"

/* A tensor in this process's memory; it stays there. */
struct plugin_weight {
    const void *data;    /* (rows, cols); NULL: the model has none */
    const float *scales; /* (rows) of I8, else NULL */
    uint64_t rows;
    uint64_t cols;    /* 1 for a vector */
    enum dtype dtype; /* F32, F16, BF16, I8; vectors are F32 */
    int32_t file;     /* which of the files it lies in; -1: none */
    uint64_t at;      /* byte offset there */
};

/* A mapped file of weights. */
struct plugin_file {
    const void *map;
    uint64_t len;
    int fd;
};

/* How the positions of some layers turn. */
struct plugin_rope {
    const float *inv_freq; /* (dims / 2), or NULL: none turn */
    float factor;          /* of cosines and sines */
};

struct plugin_layer {
    uint32_t window; /* keys a position sees, itself included; 0: all */
    bool local;      /* turns by `local`, not by `rope` */
};

struct plugin_model {
    uint32_t vocab, dim, layers;
    uint32_t heads, kv_heads, head_dim; /* kv_heads divides heads */
    uint32_t inner, experts, experts_used;
    uint32_t capacity; /* positions the cache must hold */
    struct arch_kinds kinds;
    enum activation act;
    bool embed_norm;
    bool pre, post, parallel, shared; /* as in shape_residual */
    double eps;
    float embed_scale, residual_scale, logit_scale;
    float logit_softcap;      /* 0: none */
    float attention_scale;    /* of q k */
    float softcap;            /* of the scores; 0: none */
    float clip_qkv;           /* 0: none */
    uint32_t position_offset; /* of row 0 of a learned table */
    uint32_t rope_dims;       /* of a head, even */
    struct plugin_rope rope, local;
    const float *slopes;               /* (heads) of ALiBi, or NULL */
    const float *bias;                 /* (heads, capacity), or NULL */
    const struct plugin_layer *layer;  /* (layers) */
    const uint32_t *first;             /* (ROLE_COUNT + 1) see plugin_at */
    const struct plugin_weight *table; /* see plugin_at */
    const struct plugin_file *files;
    uint32_t n_files;
    uint64_t memory;         /* of the device to use at most; 0: what it has */
    uint64_t host_memory;    /* that the page cache may fill with weights */
    bool (*cancelled)(void); /* has the user interrupted? */
};

/* plugin_at - a role's tensor; layer is 0 for what exists once. */
static inline const struct plugin_weight *plugin_at(
    const struct plugin_model *m, uint32_t layer, enum role r, uint32_t item,
    bool bias)
{
    size_t width = m->first[ROLE_COUNT];

    return &m->table[(layer * width + m->first[r] + item) * 2 + bias];
}

struct plugin_state;

struct plugin {
    uint32_t abi;  /* PLUGIN_ABI */
    uint32_t size; /* sizeof(struct plugin_model) */
    /* probe - 0 when there is a device to use; -1 with *e: IO, in one line */
    int (*probe)(struct err *e);
    /*
     * open - copy the model to the device; m outlives the state
     * Returns  NULL with *e: IO, NOSPACE (the device's memory; asked before
     *          the first copy), UNSUPPORTED, CANCELLED
     */
    struct plugin_state *(*open)(const struct plugin_model *m,
        struct backend_opened *out, struct err *e);
    /*
     * forward - pos + n is at most capacity; as in struct backend. A pass at
     * 0 begins another text: what was behind its end is forgotten.
     */
    int (*forward)(
        struct plugin_state *s, struct backend_pass *p, struct err *e);
    /* facts - measures copies, for about a tenth of a second. */
    void (*facts)(struct plugin_state *s, struct backend_facts *out);
    /* close - NULL is fine. */
    void (*close)(struct plugin_state *s);
};

#endif
