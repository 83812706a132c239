/*
 * unfinished.h - is a snapshot all that was asked for? A ref is written last,
 * so what it names is; a commit named by its digits has no such witness. Its
 * first pull leaves a mark, ml/pulling/<commit>, before the first entry, and
 * takes it away after the last. A mark beside a listing says nothing: the
 * listing is written after the entries.
 */
#ifndef CACHE_UNFINISHED_H
#define CACHE_UNFINISHED_H

#include "cache/hubdir.h"

/* unfinished_mark - from now on, and durably, it is not. */
int unfinished_mark(const struct hubdir *h, const struct repo *r,
    const char *commit, struct err *e);

/* unfinished_clear - it is; its listing is written and tells so, too. */
void unfinished_clear(
    const struct hubdir *h, const struct repo *r, const char *commit);

/*
 * unfinished_check - what stands in the way of using a snapshot
 * Returns 0, or -1 with *e: MISSING (its pull did not come to its end, or an
 *         entry leads nowhere), IO, NOMEM
 */
int unfinished_check(const struct hubdir *h, const struct repo *r,
    const char *commit, struct err *e);

#endif
