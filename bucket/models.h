/*
 * models.h - repositories in a bucket: brought there once, from the Hub, and
 * from there to any number of machines that need no Hub.
 *
 *   refs/hub/<folder>/<commit>     the commit's listing, and what is held
 *   refs/hub/<folder>/<revision>   which commit a branch or tag is
 *
 * A ref whose catalog names no commit was emptied (drop.h): it is not there.
 *
 * Names appear last here, too: contents, the commit's listing, the revision.
 */
#ifndef BUCKET_MODELS_H
#define BUCKET_MODELS_H

#include "base/progress.h"
#include "bucket/catalog.h"
#include "bucket/names.h"
#include "cache/hubdir.h"

/* What a bucket has of one commit. */
struct model {
    char commit[41];
    struct catalog catalog; /* all files of the commit; held: bytes are here */
    struct tree tree;       /* the same, as the Hub lists them */
};

/* models_commit - which commit the revision is there. 0, or -1 with *e:
 * MISSING, ... */
int models_commit(
    struct bucket *b, const struct repo *r, char out[41], struct err *e);

/*
 * models_find - the repository's revision, in arena
 * Returns 0, or -1 with *e: MISSING (no such repository or revision there)
 */
int models_find(struct bucket *b, const struct repo *r, struct arena *arena,
    struct model *out, struct err *e);

/* models_any - is any revision of it there? */
int models_any(
    struct bucket *b, const struct repo *r, bool *out, struct err *e);

/* A branch or tag. */
struct models_ref {
    struct str name; /* "main", "refs/pr/1" */
    char commit[41];
};

enum { MODELS_REFS_MAX = 1024 };

/*
 * models_refs - all of the repository's branches and tags, by name, in arena
 * Returns 0, or -1 with *e: REFUSED (more than MODELS_REFS_MAX, with those
 *         that were emptied), NET (not done in the time for an answer), ...
 */
int models_refs(struct bucket *b, const struct repo *r, struct arena *arena,
    struct models_ref **out, uint64_t *n, struct err *e);

/*
 * models_prove - is the revision this commit there, and is every file of
 * some in the bucket, right to the last byte? All is read, nothing is written.
 * Returns 0, or -1 with *e: NET (one is not there, and nobody is asked),
 *         CORRUPT (damaged, or it has another one), ...
 */
int models_prove(struct bucket *b, const struct repo *r, const char *commit,
    const struct tree *some, enum progress_mode progress, struct err *e);

/* What is to be kept, and who brings it. */
struct models_keep {
    const struct repo *repo; /* its revision gets the commit */
    const char *commit;
    bool pinned;             /* it gets it whatever it is by then; else not
                                where another pull has moved it meanwhile */
    const struct tree *tree; /* all of the commit */
    const bool *chosen;      /* of its files */
    /*
     * Bring n files of the tree to this machine, a few gigabytes or a single
     * file: at[i] is which, path[i] (PATH_MAX) gets where it is.
     */
    int (*bring)(void *arg, const uint64_t *at, uint64_t n,
        char (*path)[PATH_MAX], struct err *e);
    /* They are in the bucket now. */
    void (*done)(void *arg, const uint64_t *at, uint64_t n);
    void *arg;
    enum progress_mode progress;
};

/*
 * models_keep - the chosen files are in the bucket, and the names lead there
 * What the bucket has is not brought.
 * brought  bytes that were sent
 * Returns  0, or -1 with *e: CORRUPT (what was brought is not what the tree
 *          says), bring's, ...
 */
int models_keep(struct bucket *b, const struct models_keep *k,
    uint64_t *brought, struct err *e);

/*
 * models_fill - bytes of files out of the bucket, as blobs of a hub cache
 * v        n files of m->tree
 * Returns  0, or -1 with *e: MISSING (the bucket does not hold one), CORRUPT,
 *          NOSPACE, ...
 */
int models_fill(struct bucket *b, const struct model *m,
    const struct hubdir *dir, const struct repo *r,
    const struct tree_file *const *v, uint64_t n, struct progress *progress,
    struct err *e);

#endif
