/*
 * checklog.h - which objects a check has found right so far, so that one that
 * was interrupted goes on where it ended. A text file, one line per object,
 * each with a checksum of its own; a torn line claims nothing. An object is
 * known by its inode, size and times: one that was touched since is checked
 * again.
 */
#ifndef CACHE_CHECKLOG_H
#define CACHE_CHECKLOG_H

#include <sys/stat.h>

#include "base/arena.h"
#include "base/hash.h"

/* What was found right longer ago may have gone wrong since. */
enum { CHECKLOG_DAYS = 7 };

struct checklog {
    int fd; /* -1: nothing is noted */
    char path[4096];
    uint64_t *seen; /* of the lines that were there, sorted */
    uint64_t n;
};

#define CHECKLOG_INIT                                                          \
    {                                                                          \
        .fd = -1                                                               \
    }

/*
 * checklog_open - begin, or go on with what is at path
 * Never fails: where it cannot be written, or another check is writing it,
 * nothing is remembered.
 */
void checklog_open(struct checklog *l, const char *path, struct arena *arena);

/* checklog_has - was it found right? */
bool checklog_has(
    const struct checklog *l, const struct digest *d, const struct stat *st);

/* checklog_add - it was. Any thread. */
void checklog_add(
    const struct checklog *l, const struct digest *d, const struct stat *st);

/* checklog_end - the check came to its end: nothing is left to remember. */
void checklog_end(struct checklog *l);

/* checklog_close - it did not; idempotent, for AUTO. */
void checklog_close(struct checklog *l);

#endif
