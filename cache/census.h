/*
 * census.h - every stored object of a place, and every name that leads to
 * one: what verify hashes, and what rm and gc count. Read only.
 *
 * An object is a blob of a repository, a file of a snapshot where there are
 * no links, content in a volume's store, or a file of a conversion.
 */
#ifndef CACHE_CENSUS_H
#define CACHE_CENSUS_H

#include <sys/stat.h>

#include "cache/place.h"

enum object_kind {
    OBJECT_BLOB,
    OBJECT_COPY,     /* a file of its own in a snapshot */
    OBJECT_CONTENT,  /* in the store of a volume */
    OBJECT_CONVERTED /* a file of a conversion */
};

struct object {
    enum object_kind kind;
    const struct repo *repo; /* NULL: of the volume itself */
    struct str path;         /* on disk */
    struct str shown;        /* a name people know it by */
    struct str commit;       /* of a copy, or that a conversion is of; or "" */
    struct digest digest;    /* that it must have */
    struct stat st;
    bool named; /* some name leads to it */
    /* Of a content: when a step of the log last took it from a name; 0. */
    int64_t taken;
};

struct census_name {
    const struct repo *repo; /* NULL: a put file */
    struct str commit;       /* "" for a put file */
    struct str name;         /* of the file in the commit, or as it was put */
    struct digest digest;    /* hex "" when it is not known */
    bool broken;             /* leads to no file */
    bool other;              /* leads to other content than is listed */
};

/* A ref that names no commit. */
struct census_ref {
    const struct repo *repo;
    struct str name;
};

/* Where the blobs of a repository, or a store's contents, are in objects. */
struct census_part {
    uint64_t from, to;
};

struct census {
    struct repo *repos;
    uint64_t n_repos;
    struct census_part *parts; /* one per repository, and one for the store */
    struct object *objects;
    uint64_t n_objects;
    struct census_name *names;
    uint64_t n_names;
    struct census_ref *refs;
    uint64_t n_refs;
    uint64_t unknown; /* files whose digest nobody recorded */
};

enum {
    CENSUS_BARE = 1, /* no listings, no conversions: what leads where alone */
    CENSUS_PUTS = 2  /* the volume's own alone, not its hub cache */
};

/*
 * census - count what the targets hold; n_targets 0: everything
 * Returns 0, or -1 with *e: IO, NOMEM, CANCELLED. Everything is in arena.
 */
int census(const struct place *p, const struct target *targets,
    size_t n_targets, unsigned flags, struct census *out, struct arena *arena,
    struct err *e);

/* census_blob - the blob, or repo NULL: the content, of a digest; or NULL.
 * Not of a census of some targets only. */
struct object *census_blob(
    const struct census *c, const struct repo *r, const struct digest *d);

#endif
