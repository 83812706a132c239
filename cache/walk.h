/* walk.h - the files below a folder, in order of their names. */
#ifndef CACHE_WALK_H
#define CACHE_WALK_H

#include "base/arena.h"

enum walk_kind { WALK_FILE, WALK_LINK, WALK_OTHER };

struct walk_entry {
    struct str path; /* below the root */
    enum walk_kind kind;
    uint64_t size; /* WALK_FILE: bytes */
};

/*
 * walk - everything below root that is not a folder; no link is followed
 * but root itself
 * Returns 0 with *out_n entries in *out, in arena, sorted by path; none when
 *         root does not exist. -1 with *e: IO, NOMEM, REFUSED (arena full).
 */
int walk(const char *root, struct arena *arena, struct walk_entry **out,
    uint64_t *out_n, struct err *e);

/*
 * walk_names - the same without sizes, in no order
 * The files are not looked at, where the file system tells a folder's readers
 * what they are: of many files a fraction of the time.
 */
int walk_names(const char *root, struct arena *arena, struct walk_entry **out,
    uint64_t *out_n, struct err *e);

#endif
