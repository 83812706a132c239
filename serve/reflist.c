#include "serve/reflist.h"

#include <stdio.h>

void reflist_open(struct reflist *l)
{
    *l = (struct reflist){ .lock = PTHREAD_MUTEX_INITIALIZER };
}

static void forget(struct reflist_of *of)
{
    arena_free(&of->arena);
    *of = (struct reflist_of){ .arena = ARENA_INIT(REFLIST_BYTES) };
}

void reflist_close(struct reflist *l)
{
    for (size_t i = 0; i < REFLIST_REPOS; i++)
        forget(&l->of[i]);
    pthread_mutex_destroy(&l->lock);
}

static int copy(struct arena *arena, const struct supply_ref *v, uint64_t n,
    struct supply_ref **out, struct err *e)
{
    *out = arena_alloc(arena, n, sizeof(**out), e);
    if (*out == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        (*out)[i] = v[i];
        (*out)[i].name = arena_str(arena, v[i].name, e);
        if ((*out)[i].name.p == NULL)
            return -1;
    }
    return 0;
}

/* Its own place, or the one that is over first. */
static struct reflist_of *place(struct reflist *l, const char *folder)
{
    struct reflist_of *first = &l->of[0];

    for (size_t i = 0; i < REFLIST_REPOS; i++) {
        if (strcmp(l->of[i].folder, folder) == 0)
            return &l->of[i];
        if (l->of[i].until_ms < first->until_ms)
            first = &l->of[i];
    }
    return first;
}

/* All but this one, as many as it takes. */
static void make_room(struct reflist *l, const struct reflist_of *keep)
{
    for (;;) {
        struct reflist_of *first = NULL;
        uint64_t sum = 0;

        for (size_t i = 0; i < REFLIST_REPOS; i++) {
            struct reflist_of *of = &l->of[i];

            sum += of->arena.used;
            if (of != keep && of->arena.used > 0 &&
                (first == NULL || of->until_ms < first->until_ms))
                first = of;
        }
        if (sum <= REFLIST_BYTES || first == NULL)
            return;
        forget(first);
    }
}

int reflist_keep(struct reflist *l, const struct repo *r,
    const struct supply_ref *v, uint64_t n, uint64_t now_ms, uint64_t ms,
    struct err *e)
{
    struct reflist_of *of;
    int rc;

    pthread_mutex_lock(&l->lock);
    of = place(l, r->folder);
    forget(of);
    rc = copy(&of->arena, v, n, &of->v, e);
    if (rc == 0) {
        snprintf(of->folder, sizeof(of->folder), "%s", r->folder);
        of->until_ms = now_ms + ms;
        of->n = n;
        make_room(l, of);
    } else {
        forget(of);
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

int reflist_find(struct reflist *l, const struct repo *r, uint64_t now_ms,
    struct arena *arena, struct supply_ref **out, uint64_t *n, struct err *e)
{
    const struct reflist_of *of;
    int rc = 0;

    pthread_mutex_lock(&l->lock);
    of = place(l, r->folder);
    if (strcmp(of->folder, r->folder) == 0 && now_ms < of->until_ms) {
        *n = of->n;
        rc = copy(arena, of->v, of->n, out, e) != 0 ? -1 : 1;
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}
