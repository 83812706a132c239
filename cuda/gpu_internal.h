/*
 * gpu_internal.h - what the host side of the plugin shares: a model on a
 * device. device.c finds the device, upload.c brings the weights there and
 * passing.c those that cannot stay, buffers.c is what a pass works in; layers.c
 * puts the steps of a layer into the stream, project.c chooses who multiplies,
 * plugin.c runs a pass.
 */
#ifndef CUDA_GPU_INTERNAL_H
#define CUDA_GPU_INTERNAL_H

#include "cuda/kernels.h"
#include "cuda/replay.h"

struct blas;
struct cufile;
struct ring;
struct ring_piece;

enum { HEAD_BLOCK = 64 /* tokens whose logits are made together */ };

/* Weights that come together: what exists once, or a layer. */
struct gpu_group {
    size_t first; /* of its pieces */
    uint64_t bytes;
};

struct plugin_state {
    const struct plugin_model *m;
    int number; /* of the device */
    struct gpu_device device;
    cudaStream_t q;
    struct gpu_weight *table; /* as plugin_model's; on the device */
    struct blas *blas;        /* NULL until it is needed */
    bool no_blas;             /* it is not there, or cannot do it */
    uint64_t taken;           /* bytes of the device: weights and buffers */
    uint64_t uploaded;        /* bytes of weights */
    double upload_seconds;
    struct ring_piece *pieces; /* of all weights, group by group */
    struct gpu_group *group;   /* (1 + layers, and where the last ends) */
    uint64_t weight_bytes;     /* of the allocation: what stays, and slots */
    uint32_t stay;             /* layers; the others pass */
    uint64_t slot;             /* bytes of each of the two they pass through */
    bool roomy;                /* there is memory to spare */
    struct cufile *cufile;     /* NULL: it is not there */
    struct ring *ring;         /* that brings them; NULL: all stay */
    bool again;                /* the page cache keeps what passes */
    cudaEvent_t read[2];       /* by slot: what is in it is not needed more */
    uint32_t block;            /* tokens that pass together, at most */
    uint32_t splits;           /* of the attention of one token */
    /* host */
    struct gpu_mark *marks; /* by step */
    uint32_t n_marks, max_marks;
    struct gpu_graph graphs[2]; /* without logits; with them */
    struct gpu_guess guess;
    uint32_t filled;           /* positions of this text that the cache has */
    bool early;                /* one token's kernels may start early */
    uint32_t *input;           /* pinned: pos, then tokens (1 + block) */
    struct gpu_answer *answer; /* pinned */
    struct gpu_choice *chosen; /* pinned (block, experts_used) */
    uint32_t *rows;            /* pinned, as chosen: tokens by expert */
    float *shares;             /* pinned, as chosen: their weights */
    struct gpu_range *seen;    /* pinned (layers + 1, TUNE_RANGE_BLOCKS) */
    float *logits;             /* pinned (vocab) */
    /* device; (block, ...) of dim floats unless said otherwise */
    void *weights;  /* one allocation */
    uint32_t *step; /* (1 + block) */
    struct gpu_answer *out;
    float *inv_freq, *local_inv_freq, *slopes, *bias;
    float *keys, *values; /* (layers, kv_heads, capacity, head_dim) */
    float *x, *h, *branch, *branch2;
    float *qkv;             /* (heads + 2 kv_heads) * head_dim */
    float *queries, *heads; /* heads * head_dim */
    float *inner;
    float *parts; /* (heads, splits, head_dim + 2) */
    uint32_t *arrived;
    float *routes, *one;
    struct gpu_choice *choices;
    uint32_t *one_rows;
    float *one_shares;
    struct gpu_range *ranges; /* (layers + 1, TUNE_RANGE_BLOCKS) */
    float *head_out;          /* (HEAD_BLOCK, vocab) */
    /* for the library's products */
    void *halves;    /* (2 block, widest cols) of 16 bits */
    float *unscale;  /* (block) */
    float *products; /* (2 block, widest rows of all parts) */
    void *wide;      /* (TUNE_WIDE_ROWS, widest cols) of 16 bits */
};

