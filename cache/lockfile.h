/*
 * lockfile.h - which files of which commits: ml-lock(5), a text that is a
 * function of them alone. What it lists can be brought, or proven to be
 * there, without asking anybody what a branch means today.
 */
#ifndef CACHE_LOCKFILE_H
#define CACHE_LOCKFILE_H

#include "base/arena.h"
#include "base/buf.h"
#include "cache/hubdir.h"

struct lock_entry {
    struct repo repo; /* revision: as the user wrote it */
    char commit[41];
    char convert[8];  /* and then into this form, "fp16" ...; or "" */
    struct tree tree; /* oid is unknown of LFS files */
};

struct lockfile {
    struct lock_entry *v; /* sorted by type, id, revision */
    size_t n;
    struct arena arena;
};

enum {
    LOCKFILE_MAX = 256 << 20,     /* of the text [bytes] */
    LOCKFILE_VALUES_MAX = 4 << 20 /* in it; four for each file */
};

#define LOCKFILE_INIT                                                          \
    {                                                                          \
        .arena = ARENA_INIT((uint64_t)4 << 30)                                 \
    }

void lockfile_free(struct lockfile *l); /* idempotent */

/*
 * lockfile_read - strict: what is not understood is refused
 * Returns 0, or -1 with *e: MISSING, REFUSED, IO, NOMEM
 */
int lockfile_read(struct lockfile *out, const char *path, struct err *e);

/* lockfile_parse - the same of the text of a file; path is for messages. */
int lockfile_parse(
    struct lockfile *out, struct str text, const char *path, struct err *e);

/*
 * lockfile_text - append the text; the entries are sorted in place
 * Returns 0, or -1 with *e: USAGE (one revision twice), REFUSED (more than
 *         lockfile_read would take), NOMEM
 */
int lockfile_text(
    struct buf *out, struct lock_entry *v, size_t n, struct err *e);

#endif
