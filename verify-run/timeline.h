/* timeline.h - what took how long, one thing after the other. */
#ifndef VERIFY_RUN_TIMELINE_H
#define VERIFY_RUN_TIMELINE_H

#include "base/sys.h"

enum { TIMELINE_MAX = 16 };

struct span {
    const char *name;
    double seconds;
};

struct timeline {
    struct span v[TIMELINE_MAX];
    size_t n;
    double since; /* clock_seconds() at the end of the last span */
};

/* timeline_start - what follows begins now; spans so far stay. */
void timeline_start(struct timeline *t);

/* timeline_mark - since the last mark or start: name. */
void timeline_mark(struct timeline *t, const char *name);

/* timeline_add - a part of what is going on, measured by itself. */
void timeline_add(struct timeline *t, const char *name, double seconds);

/* timeline_total - of all spans. */
double timeline_total(const struct timeline *t);

#endif
