/*
 * clash.h - what a commit is said to be twice, and not alike. Its files never
 * change: one of the two is wrong, and what is here came first.
 */
#ifndef CACHE_CLASH_H
#define CACHE_CLASH_H

#include "cache/hubdir.h"

/* clash_listed - the file of a listing called name; NULL: none. */
const struct tree_file *clash_listed(const struct tree *t, struct str name);

/*
 * clash - has the commit other content under the name of f here?
 * here     its listing, or NULL when there is none: then what its entry leads
 *          to. An entry that leads to nothing is in nobody's way.
 */
bool clash(const struct hubdir *h, const struct repo *r, const char *commit,
    const struct tree *here, const struct tree_file *f);

#endif
