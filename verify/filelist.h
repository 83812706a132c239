/*
 * filelist.h - the files of a target, and what is known about each of them
 * before a byte is read: the digests and sizes that somebody promised.
 */
#ifndef VERIFY_FILELIST_H
#define VERIFY_FILELIST_H

#include <limits.h>

#include "base/arena.h"
#include "base/hash.h"
#include "verify/findings.h"

enum { EXPECT_MAX = 4 };

/* Somebody says that the file has this digest. */
struct expect {
    struct digest digest;
    const char *by; /* who says so: "the name of its blob", ... */
};

struct vfile {
    struct str name;  /* relative path inside the target, "/" between */
    const char *path; /* to open it */
    uint64_t size;    /* as it stands on disk [bytes] */
    struct expect expects[EXPECT_MAX];
    size_t n_expects;
    bool index;   /* maps tensors to shards; not weights itself */
    bool damaged; /* reported already: its bytes are not worth hashing */
};

struct filelist {
    struct arena arena;
    struct vfile *files; /* sorted by name */
    size_t n;
    size_t cap;
};

#define FILELIST_INIT                                                          \
    {                                                                          \
        .arena = ARENA_INIT((uint64_t)256 << 20)                               \
    }

void filelist_free(struct filelist *l);

/*
 * filelist_walk - every regular file below a folder
 * all      also what lies in .git and .cache folders at the top
 * report   gets a failure for what is neither file nor folder, for links that
 *          lead nowhere, and for links to folders elsewhere
 * Links to files are followed, links to folders are not.
 * Returns  0, or -1 with *e: IO, NOMEM, REFUSED (too deep)
 */
int filelist_walk(struct filelist *l, const char *folder, bool all,
    struct findings *report, struct err *e);

/*
 * filelist_add - one more regular file, called name; call filelist_sort()
 * behind the last one. -1 with *e: MISSING, REFUSED, IO, NOMEM.
 */
int filelist_add(
    struct filelist *l, const char *path, const char *name, struct err *e);

void filelist_sort(struct filelist *l);

/* filelist_find - by name, or NULL. */
struct vfile *filelist_find(const struct filelist *l, struct str name);

/* vfile_expect - note a promise; the same digest twice is noted once. */
void vfile_expect(struct vfile *f, const struct digest *d, const char *by);

#endif
