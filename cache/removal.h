/*
 * removal.h - what mlcache rm does: counted before it is done, and done by
 * reaper.h.
 */
#ifndef CACHE_REMOVAL_H
#define CACHE_REMOVAL_H

#include "cache/census.h"

/* One thing to be removed. */
struct removal {
    const struct repo *repo; /* NULL: a put file */
    struct str commit;       /* of a revision; "" */
    struct str name;         /* of a put file; "" */
    bool whole;              /* the repository, with all that is in it */
    uint64_t files;          /* names that go */
    uint64_t freed;          /* bytes that no name that stays needs */
    uint64_t shared;         /* bytes of theirs that stay */
    bool done;
};

/*
 * removal_plan - what the targets mean, in order; each thing once
 * What a removal frees is said as if those before it were done.
 * Returns 0, or -1 with *e: REFUSED (pinned), IO, NOMEM
 */
int removal_plan(const struct place *p, const struct target *targets, size_t n,
    struct removal **out, uint64_t *out_n, struct arena *arena, struct err *e);

/*
 * removal_run - do it; those that were done are marked
 * Returns 0, or -1 with *e: BUSY (somebody is at work there), IO
 */
int removal_run(
    const struct place *p, struct removal *v, uint64_t n, struct err *e);

/* removal_evict - a revision, by who has taken its repository: of removal_run
 * and gc. The blobs that only it needed go with it. */
struct reaper;
int removal_evict(
    struct reaper *r, const char *commit, uint64_t *out_bytes, struct err *e);

#endif
