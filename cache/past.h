/*
 * past.h - what a volume was: the points between the steps of its log.
 *
 * Point N is how it was after step N; 0 is how it was before the first one.
 * It is found backwards from now, so every step since must be whole.
 */
#ifndef CACHE_PAST_H
#define CACHE_PAST_H

#include "cache/history.h"

/*
 * past_point - what a user means: "42"; "now"; "2026-11-21" or
 * "2026-11-21T09:30:00Z", the last step before that moment (UTC)
 * Returns 0, or -1 with *e: USAGE, MISSING (no such step)
 */
int past_point(
    const struct history *h, const char *text, uint64_t *out, struct err *e);

/*
 * past_diff - what changes from one point to another, either may be earlier
 * Each name once, sorted; names that come to mean what they did are left out.
 * Returns 0 with *n changes in *out, in arena; -1 with *e: CORRUPT (a step
 *         between them is damaged), NOMEM
 */
int past_diff(const struct history *h, uint64_t from, uint64_t to,
    struct arena *arena, struct change **out, uint64_t *n, struct err *e);

/*
 * past_known - is there, or was there ever, a file or folder of this name?
 * Who asks for one that nobody has heard of has mistaken it.
 * Returns 0, or -1 with *e: MISSING, REFUSED (it cannot be a name)
 */
int past_known(const struct volume *v, const struct history *h,
    const char *name, struct arena *arena, struct err *e);

/*
 * past_rollback - the names mean what they did at a point, as a new step
 * name     NULL: all; else the file or folder of this name alone
 * Returns  0, or -1 with *e: MISSING (content is no longer there, or nothing
 *          of this name was there then or is now), CORRUPT, and edit_commit's
 */
int past_rollback(const struct volume *v, const char *point, const char *name,
    struct step *out, struct arena *arena, struct err *e);

#endif
