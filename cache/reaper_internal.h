/* reaper_internal.h - what the files behind reaper.h share. */
#ifndef CACHE_REAPER_INTERNAL_H
#define CACHE_REAPER_INTERNAL_H

#include "cache/reaper.h"

/* reaper_is_volume - is it the put files of the volume? */
bool reaper_is_volume(const struct reaper *r);

/* reaper_look - what the names say now. */
int reaper_look(const struct reaper *r, struct census *out, struct arena *arena,
    struct err *e);

/* reaper_unlink - and the folder is synced; what is not there is fine. */
int reaper_unlink(const char *path, struct err *e);

/* reaper_home - where an object has its place. */
int reaper_home(
    const struct reaper *r, const struct digest *d, char *out, struct err *e);

/* reaper_put_back - from the trash to its place, unless that is filled. */
int reaper_put_back(
    const struct reaper *r, const struct digest *d, struct err *e);

/* reaper_put_needed_back - those of the trash that some name misses; trashed
 * is sorted by reaper_cmp_hex. */
int reaper_put_needed_back(const struct reaper *r, const struct digest *trashed,
    uint64_t n, struct err *e);
int reaper_cmp_hex(const void *key, const void *digest);

/* reaper_empty_trash - all of it; where locks lie, what is old enough. */
int reaper_empty_trash(const struct reaper *r, struct err *e);

/* reaper_in_use - -1, and *e says so. */
int reaper_in_use(const struct reaper *r, struct err *e);

#endif
