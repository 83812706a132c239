/*
 * sibling.h - run another program of the suite: rooms compose by programs,
 * not by linking each other. It is found beside ours, or in an absolute
 * folder of PATH; what goes wrong in it, it says itself on stderr.
 */
#ifndef CACHE_SIBLING_H
#define CACHE_SIBLING_H

#include <limits.h>

#include "base/err.h"
#include "base/progress.h"

/*
 * sibling_find - where name ("mlconvert") is, into out of PATH_MAX bytes
 * Returns 0, or -1 with *e: MISSING
 */
int sibling_find(const char *name, char *out, struct err *e);

/*
 * sibling_run - run it to its end, its stdout thrown away
 * argv     its arguments, the name first, ended by NULL
 * Returns  0 with what its exit status means in *out_kind, ERR_NONE: done;
 *          -1 with *e: IO, NOMEM. An interrupt is handed on to it.
 */
int sibling_run(const char *program, const char *const *argv,
    enum err_kind *out_kind, struct err *e);

/* sibling_progress - the word for --progress. */
const char *sibling_progress(enum progress_mode mode);

#endif
