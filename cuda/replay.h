/*
 * replay.h - one token's pass: what is kept of it, what comes back, and the
 * one that is begun before it is asked for.
 */
#ifndef CUDA_REPLAY_H
#define CUDA_REPLAY_H

#include <cuda_runtime_api.h>

#include "verify-run/plugin.h"

/* Which value a step of a pass looks at. */
struct gpu_mark {
    uint32_t layer;
    enum role role;
};

/* What comes back from a pass; it lies in pinned memory. */
struct gpu_answer {
    uint32_t first_bad;      /* as of gpu_watch */
    unsigned long long best; /* as of gpu_argmax */
};

/* One token's pass, kept: the device gets it with one call. */
struct gpu_graph {
    cudaGraphExec_t exec;   /* NULL: not yet */
    bool warm;              /* its kernels were run once, so they are loaded */
    bool refused;           /* by the runtime: it goes step by step */
    struct gpu_mark *marks; /* its steps */
    uint32_t n_marks;
};

/*
 * The pass that is under way before somebody asks for it: of the token that
 * was chosen, at the place behind. So the device does not wait for whoever
 * looks at the logits.
 */
struct gpu_guess {
    bool there;
    bool logits;
    uint32_t pos, token;
};

#endif
