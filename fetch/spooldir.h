/*
 * spooldir.h - folders of this machine by way of which repositories go into
 * object storage: one for each volume, repository and commit, which a pull that
 * was killed finds again. They are a process's own while it has them open.
 */
#ifndef FETCH_SPOOLDIR_H
#define FETCH_SPOOLDIR_H

#include "base/err.h"
#include "cache/hubdir.h"

enum { SPOOLDIR_DAYS = 7 };

struct spooldir {
    char root[PATH_MAX];
    int lock;
};

#define SPOOLDIR_INIT                                                          \
    {                                                                          \
        .lock = -1                                                             \
    }

/*
 * spooldir_open - of that one; others that nobody has used for a week go
 * shown    the volume's name
 * Returns  0, or -1 with *e: BUSY (another process brings the same), IO
 */
int spooldir_open(struct spooldir *out, const char *shown, const struct repo *r,
    const char *commit, struct err *e);

/* spooldir_remove - all that is in it, and it; still to be closed. */
int spooldir_remove(const struct spooldir *d, struct err *e);

void spooldir_close(struct spooldir *d); /* idempotent, for AUTO */

#endif
