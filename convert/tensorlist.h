/*
 * tensorlist.h - every tensor that a checkpoint holds, chosen or not, as a
 * table for people or one JSON document.
 *
 * {"tensors": [{"path": .., "dtype": "F16", "shape": [2, 3], "bytes": n,
 *   "file": .., "chosen": true, "note": .., "sha256": ".."}, ..]}
 * note and sha256 are left out when there is nothing to say. A tensor that
 * cannot be converted is shown as well, with what it is as its note; what is
 * not known of it is dtype "none" or shape []. A quantised one shows as the
 * numbers it stands for (F32).
 */
#ifndef CONVERT_TENSORLIST_H
#define CONVERT_TENSORLIST_H

#include "base/buf.h"
#include "base/hash.h"
#include "base/pool.h"
#include "formats/checkpoint.h"

struct tensorlist {
    struct checkpoint c;
    struct digest *digests; /* of c.all[i]'s dense bytes; NULL: not asked */
    bool undecided;         /* several branches, and nobody chose */
};

#define TENSORLIST_INIT                                                        \
    {                                                                          \
        .c = CHECKPOINT_INIT                                                   \
    }

/*
 * tensorlist_open - source as mlconvert takes it (cache/find.h)
 * select    branch of a torch file that counts as chosen, or NULL; a file
 *           whose branch has to be chosen is listed all the same
 * digest    read everything and compute digests, by threads (0: per core)
 * Returns   0, or -1 with *e: as find_model and checkpoint_open
 */
int tensorlist_open(struct tensorlist *l, const char *source,
    const char *volume, const char *select, bool digest, unsigned threads,
    struct err *e);

/* tensorlist_close - idempotent, for AUTO. */
void tensorlist_close(struct tensorlist *l);

/* Both append to out; ask buf_check afterwards. */
void tensorlist_text(const struct tensorlist *l, struct buf *out);
void tensorlist_json(const struct tensorlist *l, struct buf *out);

#endif
