/*
 * importer.h - what mlcache import does: an archive (archive.h) into a hub
 * cache or a volume. All of it is read and proven first; names come last.
 */
#ifndef CACHE_IMPORTER_H
#define CACHE_IMPORTER_H

#include "base/progress.h"
#include "cache/archive.h"
#include "cache/landing.h"
#include "cache/lease.h"
#include "cache/trust.h"

struct importer {
    /* Asked. */
    const char *volume; /* as the user named it, or NULL: the hub cache */
    const char *key;    /* that must have signed the lock, or NULL */
    unsigned threads;   /* 0: one per core */
    bool force;         /* replace put files of the same names */
    bool dry_run;       /* prove it, and change nothing */
    enum progress_mode progress;

    /* Answered. */
    struct place place;
    struct archive archive;
    struct members members;
    enum landed *landed;         /* of each content */
    uint64_t fresh, fresh_bytes; /* that were not here, of contents */
    uint64_t packed;             /* of the archive */
    bool created;                /* the volume */

    /* Between the steps. */
    const char *name; /* of the archive, for messages */
    struct landing landing;
    struct lease *leases;
    uint64_t n_leases;
    struct trust trust;
    struct arena arena;
};

/* Memory for the largest manifest that is believed, and what it makes. */
#define IMPORTER_INIT                                                          \
    {                                                                          \
        .landing = LANDING_INIT, .arena = ARENA_INIT((uint64_t)8 << 30)        \
    }

/*
 * importer_run - read an archive from fd, a file or a pipe, and take it in
 * name     for messages
 * Returns  0, or -1 with *e: CORRUPT (cut off, damaged), REFUSED (not what
 *          export writes), VERDICT (not signed by the key), USAGE (put files
 *          without a volume, or in the way), UNSUPPORTED, NOSPACE, BUSY, IO,
 *          CANCELLED. Nothing is visible then, and nothing left but, where
 *          the archive is not at fault, contents for the next run.
 */
int importer_run(struct importer *m, int fd, const char *name, struct err *e);

void importer_free(struct importer *m); /* idempotent, for AUTO */

#endif
