/* look.h - what mlcache's listing commands look at: a hub cache or a volume. */
#ifndef CACHE_LOOK_H
#define CACHE_LOOK_H

#include "cache/inventory.h"
#include "cache/volume.h"

struct look {
    char root[PATH_MAX]; /* the hub cache, or the volume */
    struct held_repo *repos;
    uint64_t n_repos;
    struct volume_entry *files; /* put files; none in a hub cache */
    uint64_t n_files;
    uint64_t stored_bytes;    /* what the put files take, each content once */
    uint64_t converted_bytes; /* and what was made of them */
    uint64_t aside_bytes;     /* what verify moved aside of them */
    uint64_t trash_bytes;     /* what was removed of them, not yet freed */
};

enum {
    LOOK_FILES = 1, /* the put files */
    LOOK_SIZES = 2  /* what they, and what was made of them, take */
};

/* look - volume NULL: the hub cache. All of *out is in arena. Of a volume's
 * own only what the flags ask for is looked at: there may be a lot. */
int look(const char *volume, unsigned flags, struct look *out,
    struct arena *arena, struct err *e);

/* look_name - "org/name", "datasets/org/name", "spaces/org/name". */
const char *look_name(const struct repo *r, char out[192]);

#endif
