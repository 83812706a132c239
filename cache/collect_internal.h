/* collect_internal.h - what the files behind collect.h share. */
#ifndef CACHE_COLLECT_INTERNAL_H
#define CACHE_COLLECT_INTERNAL_H

#include "cache/collect.h"
#include "cache/reaper.h"

/* collect_note - one thing that went, or would go. */
int collect_note(struct collect *c, enum collected_kind kind,
    const struct repo *repo, struct str name, uint64_t bytes, struct err *e);

/* collect_old - of a path: nobody changed it for the time of grace. */
bool collect_old(const struct collect *c, const char *path);

/* collect_leftovers - of a repository: everything but its objects. */
int collect_leftovers(
    struct collect *c, const struct repo *repo, struct err *e);

/* collect_volume_leftovers - the same of a volume's own, and of .locks/. */
int collect_place_leftovers(struct collect *c, struct err *e);

#endif
