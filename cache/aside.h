/*
 * aside.h - files and folders that leave their place: moved to a name that is
 * free, or removed with all that is below them.
 */
#ifndef CACHE_ASIDE_H
#define CACHE_ASIDE_H

#include "base/err.h"

/*
 * aside_move - rename path to dir/name, or dir/name.2 ... where that is taken
 * dir is made; both folders are synced. The new path into out of PATH_MAX
 * bytes. Returns 0, or -1 with *e: MISSING, IO
 */
int aside_move(const char *path, const char *dir, const char *name, char *out,
    struct err *e);

/*
 * aside_inside - root/part, into out of PATH_MAX bytes, if no folder of part,
 * nor its end, is a symbolic link: what is behind one is not ours to move or
 * remove. root itself may be one. What is not there is fine.
 * Returns 0, or -1 with *e: REFUSED
 */
int aside_inside(const char *root, const char *part, char *out, struct err *e);

/* aside_back - the same file to a path that must be free; synced. BUSY: it is
 * not. */
int aside_back(const char *from, const char *path, struct err *e);

/* aside_remove - path, and all below it if it is a folder; no link is
 * followed. What is not there is fine. */
int aside_remove(const char *path, struct err *e);

/* aside_prune - the folders of path's that are empty, up to root. */
void aside_prune(const char *path, const char *root);

#endif
