/*
 * head.h - which catalog a name of the bucket means now: a ref, and how it
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
#ifndef BUCKET_HEAD_H
#define BUCKET_HEAD_H

#include "base/arena.h"
#include "bucket/bucket.h"

enum { HEAD_SIDES_MAX = 16 };

struct head_side {
    struct digest catalog; /* its SHA-256 */
    uint64_t size;         /* bytes of it */
    int64_t written_s;     /* by the store's clock; head_read's */
};

struct head {
    uint64_t number; /* of moves; 0: there was none */
    struct head_side sides[HEAD_SIDES_MAX];
    size_t n; /* 1; 0: there is none; more: written at the same time,
                 the oldest first */
    char etag[S3_ETAG_MAX];
};

/* head_read - the ref called name. 0, or -1 with *e: CORRUPT, ... */
int head_read(
    struct bucket *b, const char *name, struct head *out, struct err *e);

/*
 * head_move - from what was read to the next
 * Returns 0; 1: somebody else was faster, nothing has changed: read again;
 *         or -1 with *e
 */
int head_move(struct bucket *b, const char *name, const struct head *seen,
    const struct head_side *next, struct err *e);

/*
 * head_names - all names there are, sorted, in arena
 * A store's lists may be late: what is missing here may be there.
 */
int head_names(struct bucket *b, const char *below, struct arena *arena,
    struct str **out, uint64_t *n, struct err *e);

/* head_tidy - take away the moves that no longer count and are older than
 * before_s; nothing where one object is all there is. */
int head_tidy(
    struct bucket *b, const char *name, int64_t before_s, struct err *e);

/* head_text, head_parse - the object. -1 with *e: CORRUPT. */
int head_text(struct buf *out, uint64_t number, const struct head_side *side,
    struct err *e);
int head_parse(
    struct str text, uint64_t *number, struct head_side *out, struct err *e);

#endif
