/* hubdir_internal.h - what the files behind hubdir.h share. */
#ifndef CACHE_HUBDIR_INTERNAL_H
#define CACHE_HUBDIR_INTERNAL_H

#include "base/buf.h"
#include "cache/hubdir.h"

/*
 * hubdir_put - a small file of a repository, in one call
 * The temporary name is in the repository's ml/ folder: a leftover beside a
 * ref would make the official scanner drop the whole repository.
 */
int hubdir_put(const struct hubdir *h, const struct repo *r, const char *path,
    struct str bytes, struct err *e);

/* hubdir_work - make the repository's ml/ folder; its path into out. */
int hubdir_work(
    const struct hubdir *h, const struct repo *r, char *out, struct err *e);

/* What the parts of the layout consist of: also in archives (archive.h). */
extern const char hubdir_tag[]; /* CACHEDIR.TAG */

/* hubdir_link_text - where a snapshot's entry leads; into out of PATH_MAX. */
int hubdir_link_text(const struct tree_file *f, char *out, struct err *e);

/* hubdir_tree_text - append a listing. */
int hubdir_tree_text(struct buf *out, const struct tree *t, struct err *e);

#endif
