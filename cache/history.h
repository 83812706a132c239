/*
 * history.h - VOLUME/log: every change of a volume's names, one step after
 * the other (ml-volume-log(5)). A step is valid from the moment its bytes are
 * in the log; names/ and files/ follow. As long as they have not, whoever
 * reads names looks at the steps that are still to be done, too.
 *
 * A log that is not there is empty: volumes had none once.
 */
#ifndef CACHE_HISTORY_H
#define CACHE_HISTORY_H

#include "cache/step.h"

/* What a step takes out is kept for a time, but not what this one does. */
#define HISTORY_PURGE "remove"

#define HISTORY_MAX ((size_t)1 << 30)

struct history {
    struct step *steps; /* those that count, in order */
    uint64_t n;
    uint64_t last; /* the number of the last one; 0: none */
    uint64_t done; /* names/ is as this one says */
    uint64_t size; /* bytes of the log that were read */
    bool torn;     /* it does not end with a whole line */
};

/* history_path - of the log, into out of PATH_MAX bytes. */
int history_path(const struct volume *v, char *out, struct err *e);

/*
 * history_parse - the same of bytes in memory; pure
 * A step counts when its number is above all before it. Damaged lines are
 * skipped: what they said shows as a gap in the numbers.
 * Returns 0, or -1 with *e: NOMEM, REFUSED (arena full)
 */
int history_parse(
    struct str text, struct arena *arena, struct history *out, struct err *e);

/* history_read - all of it. 0, or -1 with *e: IO, NOMEM, REFUSED */
int history_read(const struct volume *v, struct arena *arena,
    struct history *out, struct err *e);

/*
 * history_pending - the steps that names/ does not show yet
 * Cheap when there are none. out->steps are those alone; last, done and
 * size are filled in.
 */
int history_pending(const struct volume *v, struct arena *arena,
    struct history *out, struct err *e);

/* history_size - bytes of the log now; 0 when there is none. */
uint64_t history_size(const struct volume *v);

/* history_find - what the newest of n steps says of a name; NULL: nothing. */
const struct change *history_find(
    const struct step *steps, uint64_t n, struct str name);

#endif
