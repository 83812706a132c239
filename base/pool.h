/*
 * pool.h - a fixed team of threads that does one piece of work at a time.
 *
 * pool_run() hands out items 0..n-1 to the workers and the caller, and
 * returns when all are done. Items cannot fail: one that may stores its
 * struct err in its own state. The result must not depend on which thread
 * did which item. One caller at a time.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/err.h"

struct pool;

/*
 * pool_open - a team of n threads, the caller counted; 0 means one per core
 * Returns NULL with *e: NOMEM, IO.
 */
struct pool *pool_open(unsigned n, struct err *e);

/* pool_close - idempotent on NULL. */
void pool_close(struct pool *p);
void pool_close_auto(struct pool **p); /* for AUTO */

unsigned pool_size(const struct pool *p);

/* pool_run - fn(ctx, i) for every i < n, each once, in any order. */
void pool_run(
    struct pool *p, size_t n, void (*fn)(void *ctx, size_t i), void *ctx);

/* pool_cores - cores this process may use. */
unsigned pool_cores(void);

#endif
