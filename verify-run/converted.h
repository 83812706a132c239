/* converted.h - the converted form of a model, when there is one. */
#ifndef VERIFY_RUN_CONVERTED_H
#define VERIFY_RUN_CONVERTED_H

#include <limits.h>

#include "base/err.h"

/*
 * converted_find - the newest finished conversion in a folder of them
 * folder   its children are conversions, each finished when its manifest is
 *          there; "" or a folder that is not there: none
 * commit   of the snapshot: conversions of another one do not count; or ""
 * Returns  true with its path in out
 */
bool converted_find(const char *folder, const char *commit, char out[PATH_MAX]);

/*
 * converted_place - where the weights of MODEL are read: what the user
 * means by it, or its converted form when there is one
 * volume   a volume to look in, or NULL: the hub cache
 * Returns  as find_model()
 */
int converted_place(const char *model, const char *volume, char out[PATH_MAX],
    bool *converted, struct err *e);

#endif
