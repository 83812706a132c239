/*
 * journal.h - which bytes of a partial download are on disk for good.
 *
 * A text file, written atomically, tied to the content's digest and size:
 *
 *   ml-journal 1
 *   etag <hex>
 *   size <bytes>
 *   range <from> <to>        any number, sorted, to is behind the last byte
 *   sum <SHA-256 of all the lines above>
 *
 * It may claim only bytes that were synced before it was written. One that
 * is damaged, or about anything else, claims nothing.
 */
#ifndef FETCH_JOURNAL_H
#define FETCH_JOURNAL_H

#include "base/buf.h"
#include "base/hash.h"
#include "fetch/ranges.h"

enum { JOURNAL_MAX = 1 << 22 };

/* journal_text - append the journal's text to out. 0 or -1 with *e. */
int journal_text(const struct digest *etag, uint64_t size,
    const struct ranges *have, struct buf *out, struct err *e);

/*
 * journal_parse - the ranges a journal's text claims, into an empty set
 * Returns false, and an empty set, when it is damaged or not of this content.
 */
bool journal_parse(struct str text, const struct digest *etag, uint64_t size,
    struct ranges *out);

/* journal_write - replace the journal at path, durably. */
int journal_write(const char *path, const struct digest *etag, uint64_t size,
    const struct ranges *have, struct err *e);

/* journal_read - as journal_parse; a missing file claims nothing. */
bool journal_read(const char *path, const struct digest *etag, uint64_t size,
    struct ranges *out);

#endif
