/*
 * names.h - the catalog that counts, and changing it: what was put into a
 * bucket, and out again. The contents of a change are in the bucket before
 * the catalog, and the catalog before the ref that leads to it; until that
 * has moved, nothing has changed, and then all of it has.
 */
#ifndef BUCKET_NAMES_H
#define BUCKET_NAMES_H

#include "base/progress.h"
#include "bucket/catalog.h"
#include "bucket/intent.h"
#include "bucket/tip.h"
#include "cache/history.h"
#include "cache/putlist.h"
#include "cache/step.h"

/* The ref of the put files. */
#define NAMES_FILES "files"

#define NAMES_ARENA_MAX ((uint64_t)4 << 30)

/*
 * names_load - what a ref means now; a ref that is not there: an empty catalog
 * head may be NULL
 */
int names_load(struct bucket *b, const char *ref, struct arena *arena,
    struct catalog *out, struct tip *head, struct err *e);

/* names_sides - what sides of one list mean together: 1 or more. */
int names_sides(struct bucket *b, const char *ref, const struct tip *head,
    struct arena *arena, struct catalog *out, struct err *e);

/* names_catalog - a catalog by its digest, found right. CORRUPT ... */
int names_catalog(struct bucket *b, const struct digest *sha256, uint64_t size,
    struct arena *arena, struct catalog *out, struct err *e);

/* One change of a ref's catalog. */
struct names_change {
    const char *ref;
    const char *what;           /* "put", "rm", "pull" */
    const char *commit;         /* of a repository's; "" */
    struct catalog_file *files; /* sorted, each once; catalog_lay */
    uint64_t n;
    const char *only;           /* nothing is changed where it names another
                                   commit by then; NULL: whatever it names */
    const struct catalog *seen; /* what it was planned with; NULL: whatever
                                   is there is replaced */
    bool all;                   /* files are all the catalog has */
    bool left;                  /* they are what others meant by them */
    struct intent *claim;       /* the writer's, or NULL: it has none yet */
};

/*
 * names_commit - make it so
 * Others may have changed other names since: that is put together.
 * number   of the catalog; 0 where nothing is to be changed
 * Returns  0, or -1 with *e: BUSY (a name means something else by now; the
 *          hint tells whether the rest was done), REFUSED (a name would be a
 *          file and a folder), ...
 */
int names_commit(struct bucket *b, const struct names_change *change,
    uint64_t *number, struct err *e);

/*
 * names_restore - whatever ref means, it means what this catalog says from
 * now on
 * seen     of tip_salvage; BUSY where the ref has moved since
 * at       where the catalog is
 */
int names_restore(struct bucket *b, const char *ref, const struct tip *seen,
    const struct catalog *c, const struct tip_side *at, struct err *e);

/*
 * names_fit - may there be these files beside what is there? REFUSED: a name
 * would be a file and a folder
 */
int names_fit(const struct catalog *now, const struct catalog_file *files,
    uint64_t n, struct arena *arena, struct err *e);

/* names_list - the files called name or below it, as they stand; "" or NULL:
 * all. They are in arena. */
int names_list(struct bucket *b, const char *name, struct arena *arena,
    struct catalog_file **out, uint64_t *n, struct err *e);

/* names_missing - no such name: MISSING, with a hint. */
int names_missing(const struct bucket *b, const char *name, struct err *e);

/* names_entry - the same as an entry of a volume. */
struct volume_entry names_entry(const struct catalog_file *f);

/*
 * names_put - as putlist_run, in a bucket
 */
int names_put(struct bucket *b, const struct putlist_item *items, uint64_t n,
    bool force, struct progress *progress, struct putlist_done *out,
    struct arena *arena, struct err *e);

/*
 * names_history - the steps of the put files, as far back as their catalogs
 * are kept; most of them, the newest
 */
int names_history(struct bucket *b, uint64_t most, struct arena *arena,
    struct history *out, struct err *e);

/* names_rollback - as past_rollback, in a bucket. */
int names_rollback(struct bucket *b, const char *point, const char *name,
    struct step *out, struct arena *arena, struct err *e);

/* names_rm - as moves_rm, in a bucket. */
int names_rm(struct bucket *b, char *const *names, size_t n, bool folders,
    struct step *out, struct arena *arena, struct err *e);

#endif
