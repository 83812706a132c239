/*
 * collect.h - what mlcache gc does: objects that no name leads to, what killed
 * runs left, and, where a size is not to be passed, the revisions that were
 * used longest ago. Never what a ref, a pin, a running program or a put name
 * holds.
 */
#ifndef CACHE_COLLECT_H
#define CACHE_COLLECT_H

#include "cache/place.h"

enum collected_kind {
    COLLECTED_OBJECT,     /* no name leads to it */
    COLLECTED_LEFTOVER,   /* of a run that was killed */
    COLLECTED_PARTIAL,    /* an unfinished download */
    COLLECTED_QUARANTINE, /* found wrong by verify */
    COLLECTED_REVISION    /* not used for the longest time */
};

struct collected {
    enum collected_kind kind;
    struct str repo; /* as it is shown; "" for a volume's own */
    struct str name; /* an object's digest, a commit, a path in its folder */
    uint64_t bytes;
};

struct collect {
    /* Asked. */
    const struct place *place;
    uint64_t grace_s;  /* younger things stay; REAPER_GRACE_S is usual */
    uint64_t max_size; /* bytes; 0: no limit */
    bool partial;      /* unfinished downloads, too */
    bool quarantine;   /* what verify moved aside, too */
    bool dry_run;

    /* Answered. */
    struct collected *v;
    uint64_t n;
    uint64_t bytes;      /* of them all */
    uint64_t left_bytes; /* that remain in the place */
    uint64_t busy;       /* repositories left alone: somebody is at work */
    uint64_t kept_partial_bytes; /* that --partial would free */

    struct arena *arena;
    uint64_t cap;
};

/*
 * collect_run - do it, or say what would be done
 * A repository that somebody is at work on is passed by.
 * Returns 0, or -1 with *e: IO, NOMEM, CANCELLED
 */
int collect_run(struct collect *c, struct err *e);

#endif
