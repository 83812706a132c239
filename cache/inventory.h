/*
 * inventory.h - what a hub cache holds: repositories, their revisions,
 * unfinished downloads and conversions, with sizes. Read only.
 */
#ifndef CACHE_INVENTORY_H
#define CACHE_INVENTORY_H

#include "cache/hubdir.h"

struct held_revision {
    struct str commit;
    struct str *refs; /* branches and tags that name it, sorted */
    uint64_t n_refs;
    uint64_t files;   /* entries of its snapshot that lead to a file */
    uint64_t missing; /* entries that lead nowhere */
    uint64_t bytes;   /* of those files */
    bool pinned;
};

struct held_repo {
    struct repo repo;
    struct held_revision *revisions; /* sorted by commit */
    uint64_t n_revisions;
    uint64_t bytes;         /* each content counted once */
    uint64_t partial_files; /* unfinished downloads */
    uint64_t partial_bytes; /* and what they take on disk */
    uint64_t conversions;
    uint64_t conversion_bytes;
    uint64_t aside_files; /* found wrong, in quarantine */
    uint64_t aside_bytes;
    uint64_t trash_bytes; /* removed, and not yet freed */
};

/*
 * inventory - everything held, sorted by repository
 * One that cannot be read is left out with a warning: a cache may be shared.
 * Returns 0 with *out_n repositories in *out, in arena; -1 with *e.
 */
int inventory(const struct hubdir *h, struct arena *arena,
    struct held_repo **out, uint64_t *out_n, struct err *e);

#endif
