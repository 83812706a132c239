/*
 * errand.h - work that may wait for a disk or for another machine, done on a
 * few threads, so that those which serve never wait. The next is of him who has
 * the fewest under way, and of those the oldest: a crowd of one's errands does
 * not stand before another one's.
 */
#ifndef SERVE_ERRAND_H
#define SERVE_ERRAND_H

#include "base/err.h"

enum { ERRAND_WHOSE_MAX = 64 };

struct errand {
    void (*run)(struct errand *r); /* may free it */
    char whose[ERRAND_WHOSE_MAX];
    struct errand *next;
};

struct errands;

struct errands *errands_open(unsigned threads, struct err *e);

/* errands_add - it will be run, unless errands_close comes first. */
void errands_add(struct errands *all, struct errand *r);

/*
 * errands_close - none is begun any more; waits for those that run
 * Returns those that were not, to be let go of by who added them.
 */
struct errand *errands_close(struct errands *all);

#endif
