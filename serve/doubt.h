/*
 * doubt.h - contents of which wrong bytes were given out before their digest
 * was known: for ten minutes somebody may come and go on behind them. It is
 * noted on disk, since he may come to the next run.
 */
#ifndef SERVE_DOUBT_H
#define SERVE_DOUBT_H

#include "cache/hubdir.h"

enum { DOUBT_S = 600 };

/* doubt_note - from now on. 0, or -1 with *e: it will not be known. */
int doubt_note(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, struct err *e);

/* doubt_is - may somebody have wrong first bytes of it? */
bool doubt_is(
    const struct hubdir *h, const struct repo *r, const struct digest *etag);

#endif
