#include "verify-run/timeline.h"

#include "base/clock.h"

void timeline_start(struct timeline *t)
{
    t->since = clock_seconds();
}

void timeline_add(struct timeline *t, const char *name, double seconds)
{
    if (t->n < TIMELINE_MAX)
        t->v[t->n++] = (struct span){ name, seconds };
    t->since += seconds;
}

void timeline_mark(struct timeline *t, const char *name)
{
    timeline_add(t, name, clock_seconds() - t->since);
}

double timeline_total(const struct timeline *t)
{
    double sum = 0;

    for (size_t i = 0; i < t->n; i++)
        sum += t->v[i].seconds;
    return sum;
}
