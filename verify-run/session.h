/*
 * session.h - a model ready to run: its weights bound, its tokenizer if it
 * has one, a backend holding it.
 */
#ifndef VERIFY_RUN_SESSION_H
#define VERIFY_RUN_SESSION_H

#include "verify-run/backend.h"
#include "verify-run/origin.h"
#include "verify-run/timeline.h"
#include "verify-run/tokenfile.h"

struct session_opts {
    const char *path; /* folder or file with the weights */
    enum dtype as;    /* round the weights to it; DTYPE_NONE: as stored */
    unsigned threads; /* 0: one per core */
    uint64_t memory;  /* for mapped weights, or all that a device holds, at
                         most; 0: what is available */
    enum backend_choice backend;
    struct origin_wish wish; /* for the model's numbers */
};

struct session {
    struct checkpoint checkpoint;
    struct model_config config;
    struct origin origin;     /* of the config */
    struct manifest manifest; /* of a converted model; else empty */
    struct arena manifest_arena;
    struct weights weights;
    struct tokenizer *tokenizer; /* or NULL */
    struct tokenfile tokenfile;  /* where it came from */
    struct err no_tokenizer;     /* why it is NULL */
    struct pool *pool;
    struct stream *stream; /* NULL: all weights fit in memory */
    uint64_t memory;       /* as asked for */
    const struct backend *backend;
    struct backend_state *state;  /* NULL until session_start */
    struct backend_opened opened; /* what it said */
    uint32_t capacity;            /* positions */
    double load_seconds;          /* spent in session_open and session_start */
    struct timeline timeline;     /* of these two, then of whoever runs it */
};

#define SESSION_INIT                                                           \
    {                                                                          \
        .checkpoint = CHECKPOINT_INIT                                          \
    }

/*
 * session_open - read the tables, bind the weights, load the tokenizer
 * Returns  0 also when the weights are incomplete (weights_complete tells)
 *          or the tokenizer cannot be used; -1 with *e
 */
int session_open(
    struct session *s, const struct session_opts *o, struct err *e);

/*
 * session_start - hand the model to the backend; the weights are complete
 * capacity positions; above the model's context it is USAGE
 */
int session_start(struct session *s, uint32_t capacity, struct err *e);

/*
 * session_coarsest - the type of its matrices that rounds the most. Of an
 * int8 model that is I8, though an embedding kept in BF16 may be larger.
 */
enum dtype session_coarsest(const struct session *s);

/* session_close - idempotent, for AUTO. */
void session_close(struct session *s);

#endif
