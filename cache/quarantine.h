/*
 * quarantine.h - what is wrong is moved aside, never deleted: out of the
 * sight of every reader, where the next pull does not find it.
 *
 *   ROOT/models--org--name/ml/quarantine/<etag>    what was in the hub cache
 *   VOLUME/quarantine/<sha256>                     what was in the store
 *
 * A name that is taken there gets ".2", ".3" ... behind it. What is moved is
 * exactly the file that was found wrong: one that was replaced since stays.
 */
#ifndef CACHE_QUARANTINE_H
#define CACHE_QUARANTINE_H

#include "cache/census.h"

/*
 * quarantine_object - move the object aside, as it was when o->st was taken
 * A file of a conversion takes its whole folder with it: it is made anew.
 * The view of a volume is freed of it, too.
 * Returns 0 with its new place in out of PATH_MAX bytes; or -1 with *e: BUSY
 *         (it is being fetched, or is another file by now), IO
 */
int quarantine_object(
    const struct place *p, const struct object *o, char *out, struct err *e);

/* quarantine_entry - path goes if it is the object itself under another name;
 * it was moved before. */
int quarantine_entry(const char *path, const struct object *o, struct err *e);

/* quarantine_ref - the same of a ref that names no commit. */
int quarantine_ref(const struct place *p, const struct census_ref *ref,
    char *out, struct err *e);

/* quarantine_dir - where the repository's are, NULL: the volume's. */
int quarantine_dir(
    const struct place *p, const struct repo *r, char *out, struct err *e);

#endif
