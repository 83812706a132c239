/*
 * tip.h - which catalog a name of the bucket means now: a ref, and how it
 * moves from one to the next without losing anybody's.
 *
 *   refs/<name>/head                     stores with conditional writes:
 *                                        one object, compared and swapped
 *   refs/<name>/<20 digits>-...          stores without: one object for each
 *                                        move, never changed (lineage.h)
 *
 *   ml-ref 1
 *   number 7
 *   catalog <64 hex> 1234
 *   sum <SHA-256 of the lines above>
 *
 * Without conditions two writers may move on from the same. Then both count,
 * and a reader takes both together (catalog_join), until the next writer has
 * put that down.
 */
#ifndef BUCKET_TIP_H
#define BUCKET_TIP_H

#include "base/arena.h"
#include "bucket/bucket.h"
#include "bucket/lineage.h"

enum { TIP_SALVAGE_MAX = MOVE_OVER_MAX };

struct tip_side {
    struct digest catalog; /* its SHA-256 */
    uint64_t size;         /* bytes of it */
    int64_t written_s;     /* by the store's clock; tip_read's */
    char id[MOVE_ID + 1];  /* of the move; "" where refs are swapped */
};

struct tip {
    uint64_t number;        /* of moves, the highest; 0: there was none */
    struct tip_side *sides; /* in arena */
    size_t n; /* 1; 0: there is none; more: of writers that did not know of
                 each other, the oldest first */
    struct lineage *moves; /* in arena; NULL where refs are swapped */
    char etag[S3_ETAG_MAX];
};

/* tip_read - the ref called name. 0, or -1 with *e: CORRUPT, ... */
int tip_read(struct bucket *b, const char *name, struct arena *arena,
    struct tip *out, struct err *e);

/* tip_kin - what its sides know of. Only where they have moves. */
int tip_kin(const struct tip *t, struct kin *out, struct err *e);

/*
 * tip_origin - what the move from there to the next is called
 * out      in arena; NULL where refs are swapped
 * Returns  0, or -1 with *e: REFUSED (no number is left), NOMEM
 */
int tip_origin(struct bucket *b, const char *name, const struct tip *seen,
    struct arena *arena, const struct origin **out, struct err *e);

/*
 * tip_move - from what was read, of at most MOVE_OVER_MAX sides, to the next
 * next     its id is that of tip_origin
 * Returns  0: it counts from now on, until a move covers it that was made from
 *          it; 1: somebody else was faster, nothing has changed: read again;
 *          or -1 with *e
 */
int tip_move(struct bucket *b, const char *name, const struct tip *seen,
    struct tip_side *next, struct err *e);

/* tip_unsure - -1, and *e of a request that was broken off after the move was
 * sent says that it may have been done. */
int tip_unsure(struct err *e);

/*
 * tip_recent - the sides that count, or did since then
 * Only where refs are appended: else n is 0.
 */
int tip_recent(struct bucket *b, const char *name, int64_t since_s,
    struct arena *arena, struct tip_side **out, uint64_t *n, struct err *e);

/* tip_beside - does a move count that is neither of seen nor that one? */
int tip_beside(struct bucket *b, const char *name, const struct tip *seen,
    const char *id, bool *out, struct err *e);

/* What is left of a ref. */
struct tip_left {
    struct tip tip; /* what counts, and what did, the newest first; nothing of
                       its sides is proven, not even that they are digests.
                       Number and etag are for tip_move; number 0: not known */
    size_t top;     /* so many of its sides, the first, count */
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
 * tip_tidy - take away the moves that no longer count since before before_s
 * Nothing where one object is all there is.
 */
int tip_tidy(
    struct bucket *b, const char *name, int64_t before_s, struct err *e);

/* tip_text, tip_parse - the object. -1 with *e: CORRUPT. */
int tip_text(struct buf *out, uint64_t number, const struct tip_side *side,
    struct err *e);
int tip_parse(
    struct str text, uint64_t *number, struct tip_side *out, struct err *e);

#endif
