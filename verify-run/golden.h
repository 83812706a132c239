/*
 * golden.h - what a run computed, kept in a small file, and later runs
 * against it: on another machine, by another backend, of another version.
 *
 * The file is one JSON object (ml-run(5)): what the model is, the
 * prompt's and the new tokens, and of the logits after the prompt the best
 * and some hundred spread over the vocabulary. A file that is there is
 * compared with, never written.
 */
#ifndef VERIFY_RUN_GOLDEN_H
#define VERIFY_RUN_GOLDEN_H

#include "verify-run/generate.h"

enum { GOLDEN_VERSION = 1, GOLDEN_SAMPLE = 256, GOLDEN_TOP = 16 };

enum golden_state {
    GOLDEN_OPEN,     /* not compared or recorded yet */
    GOLDEN_RECORDED, /* there was no file: there is one now */
    GOLDEN_SPOILED,  /* the run failed its own checks: nothing recorded */
    GOLDEN_HOLDS,
    GOLDEN_BROKEN
};

/* One recorded logit. */
struct golden_logit {
    uint32_t id;
    double logit;
};

struct golden {
    struct arena arena;
    const char *path; /* as the user wrote it */
    bool there;       /* it was read; else it is to be made */
    /* as recorded */
    struct str architecture;
    uint64_t vocab, layers, dim, parameters;
    enum dtype dtype;
    double tolerance; /* share of the spread that equal types may drift */
    double spread;
    bool ignore_eos;
    uint32_t n_new; /* tokens there was room for; n_tokens when not said */
    uint32_t *prompt;
    uint32_t n_prompt;
    uint32_t *tokens;
    double *leads; /* of each token */
    uint32_t n_tokens;
    struct golden_logit *logits;
    uint32_t n_logits;
    /* what came of it */
    enum golden_state state;
    double share, bound; /* of the spread: as it is, as allowed */
    uint32_t same;       /* tokens up to the first other one */
    char why[160];       /* of BROKEN */
};

#define GOLDEN_INIT                                                            \
    {                                                                          \
        .path = NULL                                                           \
    }

/*
 * golden_open - read the file, or when there is none make sure that one can
 * be written there; needs no model, so a bad name costs no loading
 * Returns  0, or -1 with *e: USAGE, IO, REFUSED naming the member
 */
int golden_open(struct golden *g, const char *path, struct err *e);

/* golden_parse - the same from text; name is for messages. */
int golden_parse(
    struct golden *g, struct str text, const char *name, struct err *e);

/* golden_fits - was it recorded of such a model? If not, g says why. */
bool golden_fits(struct golden *g, const struct session *s);

/* One run. */
struct golden_run {
    const char *model; /* as the user wrote it */
    const struct session *session;
    const struct generation *generation;
    const uint32_t *prompt;
    uint32_t n_prompt;
    uint32_t n_new; /* tokens wanted */
    bool ignore_eos;
};

/*
 * golden_settle - compare the run with the file, or record it
 * good     it passed all other checks; one that did not is not recorded
 */
int golden_settle(
    struct golden *g, const struct golden_run *r, bool good, struct err *e);

/* golden_free - idempotent, for AUTO. */
void golden_free(struct golden *g);

#endif
