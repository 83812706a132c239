/*
 * used.h - when a revision was used last: the time of ml/used/<commit>, an
 * empty file. (The time of the last reading, which file systems keep, is
 * often off, and every scan changes it.)
 */
#ifndef CACHE_USED_H
#define CACHE_USED_H

#include "cache/hubdir.h"

/* used_note - now. Never fails: a cache may be read-only. */
void used_note(
    const struct hubdir *h, const struct repo *r, const char *commit);

/* used_is_noted - has one of our programs used it? */
bool used_is_noted(
    const struct hubdir *h, const struct repo *r, const char *commit);

/*
 * used_when - seconds since 1970; 0: nothing is there
 * Of one that only other tools have used: when its folder changed, or one of
 * its files was read, whichever is later.
 */
int64_t used_when(
    const struct hubdir *h, const struct repo *r, const char *commit);

#endif
