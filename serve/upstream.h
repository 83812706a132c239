/*
 * upstream.h - the supplier that fetches what is not held from another Hub, or
 * mirror: what it said is remembered, so that a revision is asked for once,
 * and so is that it cannot be reached, so that nobody waits for it again and
 * again.
 *
 * It is asked with the mirror's own token, never with a client's.
 */
#ifndef SERVE_UPSTREAM_H
#define SERVE_UPSTREAM_H

#include "serve/supply.h"

struct upstream_opts {
    const char *url;
    const struct hubdir *dir; /* must outlive it */
    unsigned fetches;         /* files at the same time; 0: what is good */
};

struct upstream;

/* upstream_open - nobody is asked yet. NULL with *e: USAGE (url), NOMEM, IO */
struct upstream *upstream_open(const struct upstream_opts *opts, struct err *e);

/* upstream_close - what is under way is kept for later. All feeds are closed
 * before. NULL is fine. */
void upstream_close(struct upstream *u);

const struct supplier *upstream_supplier(const struct upstream *u);

#endif
