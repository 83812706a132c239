/*
 * turn.h - who may take things out of a bucket: gc, and verify that sets
 * aside, one at a time.
 *
 *   turn/head        stores with conditional writes: one object, swapped
 *   turn/<16 hex>    stores without: one of each who asks
 *
 *   ml-turn 1
 *   id <16 hex>
 *   state held       or "asking"; "free": given back
 *   what gc
 *   who ann@host
 *   since 1763712000
 *   for 900          seconds from when it was last written, then it is over
 *   times 3          that it was written: so no two texts, and ETags, are alike
 *
 * Times are the store's. A turn is no lock: who stands still for longer than
 * it lasts may go on to send what it was about to. So nobody relies on it
 * alone (sweep.h).
 */
#ifndef BUCKET_TURN_H
#define BUCKET_TURN_H

#include "bucket/bucket.h"

enum { TURN_S = 900, TURN_WORD_MAX = 256 };

struct turn {
    struct bucket *b; /* NULL: there is none */
    char id[17];
    char key[S3_KEY_MAX + 1];
    char etag[S3_ETAG_MAX];
    char what[TURN_WORD_MAX];
    char who[TURN_WORD_MAX];
    int64_t since_s;    /* by the store's clock */
    int64_t since_up;   /* the same moment, by this machine's */
    uint64_t times;     /* that it was written */
    int64_t written_up; /* when it was last made to last */
};

/*
 * turn_take - what: "gc", "verify"
 * now_s    by the store's clock (bucket_now)
 * Returns  0, or -1 with *e: BUSY (whose it is, and since when), ...
 */
int turn_take(struct turn *out, struct bucket *b, const char *what,
    int64_t now_s, struct err *e);

/* turn_renew - is it ours, and for as long again? -1 with *e: BUSY ... */
int turn_renew(struct turn *t, struct err *e);

/* turn_check - the same where it may be in doubt soon. */
int turn_check(struct turn *t, struct err *e);

void turn_end(struct turn *t); /* idempotent, for AUTO */

#endif
