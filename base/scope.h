/*
 * scope.h - on whose behalf a thread works.
 *
 * In a program there is no scope: messages go to stderr, progress to the
 * terminal, and a signal interrupts. A library has several callers at once.
 * Each enters a scope of its own, and what is said, shown, interrupted or
 * held while it is in force is that caller's alone. Threads that the rooms
 * start (pool.h and others) are in the scope of the thread that started them.
 */
#ifndef BASE_SCOPE_H
#define BASE_SCOPE_H

#include <stdatomic.h>

#include "base/log.h"

/* How far something has come. */
struct scope_progress {
    const char *what; /* "fetching" */
    uint64_t done;    /* bytes, held among them */
    uint64_t held;    /* bytes that were there before */
    uint64_t total;   /* bytes, 0 when unknown */
};

struct scope_kept;

struct scope {
    enum log_level level; /* what say is told, and all that is graver */
    /* Called by any thread of the scope, several at once; each may be NULL. */
    bool (*cancelled)(struct scope *s);
    void (*say)(struct scope *s, enum log_level level, const char *text);
    /* Now and then, and once at the end; by one thread at a time. */
    void (*progress)(struct scope *s, const struct scope_progress *now);
    /* A mapped file was shortened: its name, when torn is true (map.h). */
    atomic_bool torn;
    char torn_path[256];
    struct scope_kept *kept; /* of who entered it */
};

/* scope_enter - s is in force in this thread; NULL: none. Returns what was. */
struct scope *scope_enter(struct scope *s);

/* scope_now - the one in force, or NULL. */
struct scope *scope_now(void);

/*
 * scope_keep - what is to be held until scope_end, once for each key
 * end      called with what then, and at once if it cannot be kept, or is
 *          already
 * Returns  false then
 */
bool scope_keep(
    struct scope *s, const char *key, void *what, void (*end)(void *what));

/* scope_keeps - is something of that key held? */
bool scope_keeps(const struct scope *s, const char *key);

/* scope_end - let go of all that was kept. Idempotent. */
void scope_end(struct scope *s);

#endif
