/*
 * spare.h - could this process take in more than comes?
 *
 * Where its thread of the network is at work all the time, or the process
 * has half of the machine already, what comes is what can be taken: another
 * connection would bring more work, and no more bytes.
 */
#ifndef FETCH_SPARE_H
#define FETCH_SPARE_H

#include "base/sys.h"

struct spare {
    uint64_t process_ns; /* at work until the last look, on all cores */
    uint64_t thread_ns;  /* the calling thread */
    uint64_t at_ns;
};

/* spare_between - could it, from one look to the next, with so many cores? */
bool spare_between(
    const struct spare *was, const struct spare *now, unsigned cores);

/* spare_look - could it since the last look? By one thread; true at first. */
bool spare_look(struct spare *s);

#endif
