/*
 * tip.h - which catalog a name of the bucket means now: a ref, and how it
 * moves from one to the next without losing anybody's.
 *
 *   refs/<name>/head                     stores with conditional writes:
 *                                        one object, compared and swapped
 *   refs/<name>/<20 digits>-<16 hex>     stores without: one object for each
 *                                        move, never changed, the highest
 *                                        number counts
 *
 *   ml-ref 1
 *   number 7
 *   catalog <64 hex> 1234
 *   sum <SHA-256 of the lines above>
 *
 * Without conditions two writers may write the same number. Each looks what
 * is there after it has written: who sees another's takes its own away, and
 * tries again on top of the other's. Where both were killed before that, both
 * stand, and a reader takes both together (catalog.h).
 */
#ifndef BUCKET_TIP_H
#define BUCKET_TIP_H

#include "base/arena.h"
#include "bucket/bucket.h"

enum {
    TIP_SIDES_MAX = 32,
    TIP_SALVAGE_MAX = 16,
    TIP_TAIL = 20 + 1 + 16 /* number, '-', random */
};

struct tip_side {
    struct digest catalog; /* its SHA-256 */
    uint64_t size;         /* bytes of it */
    int64_t written_s;     /* by the store's clock; tip_read's */
};

struct tip {
    uint64_t number; /* of moves; 0: there was none */
    struct tip_side sides[TIP_SIDES_MAX];
    size_t n; /* 1; 0: there is none; more: written at the same time,
                 the oldest first */
    char etag[S3_ETAG_MAX];
    /* Where refs are appended, the ends of the keys of what was read. */
    char tails[TIP_SIDES_MAX][TIP_TAIL + 1];
    size_t n_tails;
};

/* tip_read - the ref called name. 0, or -1 with *e: CORRUPT, ... */
int tip_read(
    struct bucket *b, const char *name, struct tip *out, struct err *e);

/*
 * tip_move - from what was read to the next
 * Returns 0; 1: somebody else was faster, nothing has changed: read again;
 *         or -1 with *e
 */
int tip_move(struct bucket *b, const char *name, const struct tip *seen,
    const struct tip_side *next, struct err *e);

/* What is left of a ref. */
struct tip_left {
    struct tip tip; /* what it was lately, the newest first; nothing of its
                       sides is proven, not even that they are digests. Number
                       and etag are for tip_move; number 0: not known */
    size_t top;     /* so many of its sides have the highest number */
    struct str damaged[TIP_SALVAGE_MAX]; /* of those: keys, in arena */
    size_t n_damaged;
};

/* tip_salvage - of one that is damaged: what it tells all the same. */
int tip_salvage(struct bucket *b, const char *name, struct arena *arena,
    struct tip_left *out, struct err *e);

/*
 * tip_names - all names there are, sorted, in arena
 * A store's lists may be late: what is missing here may be there.
 */
int tip_names(struct bucket *b, const char *below, struct arena *arena,
    struct str **out, uint64_t *n, struct err *e);

/*
 * tip_tidy - take away the moves that no longer count and are older than
 * before_s; nothing where one object is all there is
 * A younger move is no reason: its writer may be about to take it away again.
 */
int tip_tidy(
    struct bucket *b, const char *name, int64_t before_s, struct err *e);

/* tip_text, tip_parse - the object. -1 with *e: CORRUPT. */
int tip_text(struct buf *out, uint64_t number, const struct tip_side *side,
    struct err *e);
int tip_parse(
    struct str text, uint64_t *number, struct tip_side *out, struct err *e);

#endif
