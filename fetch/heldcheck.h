/*
 * heldcheck.h - are the bytes on disk the ones their names promise? Reads and
 * hashes them, several files at a time.
 */
#ifndef FETCH_HELDCHECK_H
#define FETCH_HELDCHECK_H

#include "base/progress.h"
#include "fetch/plan.h"

struct heldcheck {
    const struct hubdir *dir;
    const struct repo *repo;
    const char *commit;
    enum progress_mode progress;
};

/*
 * heldcheck_run - hash every file of the n that is HELD, or to be LINKed
 * A damaged one becomes PLAN_FETCH, again.
 * damaged  the first of them, or NULL
 * Returns  0, or -1 with *e: IO, CANCELLED, NOMEM
 */
int heldcheck_run(const struct heldcheck *c, struct plan_file *files, size_t n,
    const struct plan_file **damaged, struct err *e);

#endif
