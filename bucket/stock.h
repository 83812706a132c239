/* stock.h - all that a bucket's volume has, as look.h tells of one here. */
#ifndef BUCKET_STOCK_H
#define BUCKET_STOCK_H

#include "bucket/bucket.h"
#include "cache/look.h"

/*
 * stock_look - repositories and put files; all of *out is in arena
 * A revision's files are those whose bytes are there, as its listing says; no
 * object is asked. What is damaged is left out with a warning.
 * Returns 0, or -1 with *e: MISSING (no volume there), ...
 */
int stock_look(
    struct bucket *b, struct look *out, struct arena *arena, struct err *e);

#endif
