#include "fetch/window.h"

#include <stdlib.h>
#include <string.h>

void window_free(struct window *w)
{
    free((void *)w->v);
    *w = (struct window)WINDOW_INIT;
}

static int grow(struct window *w, struct err *e)
{
    size_t cap = w->cap ? 2 * w->cap : 16;
    struct block **v;

    if (w->n < w->cap)
        return 0;
    v = reallocarray((void *)w->v, cap, sizeof(struct block *));
    if (v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    w->v = v;
    w->cap = cap;
    return 0;
}

int window_add(struct window *w, struct block *b, struct err *e)
{
    size_t i = w->n;

    if (grow(w, e) != 0)
        return -1;
    for (; i > 0 && w->v[i - 1]->from > b->from; i--)
        w->v[i] = w->v[i - 1];
    w->v[i] = b;
    w->n++;
    return 0;
}

static struct block *take_out(struct window *w, size_t i)
{
    struct block *b = w->v[i];

    memmove((void *)(w->v + i), (void *)(w->v + i + 1),
        (--w->n - i) * sizeof(struct block *));
    return b;
}

struct block *window_pop(struct window *w, uint64_t at)
{
    return w->n > 0 && w->v[0]->from == at ? take_out(w, 0) : NULL;
}

uint64_t window_run(const struct window *w, uint64_t at)
{
    for (size_t i = 0; i < w->n && w->v[i]->from <= at; i++)
        at = size_max(at, w->v[i]->to);
    return at;
}

uint64_t window_next(const struct window *w, uint64_t at, uint64_t limit)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i]->from >= at)
            return size_min(limit, w->v[i]->from);
    return limit;
}

/* The last block on disk behind byte from; n: there is none. */
static size_t find_spare(const struct window *w, uint64_t from)
{
    for (size_t i = w->n; i-- > 0 && w->v[i]->from > from;)
        if (w->v[i]->written)
            return i;
    return w->n;
}

bool window_spares(const struct window *w, uint64_t from)
{
    return find_spare(w, from) < w->n;
}

struct block *window_evict(struct window *w, uint64_t from)
{
    size_t i = find_spare(w, from);

    return i < w->n ? take_out(w, i) : NULL;
}
