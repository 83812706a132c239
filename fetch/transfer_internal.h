/*
 * transfer_internal.h - the loop's state, which its two files share
 *
 * transfer.c turns, judges and completes; transfer_feed.c finds work for the
 * lanes that have none.
 */
#ifndef FETCH_TRANSFER_INTERNAL_H
#define FETCH_TRANSFER_INTERNAL_H

#include "fetch/batch.h"
#include "fetch/lane.h"
#include "fetch/spare.h"
#include "fetch/transfer.h"
#include "fetch/tuner.h"

struct transfer {
    const struct transfer_opts *opts;
    const struct plan *plan;
    struct http *http;
    struct intake *intake;
    size_t next; /* file of the plan whose turn is next */
    struct download **active;
    size_t n_active;
    size_t max_active;
    struct batch batch;
    struct lane *lanes; /* jobs of them */
    unsigned jobs;
    unsigned busy; /* lanes at work */
    unsigned peak; /* as many were, so that so many connections are there */
    struct tuner tuner;
    bool measured; /* how far away the server is */
    bool dials;    /* a lane is on its way there */
    bool modest;   /* the hasher goes first */
    struct spare spare;
    bool has_spare;
    struct pace pace;
    struct retry retry;
    uint64_t hub_hold_ms; /* the Hub asked for silence until then */
    uint64_t ask_ms;      /* another process has the next file's lock */
    uint64_t bytes;       /* of attempts that are over */
    uint64_t brought;     /* of all attempts */
};

/*
 * transfer_feed - as many lanes at work as are wanted
 * One that ends within a round trip does not count: its successor's request
 * is on its way meanwhile. 0, or -1 with *e.
 */
int transfer_feed(struct transfer *t, struct err *e);

#endif
