/*
 * claim.h - what a writer counts on, said before it looks what is there: gc
 * leaves it alone until the name that leads to it is written.
 *
 *   leases/<16 hex>
 *
 *   ml-lease 1
 *   who ann@host
 *   <64 hex>          each content it will name
 *
 * A claim counts for a week by the store's clock: a writer may have been
 * killed.
 */
#ifndef BUCKET_CLAIM_H
#define BUCKET_CLAIM_H

#include "base/arena.h"
#include "bucket/bucket.h"

enum { CLAIM_DAYS = 7, CLAIM_TEXT_MAX = 1 << 30 };

struct claim {
    struct bucket *b;
    char key[S3_KEY_MAX + 1]; /* "": none was made */
    struct buf text;
};

#define CLAIM_INIT                                                             \
    {                                                                          \
        .text = BUF_INIT(CLAIM_TEXT_MAX)                                       \
    }

/* claim_add - these, too, from when it returns on. */
int claim_add(struct claim *c, struct bucket *b, const struct digest *const *v,
    uint64_t n, struct err *e);

/* claim_drop - the names are written, or it was given up; for AUTO. */
void claim_drop(struct claim *c);

/*
 * claim_all - what all claims name, each called once; those that no longer
 * count are taken away
 * now_s    by the store's clock
 */
int claim_all(struct bucket *b, int64_t now_s,
    int (*found)(void *arg, const struct digest *sha256, struct err *e),
    void *arg, struct err *e);

#endif
