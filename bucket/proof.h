/*
 * proof.h - is everything that a bucket's refs need there, and right? What
 * is wrong is set aside, so that nobody reads it, and a put brings it again.
 */
#ifndef BUCKET_PROOF_H
#define BUCKET_PROOF_H

#include "base/progress.h"
#include "bucket/mend.h"
#include "bucket/survey.h"

enum proof_kind { PROOF_DAMAGED, PROOF_MISSING, PROOF_REF, PROOF_UNREAD };

struct proof_wrong {
    enum proof_kind kind;
    const struct need *need; /* NULL: of a ref */
    struct str ref;
    struct str why;
    struct str moved; /* where it is now: a key; "" */
    bool mended;      /* of a ref: it has fallen back to this */
    struct mended to;
};

struct proof {
    struct bucket *b;
    enum progress_mode progress;
    bool repair; /* refs that are damaged fall back to what is whole */
    struct arena *arena;

    struct survey survey;
    uint64_t checked; /* objects that were read to their end */
    uint64_t checked_bytes;
    uint64_t unread; /* that could not be; they are in wrong, too */
    struct proof_wrong *wrong;
    uint64_t n_wrong;
};

/*
 * proof_run - what is to be mended is mended first, and looked at then
 * Returns  0 also where something is wrong; -1 with *e: it is not known; what
 *          was found wrong, and mended, until then stands in wrong
 */
int proof_run(struct proof *p, struct err *e);

#endif
