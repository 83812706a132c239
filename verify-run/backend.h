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
#include "verify-run/pass.h"
#include "verify-run/stream.h"
#include "verify-run/weights.h"

enum { BACKEND_ABI = 2 };

/* Everything lives longer than the backend's state. */
struct backend_model {
    const struct model_config *config;
    const struct weights *weights;       /* complete */
    const struct checkpoint *checkpoint; /* where mapped weights lie */
    uint32_t capacity;                   /* positions the cache must hold */
    struct pool *pool;                   /* for work on the CPU */
    const struct stream *stream; /* for weights beyond memory, or NULL */
    uint64_t device_memory;      /* to take at most; 0: what the device has */
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
     * Returns  NULL with *e: NOMEM, IO, UNSUPPORTED
     */
    struct backend_state *(*open)(const struct backend_model *m,
        struct backend_opened *out, struct err *e);
    /*
     * forward - pos + n is at most capacity
     * Returns  0, or -1 with *e: IO, NOMEM, CANCELLED (a long prompt takes
     *          minutes)
     */
    int (*forward)(
        struct backend_state *s, struct backend_pass *p, struct err *e);
    /* facts - of a device beside the processor; NULL: there is none. */
    void (*facts)(struct backend_state *s, struct backend_facts *out);
    /* close - NULL is fine. */
    void (*close)(struct backend_state *s);
};

extern const struct backend backend_cpu;

/* What ml-backend-cuda.so computes; backend_choose asks whether it can. */
extern const struct backend backend_cuda;

/*
 * backend_cuda_check - is the plugin there, of this build, and has it a device?
 * Returns  0, or -1 with *e: MISSING (no plugin), IO; in one line
 */
int backend_cuda_check(struct err *e);

enum backend_choice { BACKEND_AUTO, BACKEND_CPU, BACKEND_CUDA };

/*
 * backend_choose - the backend for a wish; auto takes the fastest there is
 * Returns NULL with *e: IO, saying in one line why it cannot be used.
 */
const struct backend *backend_choose(enum backend_choice want, struct err *e);

#endif
