/* path.h - paths as text: joining, splitting, and refusing the unsafe. */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include "base/err.h"
#include "base/str.h"

/* path_dir - the directory part: "a/b" gives "a", "b" gives ".", "/" "/". */
void path_dir(char *out, size_t out_len, const char *path);

/* path_base - the last component; points into path. */
const char *path_base(const char *path);

/* path_len - the length without slashes at its end; that of "/" is 1. */
size_t path_len(const char *path);

/*
 * path_join - "dir/name" into out of PATH_MAX bytes
 * Returns 0, or -1 with *e: USAGE when it does not fit.
 */
int path_join(char *out, const char *dir, const char *name, struct err *e);

/* path_fmt - a path from a format, as path_join. */
int path_fmt(char *out, struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * path_check - a relative path of a repository that may be created below a
 * folder of ours: no absolute, drive or UNC form, no empty, "." or ".."
 * component with either slash, no backslash, no control character, at most
 * 1024 bytes, each component at most 255.
 * Returns 0, or -1 with *e: REFUSED, naming the path.
 */
int path_check(struct str path, struct err *e);

/*
 * path_clean - such a path as somebody typed it, without slashes at its end,
 * into out of PATH_MAX bytes. Returns 0, or -1 as path_fmt and path_check.
 */
int path_clean(char *out, const char *text, struct err *e);

#endif
