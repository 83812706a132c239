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

#endif
