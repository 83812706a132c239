/*
 * env.h - environment variables, read in one place. Empty counts as unset.
 */
#ifndef BASE_ENV_H
#define BASE_ENV_H

#include "base/err.h"

/* env_get - the value, or NULL when unset or empty. */
const char *env_get(const char *name);

/* env_true - the value is 1, on, yes or true, in any case. */
bool env_true(const char *name);

/*
 * env_path - a path from a variable, with a leading "~" and "$NAME" parts
 * expanded, into out of PATH_MAX bytes. Returns false when unset.
 */
bool env_path(const char *name, char *out);

/* env_home - the user's home folder; "/" when even the system knows none. */
const char *env_home(void);

#endif
