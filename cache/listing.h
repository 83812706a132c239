/* listing.h - files, one by one, to a struct tree: checked and sorted. */
#ifndef CACHE_LISTING_H
#define CACHE_LISTING_H

#include "cache/hubdir.h"

enum { LISTING_FILES_MAX = 4 << 20 };

struct listing {
    struct tree_file *v;
    size_t n;
    size_t cap;
};

#define LISTING_INIT                                                           \
    {                                                                          \
        .v = NULL                                                              \
    }

void listing_free(struct listing *l); /* idempotent */

/* listing_put - one file whose path was checked. 0, or -1: REFUSED, NOMEM. */
int listing_put(struct listing *l, const struct tree_file *f, struct err *e);

/*
 * listing_end - sort, and refuse what no folder can hold: a path that stands
 * twice, or that is a file and a folder
 */
int listing_end(
    struct listing *l, struct arena *arena, struct tree *out, struct err *e);

#endif
