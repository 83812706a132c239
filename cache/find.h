/*
 * find.h - what a user means by MODEL, SRC or TARGET.
 *
 * In this order: a path that exists; VOLUME:NAME, a file put into a volume;
 * ORG/NAME[@REVISION], a repository held in the hub cache (HF_HUB_CACHE, or
 * the volume given). "./x" and "/x" are always paths.
 */
#ifndef CACHE_FIND_H
#define CACHE_FIND_H

#include <limits.h>

#include "base/err.h"

enum found_kind {
    FOUND_FILE,   /* one file */
    FOUND_FOLDER, /* a folder of the user's */
    FOUND_REPO,   /* the snapshot folder of a repository in a cache */
    FOUND_PUT     /* a file put into a volume */
};

struct found {
    enum found_kind kind;
    char path[PATH_MAX];  /* the file, or the folder */
    char repository[160]; /* FOUND_REPO: "org/name", else "" */
    char commit[41];      /* FOUND_REPO: 40 hex, else "" */
    /*
     * Where conversions of it are kept: a folder whose children are named by
     * key; "" for FOUND_FILE and FOUND_FOLDER. It need not exist.
     */
    char converted[PATH_MAX];
    /* In a volume of put files, else "": the volume, and the folder there. */
    char volume[PATH_MAX];
    char below[PATH_MAX]; /* "." is the top */
};

/*
 * find_model - resolve what the user wrote
 * volume   a volume to look in, or NULL: the hub cache
 * Returns  0, or -1 with *e: MISSING with a hint (the command that would
 *          fetch it, or the rest of it), USAGE, REFUSED, IO
 */
int find_model(
    const char *text, const char *volume, struct found *out, struct err *e);

/*
 * find_to_check - the same, also of a repository that is here in part only:
 * for who looks for what is wrong with it
 */
int find_to_check(
    const char *text, const char *volume, struct found *out, struct err *e);

/*
 * find_put - what a name in a volume is, and nothing else: a file, or a folder
 * Returns  0, or -1 with *e: MISSING, CORRUPT, REFUSED, IO
 */
struct volume;
int find_put(
    const struct volume *v, const char *name, struct found *out, struct err *e);

/*
 * find_held - what a repository in a hub cache is, and nothing else
 * whole    not one that is here in part only
 * Returns  0, or -1 with *e: MISSING with a hint, USAGE, CORRUPT, IO
 */
struct hubdir;
int find_held(const struct hubdir *h, const char *text, bool whole,
    struct found *out, struct err *e);

/*
 * found_digest - the SHA-256 that a cache or volume keeps a file under
 * path     a file of what was found, or beside it
 * Returns  false when it is not known without reading. It is taken at its
 *          word here: mlcache verify checks it.
 */
struct digest;
bool found_digest(const struct found *f, const char *path, struct digest *out);

#endif
