/*
 * conversion.h - the converted form of a repository that was fetched.
 *
 * mlconvert makes it: a program of its own, which must not be able to open a
 * socket. It is run, found beside ours or in an absolute folder of PATH; what
 * it left beside the snapshot is known by its manifest (ml-manifest(5)).
 */
#ifndef FETCH_CONVERSION_H
#define FETCH_CONVERSION_H

#include "base/progress.h"
#include "cache/hubdir.h"

enum conversion_kind {
    CONVERSION_NONE,
    CONVERSION_FP16,
    CONVERSION_BF16,
    CONVERSION_FP32,
    CONVERSION_KEEP,
    CONVERSION_INT8
};

/* "fp16" ...; "" for none. */
const char *conversion_name(enum conversion_kind kind);

/* conversion_parse - false when it is none of these names. */
bool conversion_parse(const char *name, enum conversion_kind *out);

struct conversion {
    enum conversion_kind kind;
    const struct hubdir *dir;
    const struct repo *repo;
    const char *commit;
    const char *volume; /* as the user named it, or NULL: the hub cache */
    enum progress_mode progress;
    char path[PATH_MAX]; /* answered: its folder */
};

/*
 * conversion_find - is it here?
 * Returns HAVE, HAVE_NOT, or -1 with *e
 */
int conversion_find(struct conversion *c, struct err *e);

/*
 * conversion_check - hash every file of one that was found
 * Returns 0, or -1 with *e: CORRUPT (naming the file), MISSING, IO, CANCELLED
 */
int conversion_check(const struct conversion *c, struct err *e);

/*
 * conversion_able - is it here, or is there an mlconvert to make it?
 * Returns 0, or -1 with *e: MISSING
 */
int conversion_able(struct conversion *c, struct err *e);

/*
 * conversion_make - run mlconvert, which tells on stderr what goes wrong
 * Cheap if it is here. Returns 0, or -1 with *e of the kind it ended with.
 */
int conversion_make(struct conversion *c, struct err *e);

#endif
