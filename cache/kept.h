/*
 * kept.h - contents that no name leads to any more, but that the log of the
 * volume can bring back: they are kept for a time.
 */
#ifndef CACHE_KEPT_H
#define CACHE_KEPT_H

#include "cache/census.h"

/*
 * kept_mark - of each content in the census, when a step of the log last took
 * it from a name; not what mlcache rm took
 * Returns 0, or -1 with *e: IO, NOMEM, REFUSED
 */
int kept_mark(const struct volume *v, struct census *c, struct err *e);

/* kept_is - was it taken from a name in the last grace_s? */
bool kept_is(const struct object *o, uint64_t grace_s);

#endif
