/*
 * targets.h - what the user wants checked: the targets as written, and
 * behind each repository or put file the conversions kept beside it.
 */
#ifndef VERIFY_TARGETS_H
#define VERIFY_TARGETS_H

#include "cache/find.h"
#include "verify/findings.h"

struct target {
    struct str text; /* as the user wrote it; "... (converted)" for more */
    bool derived;    /* a conversion kept beside what the user named */
    struct found found;
    struct findings report;
};

struct targets {
    struct arena arena;
    struct target *v;
    size_t n;
    size_t cap;
};

#define TARGETS_INIT                                                           \
    {                                                                          \
        .arena = ARENA_INIT((uint64_t)64 << 20)                                \
    }

void targets_free(struct targets *t);

/*
 * targets_add - resolve one text (cache/find.h) and its conversions
 * Returns  0, or -1 with *e: MISSING with a hint, USAGE, REFUSED, IO, NOMEM
 */
int targets_add(
    struct targets *t, const char *text, const char *volume, struct err *e);

/* targets_add_found - the same of what was resolved already. */
int targets_add_found(struct targets *t, const char *text,
    const struct found *found, struct err *e);

#endif
