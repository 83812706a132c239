/*
 * folder.h - a folder that appears whole or not at all: built under a
 * temporary name beside its place, every file synced, then renamed.
 */
#ifndef CONVERT_FOLDER_H
#define CONVERT_FOLDER_H

#include <limits.h>

#include "base/err.h"

struct folder {
    char tmp[PATH_MAX];  /* where it is built */
    char path[PATH_MAX]; /* the name it gets */
    int lock;            /* held while it lives, so that it is not swept */
    bool live;           /* tmp exists and is not committed */
};

#define FOLDER_INIT                                                            \
    {                                                                          \
        .lock = -1                                                             \
    }

/*
 * folder_check - may path become a folder made from source?
 * source   a file or folder that is read
 * force    an older conversion, or an empty folder, may be replaced
 * Returns  0, or -1 with *e: USAGE (it exists; it is, holds or lies in the
 *          source; it is a symbolic link; it has no name of its own, such as
 *          ".."; with force: it is no conversion), IO
 */
int folder_check(
    const char *path, const char *source, bool force, struct err *e);

/*
 * folder_holds - is path the folder, or would it lie in it?
 * Neither needs to exist.
 */
bool folder_holds(const char *folder, const char *path);

/*
 * folder_sweep - remove what earlier runs for path left when they were killed
 * To be called before free space is asked for; it cannot fail.
 */
void folder_sweep(const char *path);

/* folder_begin - make the temporary folder, and parents that are missing. */
int folder_begin(struct folder *f, const char *path, struct err *e);

/*
 * folder_commit - make it durable and visible under its name
 * replace  exchange it with what stands there, and remove that
 * Returns  0, or -1 with *e: IO; BUSY when another process was first; USAGE
 *          when what stands there holds a file that no conversion made
 */
int folder_commit(struct folder *f, bool replace, struct err *e);

/* folder_abandon - remove what was not committed; idempotent, for AUTO. */
void folder_abandon(struct folder *f);

#endif
