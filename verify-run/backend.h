/*
 * backend.h - what computes a forward pass: the CPU, always there and the
 * reference, or a plugin that is opened at run time.
 *
 * A backend gets the whole model at once and runs whole passes: tokens in,
 * logits of the last position out. It owns the key/value cache and every
 * copy of the weights it needs, so a device backend uploads each tensor once
 * in open() and afterwards moves only tokens and logits.
 */
#ifndef VERIFY_RUN_BACKEND_H
#define VERIFY_RUN_BACKEND_H

#include "base/pool.h"
#include "verify-run/stream.h"
#include "verify-run/weights.h"

enum { BACKEND_ABI = 1, BACKEND_DEVICE_MAX = 128 };

/* Everything lives longer than the backend's state. */
struct backend_model {
    const struct model_config *config;
    const struct weights *weights; /* complete */
    uint32_t capacity;             /* positions the cache must hold */
    struct pool *pool;             /* for work on the CPU */
    const struct stream *stream;   /* for weights beyond memory, or NULL */
};

/* The first value in a pass that is not finite. */
struct backend_fault {
    bool found;
    uint32_t layer; /* meaningful when role_in_layer(role) */
    enum role role; /* the matrix whose output it is, or ROLE_EMBED */
};

/* What the residual stream held, over all positions of a pass. */
struct value_range {
    float min, max;
    double squares; /* their sum */
    uint64_t n;
};

/* One pass. */
struct backend_pass {
    const uint32_t *tokens; /* each below config->vocab */
    uint32_t n;             /* at least 1 */
    uint32_t pos;    /* of the first token; what the cache held from there on
                        is forgotten */
    bool all;        /* logits of every position, not only of the last */
    float *logits;   /* out: (all ? n : 1, vocab), or NULL: argmax is enough */
    uint32_t argmax; /* out: of the last position, the first of equals */
    struct backend_fault fault; /* out */
    struct value_range *ranges; /* out: (layers + 1), all zero before: after
                                  the embedding and each layer; or NULL */
};

struct backend_state;

struct backend {
    uint32_t abi; /* BACKEND_ABI */
    const char *name;
    /*
     * The share of the logits' spread (drift.h) by which a token's logits may
     * change with the lengths of the passes; 0: not by a bit.
     */
    double wobble;
    /*
     * open - take the model in
     * device   out: what it runs on, in words
     * Returns  NULL with *e: NOMEM, IO, UNSUPPORTED
     */
    struct backend_state *(*open)(const struct backend_model *m,
        char device[BACKEND_DEVICE_MAX], struct err *e);
    /*
     * forward - pos + n is at most capacity
     * Returns  0, or -1 with *e: IO, NOMEM, CANCELLED (a long prompt takes
     *          minutes)
     */
    int (*forward)(
        struct backend_state *s, struct backend_pass *p, struct err *e);
    /* close - NULL is fine. */
    void (*close)(struct backend_state *s);
};

extern const struct backend backend_cpu;

enum backend_choice { BACKEND_AUTO, BACKEND_CPU, BACKEND_CUDA };

/*
 * backend_choose - the backend for a wish; auto takes the fastest there is
 * Returns NULL with *e: IO, saying in one line why it cannot be used.
 */
const struct backend *backend_choose(enum backend_choice want, struct err *e);

#endif
