/* foreign_internal.h - what the files behind foreign.h share. */
#ifndef CACHE_FOREIGN_INTERNAL_H
#define CACHE_FOREIGN_INTERNAL_H

#include "cache/foreign.h"
#include "cache/walk.h"

#include "base/buf.h"

/* Something below the root that is no folder. */
struct foreign_entry {
    struct str path; /* below the root */
    enum walk_kind kind;
    struct stat st; /* of itself */
};

/*
 * foreign_walk - all of them below part ("" is the root), sorted
 * Folders that cannot be read, or are too deep, are faults. None when part
 * is not there. Returns 0, or -1 with *e: NOMEM, CANCELLED
 */
int foreign_walk(struct foreign *f, const char *part,
    struct foreign_entry **out, uint64_t *out_n, struct err *e);

/*
 * foreign_follow - where a link ends, if that is a file below the root
 * The file's path into out of PATH_MAX bytes, what it is into st.
 * Returns  NULL, or in a few words why not, with the kind of fault
 */
const char *foreign_follow(const struct foreign *f, const char *path, char *out,
    struct stat *st, enum fault_kind *kind);

/* foreign_slurp - a whole file of it, of at most out->limit bytes. */
int foreign_slurp(
    const struct foreign *f, const char *path, struct buf *out, struct err *e);

/* foreign_refuse_volume - fail: the folder is one. Returns -1. */
int foreign_refuse_volume(const char *folder, struct err *e);

/* foreign_litter - what desktops leave everywhere. */
bool foreign_litter(const char *name);

/* foreign_leftover - is it what a download leaves that did not end? */
bool foreign_leftover(const char *name);

/* More of each; the index of the new one, or -1 with *e. */
int64_t foreign_add_file(
    struct foreign *f, struct foreign_file file, struct err *e);
int64_t foreign_add_set(
    struct foreign *f, struct foreign_set set, struct err *e);
int foreign_add_name(
    struct foreign *f, struct foreign_name name, struct err *e);

/* The three kinds of them, of a root that is open. */
int foreign_hub(struct foreign *f, const char *only, struct err *e);
int foreign_ollama(struct foreign *f, const char *front, struct err *e);
int foreign_folder(struct foreign *f, const char *front, struct err *e);

#endif
