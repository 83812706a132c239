/*
 * listing.h - the tree API's pages to a struct tree: parsed, checked, sorted.
 * Pure: no network. Source: hub protocol, section 2.2.
 */
#ifndef FETCH_LISTING_H
#define FETCH_LISTING_H

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

/*
 * listing_add - one page of the tree API; folders are left out
 * Returns 0, or -1 with *e: REFUSED (malformed, an unsafe path), NOMEM.
 * Paths are copied into arena.
 */
int listing_add(
    struct listing *l, struct str page, struct arena *arena, struct err *e);

/* listing_put - one file whose path was checked. 0, or -1: REFUSED, NOMEM. */
int listing_put(struct listing *l, const struct tree_file *f, struct err *e);

/*
 * listing_end - sort, and refuse what no folder can hold: a path that stands
 * twice, or that is a file and a folder
 */
int listing_end(
    struct listing *l, struct arena *arena, struct tree *out, struct err *e);

#endif
