/*
 * intent.h - what a writer counts on, said before it looks what is there: gc
 * leaves it alone until the name that leads to it is written.
 *
 *   leases/<16 hex>
 *
 *   ml-lease 2
 *   who ann@host
 *   <64 hex>          each content it will name, and each catalog
 *   sum <SHA-256 of the lines above>
 *
 * Such a claim counts for a week by the store's clock from when it was last
 * written: a writer may have been killed. "ml-lease 1" has no sum.
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
 * intent_all - what all claims name, each called once
 * now_s    by the store's clock
 * tidy     those that no longer count are taken away
 * Returns  0, or -1 with *e: CORRUPT (one is damaged: nobody knows what its
 *          writer counts on), ...
 */
int intent_all(struct bucket *b, int64_t now_s, bool tidy,
    int (*found)(void *arg, const struct digest *sha256, struct err *e),
    void *arg, struct err *e);

#endif
