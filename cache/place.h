/*
 * place.h - what mlcache's commands look after: a hub cache, or a volume with
 * the hub cache in it; and what a user names of it.
 */
#ifndef CACHE_PLACE_H
#define CACHE_PLACE_H

#include "cache/hubdir.h"
#include "cache/volume.h"

struct place {
    struct hubdir hub;
    bool has_volume;
    struct volume volume;
    const char *name; /* of the volume, as the user wrote it, or NULL */
};

enum target_kind {
    TARGET_REPO,     /* a repository, all of it */
    TARGET_REVISION, /* one commit of it */
    TARGET_PUT       /* a put file, or a folder of them */
};

struct target {
    enum target_kind kind;
    const char *text; /* as the user wrote it */
    struct repo repo; /* its revision: as the user wrote it, or "main" */
    char commit[41];  /* TARGET_REVISION */
    struct str name;  /* TARGET_PUT */
};

/* place_open - volume NULL: the hub cache. 0, or -1 with *e: MISSING ... */
int place_open(struct place *out, const char *volume, struct err *e);

/*
 * place_repo - ORG/NAME or ORG/NAME@REVISION, with "datasets/" or "spaces/"
 * before it
 * whole    no revision was named
 * Returns  0, or -1 with *e: USAGE
 */
int place_repo(const char *text, struct repo *out, bool *whole, struct err *e);

/*
 * place_targets - what n REFs mean: ORG/NAME, ORG/NAME@REVISION, with
 * "datasets/" or "spaces/" before it; NAME of a put file in a volume, also
 * VOLUME:NAME where volume is NULL and all name the same volume
 * The place is opened with it. Nothing may be held by a target but what is
 * there: MISSING otherwise.
 * Returns 0 with n targets in *out, in arena; -1 with *e: USAGE, MISSING
 */
int place_targets(struct place *p, const char *volume, char **refs, size_t n,
    struct target **out, struct arena *arena, struct err *e);

/* target_has - is this commit of this repository meant? commit NULL: any. */
bool target_has(
    const struct target *t, const struct repo *r, const char *commit);

/* target_has_put - is this put name meant? */
bool target_has_put(const struct target *t, struct str name);

#endif
