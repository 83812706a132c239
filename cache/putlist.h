/*
 * putlist.h - which files a put means, and what they will be called.
 *
 * A folder means every regular file below it. A symbolic link in it counts
 * when it leads to a regular file inside the same folder; any other link,
 * and anything that is no file, is refused by name: a put never takes what
 * was not seen. A folder that the volume itself is in is refused too.
 */
#ifndef CACHE_PUTLIST_H
#define CACHE_PUTLIST_H

#include "cache/volume.h"

struct putlist_item {
    const char *file; /* a path */
    const char *name; /* in the volume, checked by path_check */
    uint64_t size;    /* bytes */
};

/*
 * putlist_make - the items of one put
 * v        where they are to go; it need not be there yet. NULL: to no folder
 * name     what source is to be called; "x/" means "into x", under its own
 *          name; NULL: its own name
 * Returns  0 with *out_n > 0 items sorted by name, in arena, *out_total
 *          bytes; or -1 with *e: MISSING, REFUSED, IO
 */
int putlist_make(const struct volume *v, const char *source, const char *name,
    struct arena *arena, struct putlist_item **out, uint64_t *out_n,
    uint64_t *out_total, struct err *e);

struct putlist_done {
    struct volume_entry *entries; /* n of them */
    bool *copied;                 /* n: the volume did not have the bytes */
    uint64_t step;                /* of the log; 0: nothing has changed */
};

/*
 * putlist_run - put them all, as one step of the log, or none
 * force    replace what has other content
 * Returns  0, or -1 with *e as volume_store; also USAGE (a name has other
 *          content; not with force), REFUSED (a name cannot be one), BUSY (a
 *          name has been given another meaning meanwhile). Space for all of
 *          them is asked for before the first.
 */
int putlist_run(const struct volume *v, const struct putlist_item *items,
    uint64_t n, bool force, struct progress *progress, struct putlist_done *out,
    struct arena *arena, struct err *e);

#endif
