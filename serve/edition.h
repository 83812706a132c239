/*
 * edition.h - one commit of a repository and its files: shared by all requests
 * that ask for it, never changed, counted. The last used ones are kept, since
 * a client asks for each file of a commit twice.
 */
#ifndef SERVE_EDITION_H
#define SERVE_EDITION_H

#include "cache/hubdir.h"

struct edition {
    struct repo repo; /* its revision: the commit */
    char commit[41];
    struct tree tree; /* sorted by path */
    bool whole;       /* false: read off a snapshot that has no listing */
    uint64_t bytes;   /* of all files */
    int64_t made;     /* when it came here, seconds since 1970 */
    struct edition_private *private;
};

/* Those that are kept. */
struct editions;

struct editions *editions_open(uint64_t memory_max, struct err *e);
void editions_close(struct editions *all); /* NULL is fine */

/*
 * edition_held - what the hub cache has of a commit
 * A listing that was written anew is read anew. read: false: only if no
 * listing has to be read for it, which takes its time.
 * Returns HAVE with *out, to be dropped; HAVE_NOT; EDITION_UNREAD; or -1 with
 * *e: IO, NOMEM, CORRUPT (a listing that does not parse)
 */
enum { EDITION_UNREAD = 100 };
int edition_held(struct editions *all, const struct hubdir *h,
    const struct repo *r, const char *commit, bool read, struct edition **out,
    struct err *e);

/* edition_unlisted - is there a snapshot of it that has no listing? */
bool edition_unlisted(
    const struct hubdir *h, const struct repo *r, const char *commit);

/*
 * edition_keep - one whose listing comes from elsewhere
 * tree's memory is copied. Returns 0 with *out, to be dropped; -1 with *e.
 */
int edition_keep(struct editions *all, const struct repo *r, const char *commit,
    const struct tree *tree, struct edition **out, struct err *e);

/* edition_drop - for who got one; NULL is fine. edition_drop_auto: for AUTO. */
void edition_drop(struct edition *ed);
void edition_drop_auto(struct edition **ed);

/*
 * edition_note_use - for who frees room in the cache: it is used, from time to
 * time. Not where only other tools have: what they may be filling is spared.
 */
void edition_note_use(const struct edition *ed, const struct hubdir *h);

/* edition_file - a file by its path, or NULL. */
const struct tree_file *edition_file(const struct edition *ed, struct str path);

/* edition_below - the files in folder ("" is all): n from the first on. */
uint64_t edition_below(
    const struct edition *ed, struct str folder, uint64_t *first);

#endif
