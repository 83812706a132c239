/*
 * pull.h - bring the files of a repository into a hub cache: the whole
 * operation, from the revision to the ref that is written last.
 */
#ifndef FETCH_PULL_H
#define FETCH_PULL_H

#include "base/arena.h"
#include "base/progress.h"
#include "fetch/hub.h"
#include "fetch/plan.h"

struct pull {
    /* Asked. */
    struct repo repo;
    const char *const *include; /* patterns; none: all files */
    size_t n_include;
    const char *const *exclude;
    size_t n_exclude;
    unsigned jobs;
    bool offline;
    bool force;   /* fetch again what is held */
    bool dry_run; /* make the plan, change nothing */
    enum progress_mode progress;

    /* Answered. */
    char commit[41];
    char path[PATH_MAX]; /* the snapshot's folder */
    struct tree tree;
    struct plan plan;       /* of the chosen files */
    uint64_t fetched_bytes; /* that the network brought */
    uint64_t requests;

    struct arena arena;
};

/* Memory for the largest listing that is believed. */
#define PULL_INIT                                                              \
    {                                                                          \
        .jobs = 4, .arena = ARENA_INIT((uint64_t)4 << 30)                      \
    }

void pull_free(struct pull *p); /* idempotent */

/*
 * pull_run - do it
 * No request is made when the revision is a commit whose chosen files are
 * all held, and none at all when offline.
 * Returns 0, or -1 with *e: MISSING (also: no file matches), AUTH, NET (also:
 *         offline and not held), CORRUPT, NOSPACE (before the first byte),
 *         REFUSED (unsafe names: before anything is written), CANCELLED, IO
 */
int pull_run(
    struct pull *p, const struct hubdir *dir, struct hub *hub, struct err *e);

/* pull_offline - HF_HUB_OFFLINE, or else TRANSFORMERS_OFFLINE, says so. */
bool pull_offline(void);

#endif
