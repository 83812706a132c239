/* planview.h - a planned or finished pull as a table or as JSON. */
#ifndef FETCH_PLANVIEW_H
#define FETCH_PLANVIEW_H

#include "fetch/pull.h"

/* What stands in the entries of --json, for --help. */
#define PLANVIEW_ENTRY_KEYS                                                    \
    "path, size, sha256 or git_sha1, state (held: there; link: its bytes are " \
    "here or another file's, only the name is to be made; partial: begun, "    \
    "with kept, the bytes that are here; missing)"

/*
 * planview_table - a line per file, by path, with size, state and the first
 * digits of its digest
 */
void planview_table(struct buf *out, const struct pull *p);

/* planview_totals - what is to come, and what it takes. */
void planview_totals(struct buf *out, const struct pull *p);

/* planview_entries - the files as a JSON list. */
void planview_entries(struct buf *out, const struct pull *p);

/*
 * planview_json - one pull as an object: what pull, warm --json print a list
 * of; dry says that it was planned only
 */
void planview_json(struct buf *out, const struct pull *p, bool dry);

/* planview_field - "name": "text", for JSON. */
void planview_field(struct buf *out, const char *name, const char *text);

#endif
