/* converted.h - the converted form of a model, when there is one. */
#ifndef VERIFY_RUN_CONVERTED_H
#define VERIFY_RUN_CONVERTED_H

#include <limits.h>

#include "base/err.h"
#include "cache/find.h"

/*
 * converted_find - the newest finished conversion of what was found
 * One of another commit does not count; nor, of a put file, one of other
 * bytes, or one that is older than the config.json beside it.
 * Returns  true with its path in out
 */
bool converted_find(const struct found *f, char out[PATH_MAX]);

/*
 * converted_place - where the weights of MODEL are read: what the user
 * means by it, or its converted form when there is one
 * volume   a volume to look in, or NULL: the hub cache
 * Returns  as find_model()
 */
int converted_place(const char *model, const char *volume, char out[PATH_MAX],
    bool *converted, struct err *e);

#endif
