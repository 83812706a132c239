/*
 * pin.h - revisions that nothing may remove: ml/pins/<commit> in a repository,
 * an empty file.
 */
#ifndef CACHE_PIN_H
#define CACHE_PIN_H

#include "cache/hubdir.h"

/* pin_set - durable when it returns; fine if it is pinned. */
int pin_set(const struct hubdir *h, const struct repo *r, const char *commit,
    struct err *e);

/* pin_clear - fine if it is not pinned. */
int pin_clear(const struct hubdir *h, const struct repo *r, const char *commit,
    struct err *e);

/* pin_is - commit NULL: is any revision of it pinned? */
bool pin_is(const struct hubdir *h, const struct repo *r, const char *commit);

#endif
