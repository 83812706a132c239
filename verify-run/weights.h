/*
 * weights.h - a model's tensors by role, where a backend can read them.
 *
 * Binding asks for every tensor of the family by name, shape and type in one
 * go and notes all that is wrong, so that one run tells everything. Matrices
 * stay where they lie in the mapped file when they can; norms, biases and
 * the scales of int8 matrices become float32 in memory.
 */
#ifndef VERIFY_RUN_WEIGHTS_H
#define VERIFY_RUN_WEIGHTS_H

#include "formats/manifest.h"
#include "verify-run/shape.h"

struct weight {
    const void *data;    /* rows * cols elements; NULL: the model has none */
    enum dtype dtype;    /* F32, F16, BF16 or I8; vectors always F32 */
    const float *scales; /* (rows): what a row of I8 is multiplied by */
    uint64_t rows;
    uint64_t cols; /* 1 for a vector */
    bool mapped;   /* lies in the file, not in memory of ours */
    bool vector;   /* a norm or a bias: always F32 */
    bool turned;   /* the file has it [in, out] */
};

enum note_kind {
    NOTE_MISSING,     /* the family needs it */
    NOTE_SHAPE,       /* there, but another shape or type */
    NOTE_CONTRADICTS, /* a part of the family that the config rules out */
    NOTE_BLANK,       /* a matrix that holds nothing */
    NOTE_UNEXPECTED,  /* nobody knows it */
    NOTE_IGNORED,     /* a leftover buffer or an alias */
    NOTE_KINDS
};

struct note {
    struct note *next;
    enum note_kind kind;
    struct str name;
    const char *why; /* "shape [3] instead of [4]", or "" */
};

struct weights {
    struct arena arena;
    uint32_t layers;
    uint32_t first[ROLE_COUNT + 1]; /* of a layer: where a role's tensors are */
    struct weight *table;           /* one per slot, see weights_get */
    struct note *notes;             /* in the order they were found */
    struct note **tail;
    uint64_t n_notes[NOTE_KINDS];
    uint64_t parameters;  /* elements of bound tensors, each storage once */
    uint64_t raw;         /* elements of everything in the checkpoint */
    uint64_t bytes;       /* of bound tensors as they are held */
    uint64_t int8_cols;   /* of the widest int8 matrix; 0: there is none */
    uint64_t token_bytes; /* of matrices that one decoded token reads */
    enum dtype dtype;     /* of the matrices in use; the commonest */
};

#define WEIGHTS_INIT                                                           \
    {                                                                          \
        .layers = 0                                                            \
    }

struct weights_source {
    const struct model_config *config;
    const struct checkpoint *checkpoint; /* must outlive the weights */
    const struct manifest *manifest;     /* for aliases, or NULL */
    enum dtype as; /* every matrix becomes F32, F16 or BF16, and what is held
                      in F32 is rounded to it; DTYPE_NONE: as stored */
};

/*
 * weights_bind - find and check every tensor
 * Returns  0 also when tensors are missing or wrong: ask weights_complete.
 *          -1 with *e: NOMEM (asked before anything is copied), IO, CORRUPT,
 *          CANCELLED.
 */
int weights_bind(
    struct weights *w, const struct weights_source *src, struct err *e);

/* weights_free - idempotent, for AUTO. */
void weights_free(struct weights *w);

/* weights_complete - nothing missing, wrong or contradicting. */
bool weights_complete(const struct weights *w);

/*
 * weights_get - a role's tensor; .data is NULL when the model has none.
 * layer is 0 for what exists once. The head of a tied model is its embedding.
 * Matrices are [out, in] whatever the file has; a fused matrix is there as
 * its parts, ROLE_GATE and ROLE_UP, or with blocks ROLE_Q, ROLE_K and ROLE_V.
 */
const struct weight *weights_get(
    const struct weights *w, uint32_t layer, enum role r, bool bias);

/* weights_item - of a role with many: one head's, one expert's. */
const struct weight *weights_item(const struct weights *w, uint32_t layer,
    enum role r, uint32_t item, bool bias);

#endif
