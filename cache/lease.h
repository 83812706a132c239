/*
 * lease.h - who is at work in a repository of a hub cache, or on the put files
 * of a volume. Who reads or adds holds a lease, with others; who removes takes
 * it alone, and only while nobody holds it.
 *
 *   ROOT/.locks/models--org--name/ml.lease           flock on it
 *   VOLUME/lease
 *   <the same>.<16 hex>      one per holder, where locks lie (NFS, Lustre):
 *                            it counts as long as its process lives; where
 *                            that is not known, on another machine or in
 *                            another container, for two days
 *
 * It protects the work of the suite's own programs from its own collector.
 * The official client knows nothing of it: the collector heeds its locks and
 * a period of grace for that.
 * Source: mirror and S3, sections 4.3 and 4.4.
 */
#ifndef CACHE_LEASE_H
#define CACHE_LEASE_H

#include "cache/hubdir.h"
#include "cache/volume.h"

enum { LEASE_EXPIRES_S = 48 * 3600 };

struct lease {
    int fd; /* -1: not held */
    bool honest;
    char holder[PATH_MAX]; /* a file of our own, or "" */
};

#define LEASE_INIT                                                             \
    {                                                                          \
        .fd = -1                                                               \
    }

/* Which one: into out of PATH_MAX bytes. */
int lease_of_repo(
    const struct hubdir *h, const struct repo *r, char *out, struct err *e);
int lease_of_volume(const struct volume *v, char *out, struct err *e);

/*
 * lease_hold - hold it with others; waits while one is removing things
 * create   make its file where it is missing
 * Returns  0, or -1 with *e: CANCELLED. Where the file is missing and cannot,
 *          or must not, be made, nothing is held and it is 0 all the same: a
 *          cache that cannot be written to is not collected by us either.
 */
int lease_hold(struct lease *l, const char *path, bool create, struct err *e);

/*
 * lease_take - take it alone, now
 * what     "org/name", for the message
 * Returns  0, or -1 with *e: BUSY naming who holds it, IO
 */
int lease_take(
    struct lease *l, const char *path, const char *what, struct err *e);

/* lease_lost - of one that was taken: does somebody hold it all the same?
 * Where locks are honest nobody can. */
bool lease_lost(const struct lease *l, const char *path);

/* lease_free - let go of it; idempotent, for AUTO. */
void lease_free(struct lease *l);

/*
 * lease_for_life - hold a repository's, or a volume's, until the process ends,
 * or the scope (scope.h)
 * For programs that read it to their end. Never fails.
 */
void lease_for_life(const char *path);

#endif
