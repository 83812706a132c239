/*
 * reaper.h - removes things from one repository, or from a volume's put files,
 * which it has taken for itself (lease.h).
 *
 * Names go first, each in one step that readers see whole or not at all; then
 * the objects that no name leads to any more. An object is first moved to a
 * trash, ml/trash/ of its repository or trash/ of the volume; then the names
 * are read again, since the official client knows nothing of leases; what is
 * needed after all goes back; the rest is deleted, or where locks lie, left
 * there until it is old. A kill at any place leaves names that lead to their
 * bytes, or bytes in the trash, which the next reaper puts back if they are
 * needed, and else deletes.
 * Source: mirror and S3, sections 4.2 and 4.4.
 */
#ifndef CACHE_REAPER_H
#define CACHE_REAPER_H

#include "cache/census.h"
#include "cache/lease.h"

/* So long is what was trashed kept where locks lie. */
enum { REAPER_GRACE_S = 24 * 3600 };

struct reaper {
    const struct place *place;
    struct repo repo; /* its folder is "": the volume's put files */
    struct lease lease;
    char lease_path[PATH_MAX];
    char trash[PATH_MAX];
    uint64_t grace_s; /* of what is left in the trash, where locks lie */
};

#define REAPER_INIT                                                            \
    {                                                                          \
        .lease = LEASE_INIT                                                    \
    }

/*
 * reaper_check - are the folders that things are removed from its own?
 * r        NULL: the put files of the volume
 * Returns  0, or -1 with *e: REFUSED (one is a symbolic link)
 */
int reaper_check(const struct place *p, const struct repo *r, struct err *e);

/*
 * reaper_open - take it, and clear up what a killed one left
 * r        NULL: the put files of the volume
 * Returns  0, or -1 with *e: BUSY (somebody is at work on it), REFUSED (see
 *          reaper_check), IO
 */
int reaper_open(struct reaper *out, const struct place *p, const struct repo *r,
    uint64_t grace_s, struct err *e);

/*
 * reaper_objects - remove n blobs, or contents, that no name leads to
 * One that is needed by now, or is being fetched, stays.
 * out_bytes  what was removed, or will be when it is old enough
 * Returns    0, or -1 with *e: BUSY (somebody came to it where locks lie: all
 *            was put back), IO
 */
int reaper_objects(struct reaper *r, struct object *const *objects, uint64_t n,
    uint64_t *out_bytes, struct err *e);

/*
 * reaper_revision - a commit, its refs, listing and conversions
 * Its blobs stay: reaper_objects. Returns 0, or -1 with *e: BUSY (an official
 * client is fetching), IO
 */
int reaper_revision(struct reaper *r, const char *commit, struct err *e);

/* reaper_repo - the whole repository, in one step. */
int reaper_repo(struct reaper *r, struct err *e);

/* reaper_dead - does no name, and no download, need it; is it of this age? */
bool reaper_dead(const struct object *o, uint64_t grace_s);

void reaper_close(struct reaper *r); /* idempotent, for AUTO */

#endif
