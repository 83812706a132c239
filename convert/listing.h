/*
 * listing.h - every tensor that a checkpoint holds, chosen or not, as a
 * table for people or one JSON document.
 *
 * {"tensors": [{"path": .., "dtype": "F16", "shape": [2, 3], "bytes": n,
 *   "file": .., "chosen": true, "note": .., "sha256": ".."}, ..]}
 * note and sha256 are left out when there is nothing to say.
 */
#ifndef CONVERT_LISTING_H
#define CONVERT_LISTING_H

#include "base/buf.h"
#include "base/hash.h"
#include "base/pool.h"
#include "formats/checkpoint.h"

struct listing {
    struct checkpoint c;
    struct digest *digests; /* of c.all[i]'s dense bytes; NULL: not asked */
    bool undecided;         /* several branches, and nobody chose */
};

#define LISTING_INIT                                                           \
    {                                                                          \
        .c = CHECKPOINT_INIT                                                   \
    }

/*
 * listing_open - source as mlconvert takes it (cache/find.h)
 * select    branch of a torch file that counts as chosen, or NULL; a file
 *           whose branch has to be chosen is listed all the same
 * digest    read everything and compute digests, by threads (0: per core)
 * Returns   0, or -1 with *e: as find_model and checkpoint_open
 */
int listing_open(struct listing *l, const char *source, const char *volume,
    const char *select, bool digest, unsigned threads, struct err *e);

/* listing_close - idempotent, for AUTO. */
void listing_close(struct listing *l);

/* Both append to out; ask buf_check afterwards. */
void listing_text(const struct listing *l, struct buf *out);
void listing_json(const struct listing *l, struct buf *out);

#endif
