/*
 * shards.h - an index and its shards: is everything there, and only once?
 */
#ifndef VERIFY_SHARDS_H
#define VERIFY_SHARDS_H

#include "verify/wfile.h"

/*
 * shards_check - hold an index JSON against the files beside it
 * index    one of l; the shards are looked up in l beside it
 * weights  n tables of the files of l that were read, in order of their files
 * Returns  0, or -1 with *e: NOMEM. Everything else is reported.
 */
int shards_check(const struct vfile *index, const struct filelist *l,
    const struct wfile *weights, size_t n, struct findings *report,
    struct err *e);

#endif
