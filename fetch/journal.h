/*
 * journal.h - which bytes of a partial download are on disk for good.
 *
 * A text file, written atomically, tied to the content's digest and size:
 *
 *   ml-journal 1
 *   boot <id>                in the live journal only
 *   etag <hex>
 *   size <bytes>
 *   range <from> <to>        any number, sorted, to is behind the last byte
 *   sum <SHA-256 of all the lines above>
 *
 * It may claim only bytes that were synced before it was written. One that
 * is damaged, or about anything else, claims nothing.
 *
 * Beside it lies the live journal, <journal>.live, which is never synced and
 * is overwritten in place all the time: bytes that were written, but perhaps
 * not synced. A killed process leaves them in the kernel's memory, so they
 * count for as long as the machine has not been started anew: boot is the
 * kernel's id of this start.
 */
#ifndef FETCH_JOURNAL_H
#define FETCH_JOURNAL_H

#include "base/buf.h"
#include "base/hash.h"
#include "fetch/ranges.h"

enum { JOURNAL_MAX = 1 << 22, JOURNAL_RANGES = 1 << 16 };

/* journal_live - the live journal's name, into out of PATH_MAX bytes. */
void journal_live(const char *path, char *out);

/*
 * journal_text - append the journal's text to out. 0 or -1 with *e. Of more
 * than JOURNAL_RANGES ranges it claims the longest.
 * boot  NULL, or for the live journal the id of this start
 */
int journal_text(const char *boot, const struct digest *etag, uint64_t size,
    const struct ranges *have, struct buf *out, struct err *e);

/*
 * journal_parse - add the ranges a journal's text claims to a set
 * Returns false, and adds nothing, when it is damaged or not of this content
 * or start. Bytes behind a live journal's sum are of an older, longer one.
 */
bool journal_parse(struct str text, const char *boot, const struct digest *etag,
    uint64_t size, struct ranges *out);

/* journal_write - replace the journal at path, durably. */
int journal_write(const char *path, const struct digest *etag, uint64_t size,
    const struct ranges *have, struct err *e);

/*
 * journal_read - what the journal at path and its live one vouch for
 * Files that are missing or damaged claim nothing.
 * out_live  some of it comes from the live one; NULL: not asked
 */
void journal_read(const char *path, const struct digest *etag, uint64_t size,
    struct ranges *out, bool *out_live);

/* journal_remove - both of them. */
void journal_remove(const char *path);

#endif
