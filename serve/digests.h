/*
 * digests.h - which SHA-256 the bytes have that git has another digest of: what
 * the catalogs of a bucket say of the files for which a listing has git's
 * digest alone. Of the commits that were asked for last; so many files in all.
 *
 * Not for threads.
 */
#ifndef SERVE_DIGESTS_H
#define SERVE_DIGESTS_H

#include "bucket/catalog.h"

enum { DIGESTS_COMMITS = 8, DIGESTS_FILES = 1 << 20, DIGESTS_NAME_MAX = 320 };

struct digests {
    struct digests_of {
        char name[DIGESTS_NAME_MAX]; /* "FOLDER COMMIT"; "": unused */
        struct digests_pair *v;      /* sorted by git's */
        size_t n;
        uint64_t read_ms;
        uint64_t used;
    } v[DIGESTS_COMMITS];
    uint64_t uses;
};

#define DIGESTS_INIT                                                           \
    {                                                                          \
        .uses = 0                                                              \
    }

/* digests_name - what a commit's are called. */
void digests_name(
    char out[DIGESTS_NAME_MAX], const char *folder, const char *commit);

void digests_free(struct digests *d); /* idempotent */

/* digests_keep - those of a commit, as it is known now. -1 with *e: NOMEM,
 * REFUSED (more than DIGESTS_FILES of it alone) */
int digests_keep(struct digests *d, const char *folder, const char *commit,
    const struct catalog *c, uint64_t now_ms, struct err *e);

/*
 * digests_find - the SHA-256 of what git calls oid, where the catalog says that
 * it is held
 * read_ms  when the commit's were kept; 0: they are not
 */
bool digests_find(struct digests *d, const char *folder, const char *commit,
    const struct digest *oid, struct digest *out, uint64_t *read_ms);

#endif
