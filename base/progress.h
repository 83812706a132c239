/*
 * progress.h - how far long work has come, for a person or a program.
 *
 * Workers add to atomic counters; one renderer thread draws. Modes:
 *   tty    live bars on stderr, per item and total: bytes, rate, time left;
 *          drawn only after a short delay, redrawn in place, fitted to the
 *          width of the terminal, taken away at the end
 *   plain  one line now and then (first after 2 s, then every 10 s, and one
 *          at the end if any was written)
 *   json   one event per line: {"event":"progress","item":..,"done":..,
 *          "total":..}, and "start" and "done" events per item
 *   none   nothing
 *   scope  told to the scope of who opened it (scope.h), which a user cannot
 *          ask for
 *   auto   tty when stderr is a terminal that can move its cursor (TERM is
 *          set and not "dumb"), else plain
 * NO_COLOR is honoured. Log lines (log.h) and bars never mix.
 */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <stdatomic.h>

#include "base/err.h"

enum progress_mode {
    PROGRESS_AUTO,
    PROGRESS_TTY,
    PROGRESS_PLAIN,
    PROGRESS_JSON,
    PROGRESS_NONE,
    PROGRESS_SCOPE
};

struct progress;      /* the display; one at a time in a process, or scope */
struct progress_item; /* one file, or one piece of work */

/*
 * progress_open - start the display
 * verb       what is being done: "fetching", "converting"
 * total      bytes of all items together, 0 when unknown
 * Returns    NULL with *e: NOMEM, IO, BUG (one is open already)
 */
struct progress *progress_open(
    enum progress_mode mode, const char *verb, uint64_t total, struct err *e);

/* progress_close - take it away; NULL is fine. Items end with it. */
void progress_close(struct progress *p);
void progress_close_auto(struct progress **p); /* for AUTO */

/*
 * progress_item - a new item; p NULL gives NULL, which every call below
 * accepts. The name is copied. Any thread.
 */
struct progress_item *progress_item(
    struct progress *p, const char *name, uint64_t total);

/* progress_add - this many more bytes of the item are done. Any thread. */
void progress_add(struct progress_item *it, uint64_t bytes);

/* progress_undo - this many bytes have to be done again. Any thread. */
void progress_undo(struct progress_item *it, uint64_t bytes);

/* progress_held - bytes that were there before: count as done, not in rate. */
void progress_held(struct progress_item *it, uint64_t bytes);

/* progress_state - a word shown beside the item ("retrying", ""). */
void progress_state(struct progress_item *it, const char *word);

/* progress_done - the item is finished and may leave the screen. */
void progress_done(struct progress_item *it);

#endif
