/* lockpin.h - between locks (cache/lockfile.h) and pulls. */
#ifndef FETCH_LOCKPIN_H
#define FETCH_LOCKPIN_H

#include "cache/lockfile.h"
#include "fetch/pull.h"

/* lockpin - p is to bring exactly the entry, which must outlive it. */
void lockpin(struct pull *p, const struct lock_entry *l);

/*
 * lockpin_of - the files a planned pull has chosen, sorted; in p's arena
 * Returns 0, or -1 with *e: NOMEM
 */
int lockpin_of(struct lock_entry *out, struct pull *p, struct err *e);

#endif
