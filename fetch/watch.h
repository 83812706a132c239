/*
 * watch.h - a file that is read while it is still on its way: what of it is
 * in its partial, and where its readers are. Shared by one transfer, which
 * goes first where somebody reads, and any number of reading threads.
 *
 * Bytes are read before the file's digest is known. Some of the
 * last ones are held back until it is, and is right.
 */
#ifndef FETCH_WATCH_H
#define FETCH_WATCH_H

#include <pthread.h>

#include "fetch/partial.h"

struct http;

struct watch_reader {
    uint64_t at;                          /* it reads on from here, */
    uint64_t to;                          /* up to here */
    bool waits;                           /* for byte at */
    void (*wake)(struct watch_reader *r); /* it need not wait any more; under
                                             the lock: short, no calls back */
    void *arg;                            /* its own */
    unsigned round;                       /* whose bytes it has read; 0: none */
    struct watch_reader *next;
};

enum { WATCH_ROUNDS = 2 }; /* wrong once, it is fetched again */

struct watch {
    pthread_mutex_t lock;
    uint64_t size;
    uint64_t held_back;    /* bytes at its end */
    int fds[WATCH_ROUNDS]; /* of each round's file; stay open */
    unsigned round;        /* from 1 on; 0: nothing is there yet */
    struct ranges have;    /* of this round's file */
    bool whole;            /* somebody wants its end, so all must come */
    bool right;            /* all is there, and what it should be */
    bool wrong;            /* or is not: nothing of it is given out */
    bool closing;          /* nobody may join any more */
    bool over;             /* and so is the transfer; err says why, or NONE */
    struct err err;
    struct watch_reader *readers;
    uint64_t left_ms;          /* when the last one left, or needed a byte */
    uint64_t flushed_ms;       /* when bytes were last written early */
    struct http *http;         /* to be woken; NULL: none is at work */
    void (*misled)(void *arg); /* who has read of it may have wrong bytes:
                                  before they are told; or NULL */
    void *arg;                 /* its own */
};

/*
 * watch_init - nobody reads, nothing is there
 * held_back  so many bytes at the file's end are not to be had before its
 *            digest is right: who wants one of them wants the whole file
 */
void watch_init(struct watch *w, uint64_t size, uint64_t held_back);
void watch_free(struct watch *w); /* no reader, no transfer any more */

/* ---- for readers ---- */

/*
 * watch_join - r, with its at, to and wake, reads from now on
 * Returns false: too late, the transfer is about to end
 */
bool watch_join(struct watch *w, struct watch_reader *r);

/* watch_leave - on return r is not being woken. */
void watch_leave(struct watch *w, struct watch_reader *r);

/*
 * watch_look - how many bytes can be read at byte at, out of *fd
 * Returns that; 0: none yet; -1 with *e: there will be none, or what r has
 *         read was not what it should have been
 */
int64_t watch_look(struct watch *w, struct watch_reader *r, uint64_t at,
    int *fd, struct err *e);

/* watch_wait - r->wake when watch_look has an answer for at, perhaps now. */
void watch_wait(struct watch *w, struct watch_reader *r, uint64_t at);

/* watch_unwait - on return r is not being woken. */
void watch_unwait(struct watch *w, struct watch_reader *r);

/* watch_doubtful - were bytes of it given out that are wrong, perhaps? */
bool watch_doubtful(struct watch *w);

/* watch_sum - how many bytes there are. */
uint64_t watch_sum(struct watch *w);

/* ---- for the transfer; without a watch most of it does nothing ---- */

/* watch_begin - a file is open, with what it has; another one: a new round. */
int watch_begin(struct watch *w, struct partial *p, struct err *e);

/* watch_found - no transfer is needed: fd, which is kept, has it all. */
void watch_found(struct watch *w, int fd);

/* watch_drive - http is woken when a reader waits; NULL: not any more. */
void watch_drive(struct watch *w, struct http *http);

/* watch_came - these bytes can be read from the file. */
void watch_came(struct watch *w, uint64_t from, uint64_t to);

/* watch_whole - are all bytes wanted, or only parts, so far? NULL: all. */
bool watch_whole(struct watch *w);

/* watch_right - the digest is. */
void watch_right(struct watch *w);

/* watch_doubt - it is not: before anybody is told. NULL: nobody watches. */
void watch_doubt(struct watch *w);

/* watch_wrong - who has read of it, in this round, is told. NULL: nobody. */
void watch_wrong(struct watch *w);

/* watch_end - it is over; e is of kind NONE when all is well. */
void watch_end(struct watch *w, const struct err *e);

/*
 * watch_next - where in [*from, *to) to fetch first
 * reach    how far away from its reader that is; 0: one stands there
 * Returns  false: nobody needs any of it
 */
bool watch_next(struct watch *w, uint64_t *from, uint64_t *to, uint64_t *reach);

/*
 * watch_hungry - does one wait for a byte of [from, to), which is in memory
 * only? True not more often than every WATCH_FLUSH_MS.
 */
enum { WATCH_FLUSH_MS = 20 };
bool watch_hungry(struct watch *w, uint64_t from, uint64_t to, uint64_t now_ms);

/*
 * watch_spent - for linger_ms there was no reader who lacks a byte, and none
 * wants the whole: from now on nobody can join; who still reads has it all
 */
bool watch_spent(struct watch *w, uint64_t now_ms, uint64_t linger_ms);

/* watch_stop - the same, at once, whoever reads. Any thread. */
void watch_stop(struct watch *w);
bool watch_stopped(struct watch *w);

#endif
