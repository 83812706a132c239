/*
 * space.h - room on the disk for all that is to come, before its first byte.
 *
 * What a file needs is reserved in its own partial, so that another process
 * that fetches the same file finds the room taken care of, and what a killed
 * process reserved is used by the next one. A reserved partial is empty: its
 * blocks lie behind its end.
 */
#ifndef FETCH_SPACE_H
#define FETCH_SPACE_H

#include "fetch/plan.h"

/* One plan, and where its files go. */
struct space {
    const struct hubdir *dir; /* the same for all */
    const struct repo *repo;
    struct plan *plan;
    uint64_t extra; /* bytes that will be written besides */
};

/* space_needed - bytes all of it will take; every content counts once. */
int space_needed(const struct space *v, size_t n, uint64_t *out, struct err *e);

/* space_check - is there room for all n? 0, or -1 with *e: NOSPACE, IO. */
int space_check(const struct space *v, size_t n, struct err *e);

/*
 * space_reserve - the same, and take it
 * A file system that cannot reserve is only checked.
 * Returns 0, or -1 with *e: NOSPACE (how much is missing, and where; nothing
 *         stays reserved), IO
 */
int space_reserve(const struct space *v, size_t n, struct err *e);

/* space_release - give back what was reserved and not begun. Idempotent. */
void space_release(const struct space *s);

#endif
