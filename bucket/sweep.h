/*
 * sweep.h - free what no ref of a bucket leads to, while others write.
 *
 * Older than the time of grace, by the store's clock; named by no catalog
 * that counts, or did within that time; in no claim. It is moved to a trash of
 * this run first; then refs and claims are read once more: whoever found it
 * there before it went has said so by then, and it is put back. Only then is
 * that trash deleted. A kill leaves trash that the next one looks at the same
 * way; it goes after a day.
 *
 * It takes a turn (turn.h). Where that is over before the end, or something
 * fails, or it is interrupted, nothing more is removed; what was moved and is
 * needed is put back all the same, and all that was moved where it can no
 * longer be told what is needed. An object that cannot be moved stays, and is
 * told.
 */
#ifndef BUCKET_SWEEP_H
#define BUCKET_SWEEP_H

#include "base/arena.h"
#include "bucket/bucket.h"

enum swept_kind { SWEPT_OBJECT, SWEPT_LEFTOVER, SWEPT_QUARANTINE };

struct swept {
    enum swept_kind kind;
    struct str name; /* the key, behind the prefix */
    uint64_t bytes;
};

struct sweep {
    struct bucket *b;
    int64_t grace_s;
    bool quarantine; /* what verify set aside, too */
    bool dry_run;
    struct arena *arena;

    struct swept *v; /* what went, or would */
    uint64_t n, room;
    uint64_t bytes;      /* of it */
    uint64_t left_bytes; /* of content that stays */
};

/* sweep_run - 0, or -1 with *e: CORRUPT (a ref is damaged: nothing is removed,
 * as nobody knows what it needs), BUSY (another's turn), ... */
int sweep_run(struct sweep *s, struct err *e);

#endif
