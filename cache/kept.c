#include "cache/kept.h"

#include <time.h>

#include "cache/history.h"

#define ARENA_MAX ((uint64_t)16 << 30)

static void mark(struct census *c, const struct change *change, int64_t when)
{
    struct object *o =
        change->was ? census_blob(c, NULL, &change->old.sha256) : NULL;

    if (o != NULL && o->taken < when)
        o->taken = when;
}

/* Mostly there is none, and then the log need not be read. */
static bool any_unnamed(const struct census *c)
{
    const struct census_part *part = &c->parts[c->n_repos];

    for (uint64_t i = part->from; i < part->to; i++)
        if (!c->objects[i].named)
            return true;
    return false;
}

int kept_mark(const struct volume *v, struct census *c, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);
    struct history h;

    if (!any_unnamed(c))
        return 0;
    if (history_read(v, &arena, &h, e) != 0)
        return -1;
    for (uint64_t i = 0; i < h.n; i++) {
        const struct step *s = &h.steps[i];

        for (uint64_t k = 0; k < s->n && !str_is(s->what, HISTORY_PURGE); k++)
            mark(c, &s->changes[k], s->when);
    }
    return 0;
}

bool kept_is(const struct object *o, uint64_t grace_s)
{
    /* A time to come is a clock that was wrong: kept, too. */
    return o->taken != 0 && time(NULL) - o->taken < (time_t)grace_s;
}
