/*
 * shelf.h - volumes as a whole: those that have a name, and one that goes.
 */
#ifndef CACHE_SHELF_H
#define CACHE_SHELF_H

#include "cache/volume.h"

struct shelved {
    struct volume volume;
    struct str name; /* below MLFETCH_VOLUMES, or the path */
    uint64_t files;  /* put */
    uint64_t bytes;  /* of them, each name counted */
    uint64_t repositories;
};

/* shelf_look - what is in one. 0, or -1 with *e: MISSING, IO */
int shelf_look(const struct volume *v, struct shelved *out, struct arena *arena,
    struct err *e);

/*
 * shelf_list - every volume below MLFETCH_VOLUMES, sorted by name
 * One that cannot be read is left out with a warning.
 */
int shelf_list(
    struct shelved **out, uint64_t *n, struct arena *arena, struct err *e);

/*
 * shelf_check - may it be removed? A volume, and nothing in it that is not a
 * volume's
 * Returns 0, or -1 with *e: MISSING, REFUSED, UNSUPPORTED, IO
 */
int shelf_check(const struct volume *v, struct err *e);

/*
 * shelf_remove - the volume, and all that is in it
 * It goes in one rename, to a name beside it; then its bytes.
 * Returns 0, or -1 with *e: as shelf_check, BUSY (somebody is at work on it),
 *         and REFUSED (a revision in it is pinned)
 */
int shelf_remove(const struct volume *v, struct arena *arena, struct err *e);

#endif
