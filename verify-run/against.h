/*
 * against.h - the same tokens through another form of the model: another
 * container, type of weights or quantisation. How far the logits drift is
 * judged by what the two types may cost.
 */
#ifndef VERIFY_RUN_AGAINST_H
#define VERIFY_RUN_AGAINST_H

#include "verify-run/drift.h"
#include "verify-run/session.h"

struct against {
    const char *name;    /* as the user wrote it */
    char differs[160];   /* why it is no form of the same model, or "" */
    enum dtype dtype;    /* session_coarsest() of it */
    uint64_t bytes;      /* of its weights */
    struct drift drift;  /* from the model to it */
    double share, bound; /* of the spread, see drift.h */
};

#define AGAINST_INIT                                                           \
    {                                                                          \
        .name = NULL                                                           \
    }

/* One run of tokens from an empty cache. */
struct sequence {
    const uint32_t *ids;
    uint32_t n;
};

/*
 * against_run - open the other model and read the sequences with both
 * other    how to open it; no room is needed beforehand
 * s        was started with room for the longest sequence
 * Returns  0: out says more; -1 with *e, of the other's name
 */
int against_run(struct session *s, const struct session_opts *other,
    const struct sequence *v, size_t n, struct against *out, struct err *e);

/* against_holds - the same model, and no farther than allowed. */
bool against_holds(const struct against *a);

#endif
