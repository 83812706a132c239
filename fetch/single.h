/*
 * single.h - one file of a commit whose listing is known, into a hub cache,
 * while others read it: what a pull does for a whole repository.
 */
#ifndef FETCH_SINGLE_H
#define FETCH_SINGLE_H

#include "fetch/download.h"

struct single {
    const struct hubdir *dir;
    const struct repo *repo;
    const char *commit; /* its listing is kept there already */
    const struct tree_file *file;
    unsigned jobs;           /* connections at most; 0: what is good */
    uint64_t first_s;        /* transfer_opts */
    size_t blocks;           /* of memory (slab.h); 0: what is good */
    struct watch *watch;     /* told of the end, too, and of why */
    struct locator *locator; /* transfer_opts */
};

/*
 * single_fetch - the blob, then its entry
 * What came is kept, whatever ends it, and gone on with by the next one.
 * Returns  0, or -1 with *e: as transfer_run; CANCELLED also when it was read
 *          in part only and nobody reads it any more
 */
int single_fetch(const struct single *s, struct hub *hub, struct err *e);

#endif
