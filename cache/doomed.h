/*
 * doomed.h - a revision that is being removed, so that a removal that was
 * killed comes to its end: ml/removing/<commit>, made before the first ref
 * goes, taken away after all else.
 */
#ifndef CACHE_DOOMED_H
#define CACHE_DOOMED_H

#include "cache/hubdir.h"

/* doomed_mark - from now on it is; a full disk goes without. */
int doomed_mark(const struct hubdir *h, const struct repo *r,
    const char *commit, struct err *e);

/*
 * doomed_list - the marks that still count, in arena
 * One does not when the revision has come back since: a ref names it, one of
 * our programs has used it, or a pull is filling it. Such a mark is removed.
 */
int doomed_list(const struct hubdir *h, const struct repo *r,
    struct arena *arena, struct str **out, uint64_t *out_n, struct err *e);

#endif
