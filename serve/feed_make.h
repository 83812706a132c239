/* feed_make.h - a feed of its own for each who reads what flows (flow.h). */
#ifndef SERVE_FEED_MAKE_H
#define SERVE_FEED_MAKE_H

#include "serve/flow.h"

/*
 * feed_make - of bytes [from, to) of a file, fetched if need be
 * Returns NULL with *lack and *e: LIMIT, FAULT
 */
struct feed *feed_make(struct flows *all, const struct edition *ed,
    const struct tree_file *file, uint64_t from, uint64_t to, enum lack *lack,
    struct err *e);

#endif
