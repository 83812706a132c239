/* intake_internal.h - what intake.c and its threads share. */
#ifndef FETCH_INTAKE_INTERNAL_H
#define FETCH_INTAKE_INTERNAL_H

#include <pthread.h>

#include "fetch/intake.h"

enum role { WRITER, HASHER, READER, SCRIBE, ROLES };

struct intake {
    struct intake_opts opts;
    pthread_t threads[ROLES];
    unsigned n_threads;
    pthread_mutex_t lock;
    pthread_cond_t work[ROLES]; /* there may be something to do */
    pthread_cond_t idle;        /* a sink is less busy */
    bool stop;
    bool starved; /* the owner waits for a block */
    bool hungry;  /* the reader does */
    bool behind;  /* there was none, as the hasher has too much to do */
    struct slab slab;
    struct block *queue; /* to be written, in order of arrival */
    struct block **queue_end;
    size_t in_hand;   /* blocks that lanes fill */
    size_t unwritten; /* blocks in the queue, or being written */
    struct sink *sinks;
};

/*
 * The rest is called with the lock held.
 */

/* intake_work - a role's thread: until it is told to stop. */
void intake_work(struct intake *in, enum role role);

/* intake_take - a block for a lane; NULL: none now. */
struct block *intake_take(struct intake *in);

/* intake_submit - a lane's block is full. */
void intake_submit(struct sink *s, struct block *b);

/* intake_release - who held the block does not need it any more. */
void intake_release(struct intake *in, struct block *b);

#endif
