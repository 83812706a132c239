#include "verify-run/spanbpe.h"

#include <stdlib.h>

#include "verify-run/grow.h"

void spanbpe_work_free(struct spanbpe_work *w)
{
    free(w->v);
    free(w->splits);
    pairheap_free(&w->heap);
    *w = (struct spanbpe_work)SPANBPE_WORK_INIT;
}

int spanbpe_symbol(
    struct spanbpe_work *w, uint32_t len, bool frozen, struct err *e)
{
    struct span *v = grow(w->v, &w->cap, w->n + 1, sizeof(*v), e);
    uint32_t at = (uint32_t)w->n;

    if (v == NULL)
        return -1;
    w->v = v;
    v[at] =
        (struct span){ .start = at == 0 ? 0 : v[at - 1].start + v[at - 1].len,
            .len = len,
            .prev = at == 0 ? SPAN_NEVER : at - 1,
            .next = SPAN_NEVER,
            .frozen = frozen };
    if (at > 0)
        v[at - 1].next = at;
    w->n++;
    return 0;
}

/* The token that the symbol at a place and the next make, or VOCAB_NONE. */
static uint32_t token_at(const struct spanbpe *b, struct str text,
    const struct spanbpe_work *w, uint32_t at)
{
    const struct span *s = &w->v[at], *next;
    size_t len;
    uint32_t id;

    if (s->len == 0 || s->next == SPAN_NEVER)
        return VOCAB_NONE;
    next = &w->v[s->next];
    len = (size_t)s->len + next->len;
    if (s->frozen || next->frozen || len > b->longest)
        return VOCAB_NONE;
    id = vocab_find(b->vocab, (struct str){ text.p + s->start, len });
    return id == VOCAB_NONE || b->rank[id] == SPAN_NEVER ? VOCAB_NONE : id;
}

static int offer(const struct spanbpe *b, struct str text,
    struct spanbpe_work *w, uint32_t at, struct err *e)
{
    uint32_t id = at == SPAN_NEVER ? VOCAB_NONE : token_at(b, text, w, at);

    if (id == VOCAB_NONE)
        return 0;
    if (b->again != NULL && b->again[id])
        w->splits[id].left = w->v[at].len;
    return pairheap_push(&w->heap, b->rank[id], at, e);
}

static void join(struct spanbpe_work *w, uint32_t at)
{
    struct span *s = &w->v[at], *next = &w->v[s->next];

    s->len += next->len;
    s->next = next->next;
    next->len = 0;
    if (s->next != SPAN_NEVER)
        w->v[s->next].prev = at;
}

static int begin(const struct spanbpe *b, struct spanbpe_work *w, struct err *e)
{
    w->heap.n = 0;
    if (b->again == NULL)
        return 0;
    free(w->splits);
    w->splits = calloc(b->vocab->size, sizeof(*w->splits));
    if (w->splits == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    return 0;
}

int spanbpe_join(const struct spanbpe *b, struct str text,
    struct spanbpe_work *w, struct err *e)
{
    uint32_t rank, at;

    if (begin(b, w, e) != 0)
        return -1;
    for (uint32_t i = 0; i + 1 < w->n; i++)
        if (offer(b, text, w, i, e) != 0)
            return -1;
    while (pairheap_pop(&w->heap, &rank, &at)) {
        uint32_t id = token_at(b, text, w, at);

        /* The pair may have changed since it was put in. */
        if (id == VOCAB_NONE || b->rank[id] != rank)
            continue;
        join(w, at);
        if (offer(b, text, w, w->v[at].prev, e) != 0 ||
            offer(b, text, w, at, e) != 0)
            return -1;
    }
    return 0;
}
