/*
 * intent.h - what a writer counts on, said before it looks what is there: gc
 * leaves it alone until the name that leads to it is written.
 *
 *   leases/<16 hex>
 *
 *   ml-lease 1
 *   who ann@host
 *   <64 hex>          each content it will name, and each catalog
 *
 * Such a claim counts for a week by the store's clock: a writer may have been
 * killed.
 */
#ifndef BUCKET_INTENT_H
#define BUCKET_INTENT_H

#include "base/arena.h"
#include "bucket/bucket.h"

enum { INTENT_DAYS = 7, INTENT_TEXT_MAX = 1 << 30 };

struct intent {
    struct bucket *b;
    char key[S3_KEY_MAX + 1]; /* "": none was made */
    struct buf text;
};

#define INTENT_INIT                                                            \
    {                                                                          \
        .text = BUF_INIT(INTENT_TEXT_MAX)                                      \
    }

/* intent_add - these, too, from when it returns on. */
int intent_add(struct intent *c, struct bucket *b,
    const struct digest *const *v, uint64_t n, struct err *e);

/* intent_drop - the names are written, or it was given up; for AUTO. */
void intent_drop(struct intent *c);

/*
 * intent_all - what all claims name, each called once; those that no longer
 * count are taken away
 * now_s    by the store's clock
 */
int intent_all(struct bucket *b, int64_t now_s,
    int (*found)(void *arg, const struct digest *sha256, struct err *e),
    void *arg, struct err *e);

#endif
