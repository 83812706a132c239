/*
 * window.h - the blocks of one file that are in memory and not yet in its
 * digest, in file order. Pure: it owns no block and takes no lock.
 *
 * They never overlap: every byte of a file arrives once.
 */
#ifndef FETCH_WINDOW_H
#define FETCH_WINDOW_H

#include "fetch/slab.h"

struct window {
    struct block **v; /* by from */
    size_t n;
    size_t cap;
};

#define WINDOW_INIT                                                            \
    {                                                                          \
        .v = NULL                                                              \
    }

void window_free(struct window *w); /* idempotent */

/* window_add - a block came in. 0, or -1 with *e: NOMEM. */
int window_add(struct window *w, struct block *b, struct err *e);

/* window_pop - take out the block that begins at byte at; NULL: not there. */
struct block *window_pop(struct window *w, uint64_t at);

/* window_run - how far the blocks reach without a gap from byte at on. */
uint64_t window_run(const struct window *w, uint64_t at);

/* window_next - where the first block behind byte at begins, or limit. */
uint64_t window_next(const struct window *w, uint64_t at, uint64_t limit);

/*
 * window_evict - take out the last block that is on disk already, if it lies
 * behind byte from; NULL when there is none
 */
struct block *window_evict(struct window *w, uint64_t from);

/* window_spares - would it find one? */
bool window_spares(const struct window *w, uint64_t from);

#endif
