/* grow.h - room for one more: the growth of every list in this room. */
#ifndef VERIFY_RUN_GROW_H
#define VERIFY_RUN_GROW_H

#include "base/err.h"

/*
 * grow - make room for need items of size bytes at p
 * Returns  where they are now, or NULL with *e: NOMEM; then p is still good.
 *          *cap becomes the number of items there is room for.
 */
void *grow(void *p, size_t *cap, size_t need, size_t size, struct err *e);

#endif
