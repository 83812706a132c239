/*
 * moves.h - names of a volume that go, or are to be others: rm, mv and cp,
 * each one step of the log. No byte is copied or removed by any of them.
 */
#ifndef CACHE_MOVES_H
#define CACHE_MOVES_H

#include "cache/step.h"

struct moves {
    const struct volume *v;
    bool keep;    /* cp: the old names stay */
    bool folders; /* -r: take folders, too; mv takes them anyway */
    bool force;   /* a name that has other content is replaced */
};

/*
 * moves_rm - these n names go: files, and folders with all below them
 * out      the step; its number is 0 where nothing has changed
 * Returns  0, or -1 with *e: MISSING, USAGE (a folder), and edit_commit's
 */
int moves_rm(const struct moves *m, char *const *names, size_t n,
    struct step *out, struct arena *arena, struct err *e);

/*
 * moves_run - the first n - 1 names become the last; or go into it, where it
 * ends in '/', is a folder, or they are several. "/" is the top.
 * Returns  0, or -1 with *e: MISSING, USAGE (a folder; a name has other
 *          content; into itself), REFUSED (a name cannot be one), and
 *          edit_commit's
 */
int moves_run(const struct moves *m, char *const *names, size_t n,
    struct step *out, struct arena *arena, struct err *e);

#endif
