/*
 * treepage.h - a page of the tree API. Pure: no network. Source: hub protocol,
 * section 2.2.
 */
#ifndef FETCH_TREEPAGE_H
#define FETCH_TREEPAGE_H

#include "cache/listing.h"

/*
 * treepage_read - add the files of one page; folders are left out
 * Returns 0, or -1 with *e: REFUSED (malformed, an unsafe path), NOMEM.
 * Paths are copied into arena.
 */
int treepage_read(
    struct listing *l, struct str page, struct arena *arena, struct err *e);

/*
 * treepage_next - the rel="next" target of a Link header, into out (URL_MAX)
 * Returns false when there is none.
 */
bool treepage_next(const char *link, char *out);

#endif
