/*
 * pass.h - one forward pass, as every backend is asked for it. Plain data,
 * also for C++: a plugin is compiled against it.
 */
#ifndef VERIFY_RUN_PASS_H
#define VERIFY_RUN_PASS_H

#include "verify-run/kinds.h"

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

enum { BACKEND_DEVICE_MAX = 128, BACKEND_NOTE_MAX = 128 };

/* What a backend says when it has taken a model in. */
struct backend_opened {
    char device[BACKEND_DEVICE_MAX]; /* what it runs on, in words */
    char note[BACKEND_NOTE_MAX];     /* how cuFile did, or why it did not */
    uint32_t passing_layers;         /* that its memory has no room for */
    uint64_t passing; /* bytes that every pass brings there again */
};

/* What a device says of itself after a run. */
struct backend_facts {
    uint64_t memory;   /* bytes of it that the model takes */
    uint64_t uploaded; /* bytes of weights that went there */
    double upload_seconds;
    double pinned_rate; /* bytes a second from pinned memory; 0: unknown */
    double copy_rate;   /* read and written, by a copy on it; 0: unknown */
};

#endif
