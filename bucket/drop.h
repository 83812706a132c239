/*
 * drop.h - repositories and revisions out of a bucket: their names go, what
 * they led to stays until gc.
 *
 * A ref never goes back, and is never removed: that nothing is there any more
 * is its next move, to a catalog without a commit.
 */
#ifndef BUCKET_DROP_H
#define BUCKET_DROP_H

#include "bucket/names.h"
#include "cache/hubdir.h"

/* What is to go. */
struct drop {
    struct repo repo;
    char commit[41];   /* this one; "": all of the repository */
    struct str *refs;  /* branches and tags first */
    char (*named)[41]; /* the commit that each names */
    uint64_t n_refs;
    uint64_t files; /* that are held */
    uint64_t bytes; /* of them, each content once */
};

/*
 * drop_plan - what a repository, or its revision, is there
 * whole    all of it, whatever r's revision is; else the commit that it is,
 *          with all branches and tags that name it
 * Returns  0, or -1 with *e: MISSING, CORRUPT (a ref of it is damaged), ...
 */
int drop_plan(struct bucket *b, const struct repo *r, bool whole,
    struct arena *arena, struct drop *out, struct err *e);

/* drop_run - it goes; a ref that names another commit by then stays. */
int drop_run(struct bucket *b, const struct drop *d, struct err *e);

#endif
