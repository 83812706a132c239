/*
 * upstream.h - the supplier that fetches what is not held from a provider:
 * what he said is remembered, so that a revision is asked for once, and so is
 * that he cannot be reached, so that nobody waits for him again and again.
 *
 * He is asked with the mirror's own token or keys, never with a client's.
 */
#ifndef SERVE_UPSTREAM_H
#define SERVE_UPSTREAM_H

#include "serve/provider.h"
#include "serve/supply.h"

struct upstream_opts {
    const struct provider *from; /* both must outlive it */
    const struct hubdir *dir;
    unsigned fetches; /* files at the same time; 0: what is good */
};

struct upstream;

/* upstream_open - nobody is asked yet. NULL with *e: NOMEM, IO */
struct upstream *upstream_open(const struct upstream_opts *opts, struct err *e);

/* upstream_close - what is under way is kept for later. All feeds are closed
 * before. NULL is fine. */
void upstream_close(struct upstream *u);

const struct supplier *upstream_supplier(const struct upstream *u);

#endif