/* gpu_failed - put a failure of the runtime into *e. Returns -1. */
int gpu_failed(struct err *e, const char *what, cudaError_t rc);

/* gpu_choose_device - the usable one with the most free memory. */
int gpu_choose_device(int *out, struct err *e);

/*
 * gpu_use - the session's device becomes the thread's own: another session
 * may have another, and what goes into a stream is refused from there
 */
cudaError_t gpu_use(const struct plugin_state *s);

/* gpu_describe - its name, memory and driver in words. */
void gpu_describe(int device, char out[BACKEND_DEVICE_MAX]);

/*
 * gpu_make_buffers - all that a pass works in
 * gpu_buffer_bytes - what that will take; UINT64_MAX: more than there can be
 */
int gpu_make_buffers(struct plugin_state *s, struct err *e);
uint64_t gpu_buffer_bytes(struct plugin_state *s);
void gpu_free_buffers(struct plugin_state *s);

/*
 * gpu_upload - the weights to the device, as many layers as it has room for,
 * and s->table
 * out      note: how cuFile did
 * Returns  0, or -1 with *e: NOSPACE, before the first copy, saying what is
 *          needed and what there is; IO, NOMEM, CANCELLED
 */
int gpu_upload(
    struct plugin_state *s, struct backend_opened *out, struct err *e);
void gpu_free_weights(struct plugin_state *s);

/* gpu_passes - do some layers not stay? Their bytes, each pass. */
bool gpu_passes(const struct plugin_state *s);
uint64_t gpu_passing_bytes(const struct plugin_state *s);

/* gpu_slot - the one a passing layer comes into. */
uint32_t gpu_slot(const struct plugin_state *s, uint32_t layer);

/* gpu_passing_open - when s->pieces have their places and s->ring is open. */
int gpu_passing_open(struct plugin_state *s, struct err *e);
void gpu_passing_close(struct plugin_state *s);

/*
 * gpu_layer_comes - what is put into the stream from now on finds the layer
 * gpu_layer_goes - and nothing that is put there later needs it
 * They do nothing for a layer that stays.
 * Returns  0, or -1 with *e: as ring_copy
 */
int gpu_layer_comes(struct plugin_state *s, uint32_t layer, struct err *e);
int gpu_layer_goes(struct plugin_state *s, uint32_t layer, struct err *e);

/* gpu_forward - one pass, as struct plugin has it. */
int gpu_forward(struct plugin_state *s, struct backend_pass *p, struct err *e);
void gpu_free_graphs(struct plugin_state *s);

/* gpu_facts - as struct plugin has it. */
void gpu_facts(struct plugin_state *s, struct backend_facts *out);

/* gpu_at - a tensor on the device; data NULL: the model has none. */
const struct gpu_weight *gpu_at(const struct plugin_state *s, uint32_t layer,
    enum role r, uint32_t item, bool bias);

/* gpu_mark - the next step looks at this. */
struct gpu_watch gpu_mark(struct plugin_state *s, uint32_t layer, enum role r);

/* gpu_norm_of - the norm of this role, for n vectors of dim. */
struct gpu_norm gpu_norm_of(
    const struct plugin_state *s, uint32_t layer, enum role r, uint32_t n);

/* A product to make: up to three roles of one layer. */
struct gpu_product {
    uint32_t layer;
    uint32_t item; /* the expert */
    enum role roles[ROWS_PARTS];
    float *y[ROWS_PARTS];
    uint32_t parts;
    struct gpu_rows rows; /* all but the parts, dtype and cols */
};

/* gpu_project - into the stream; a step of its own for every type. */
int gpu_project(
    struct plugin_state *s, const struct gpu_product *p, struct err *e);

/* gpu_block - n tokens of s->step through all layers, into s->x. */
int gpu_block(struct plugin_state *s, uint32_t n, bool ranges, struct err *e);

/* gpu_head - logits of n of the block's tokens, from `first` on. */
int gpu_head(struct plugin_state *s, uint32_t first, uint32_t n, struct err *e);

#endif
