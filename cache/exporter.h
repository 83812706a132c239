/*
 * exporter.h - what mlcache export does: revisions of a hub cache and files of
 * a volume into one archive (archive.h), each byte checked on the way.
 */
#ifndef CACHE_EXPORTER_H
#define CACHE_EXPORTER_H

#include "base/progress.h"
#include "cache/archive.h"
#include "cache/lease.h"
#include "cache/place.h"

struct exporter {
    /* Asked. */
    const struct place *place;
    const struct target *targets;
    size_t n_targets;
    const char *lock; /* the path of a lock, or NULL */
    unsigned threads; /* 0: one per core */
    int level;        /* of zstd */
    bool group;       /* contents that pack better grouped (grouping.h) */
    enum progress_mode progress;

    /* Answered by exporter_plan. */
    struct archive archive;
    struct members members;
    uint64_t tar_bytes; /* of the archive before it is packed */

    /* Answered by exporter_run. */
    uint64_t packed; /* bytes */

    /* Between them. */
    struct buf manifest;
    struct lease *leases; /* what is exported is not collected meanwhile */
    uint64_t n_leases;
    struct arena *arena;
};

#define EXPORTER_INIT                                                          \
    {                                                                          \
        .manifest = BUF_INIT(ARCHIVE_MANIFEST_MAX)                             \
    }

/*
 * exporter_plan - what will be in it; nothing is read but names, and, to
 * group, samples
 * From here on it is held (lease.h).
 * Returns 0, or -1 with *e: MISSING (a file is not here), CORRUPT (a name
 *         leads to other content than is listed), REFUSED, IO, NOMEM
 */
int exporter_plan(struct exporter *x, struct arena *arena, struct err *e);

/*
 * exporter_run - write the archive to fd, a file or a pipe
 * name     for messages
 * Returns  0, or -1 with *e: CORRUPT (what is stored is damaged), NOSPACE,
 *          IO, CANCELLED
 */
int exporter_run(struct exporter *x, int fd, const char *name, struct err *e);

void exporter_free(struct exporter *x); /* idempotent, for AUTO */

#endif
