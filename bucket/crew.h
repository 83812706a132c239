/*
 * crew.h - work on a bucket by several threads, each with a client of its own;
 * the first failure ends it.
 */
#ifndef BUCKET_CREW_H
#define BUCKET_CREW_H

#include "base/pool.h"
#include "bucket/bucket.h"

/*
 * crew_run - work(arg, i, ...) for every i < n, each once, in any order
 * b     NULL: nobody is asked, and work gets no client
 * pool  of BUCKET_JOBS threads at most; NULL: by the caller alone
 * Returns 0, or -1 with *e: the first failure; what had not begun by then is
 *         left
 */
int crew_run(struct bucket *b, struct pool *pool, size_t n,
    int (*work)(void *arg, size_t i, struct s3 *s, struct err *e), void *arg,
    struct err *e);

#endif
