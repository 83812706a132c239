/*
 * holdings.h - what is held, counted from time to time on a thread of its own:
 * to count it takes as long as there are files. For who only looks.
 */
#ifndef SERVE_HOLDINGS_H
#define SERVE_HOLDINGS_H

#include "cache/inventory.h"

struct holdings;

struct holdings *holdings_open(const struct hubdir *h, struct err *e);
void holdings_close(struct holdings *h); /* NULL is fine */

/* What was there when it was counted last. */
struct held {
    const struct held_repo *repos; /* valid until holdings_done */
    uint64_t n;
    uint64_t bytes;
    int64_t when; /* seconds since 1970; 0: not yet */
};

/*
 * holdings_look - the last count; and, if that is old, let it be counted anew
 * holdings_done - after each look
 */
void holdings_look(struct holdings *h, struct held *out);
void holdings_done(struct holdings *h);

#endif
