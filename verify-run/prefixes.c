#include "verify-run/prefixes.h"

#include <stdlib.h>

int prefixes_make(
    struct prefixes *p, uint32_t n, struct arena *arena, struct err *e)
{
    *p = (struct prefixes){ .n = 0 };
    p->v = arena_alloc(arena, n, sizeof(*p->v), e);
    return p->v == NULL ? -1 : 0;
}

void prefixes_add(struct prefixes *p, struct str text, uint32_t id)
{
    p->v[p->n++] = (struct prefix_text){ .text = text, .id = id };
}

static int cmp_texts(const void *a, const void *b)
{
    const struct prefix_text *x = a, *y = b;
    int c = str_cmp(x->text, y->text);

    if (c != 0)
        return c;
    return x->id < y->id ? -1 : x->id > y->id;
}

void prefixes_sort(struct prefixes *p)
{
    uint32_t n = 0;

    if (p->n > 0)
        qsort(p->v, p->n, sizeof(*p->v), cmp_texts);
    for (uint32_t i = 0; i < p->n; i++) {
        if (n > 0 && str_eq(p->v[n - 1].text, p->v[i].text))
            n--;
        p->v[n++] = p->v[i];
    }
    p->n = n;
    for (unsigned byte = 0, at = 0; byte <= 256; byte++) {
        while (at < n && (unsigned char)p->v[at].text.p[0] < byte)
            at++;
        p->first[byte] = at;
    }
}

/* The first of the texts [lo, hi), equal up to depth, with this byte or more
 * behind. */
static uint32_t lower(const struct prefixes *p, uint32_t lo, uint32_t hi,
    size_t depth, unsigned byte)
{
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        struct str s = p->v[mid].text;

        if (s.len <= depth || (unsigned char)s.p[depth] < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool prefixes_step(const struct prefixes *p, struct prefix_walk *w,
    unsigned char byte, uint32_t *id)
{
    *id = PREFIX_NONE;
    if (w->depth == 0) {
        w->lo = p->first[byte];
        w->hi = p->first[byte + 1];
    } else {
        w->lo = lower(p, w->lo, w->hi, w->depth, byte);
        w->hi = lower(p, w->lo, w->hi, w->depth, byte + 1u);
    }
    w->depth++;
    if (w->lo == w->hi)
        return false;
    if (p->v[w->lo].text.len == w->depth)
        *id = p->v[w->lo].id;
    return true;
}

size_t prefixes_longest(const struct prefixes *p, struct str s, uint32_t *id)
{
    struct prefix_walk w = { 0 };
    size_t longest = 0;
    uint32_t here;

    while (w.depth < s.len &&
           prefixes_step(p, &w, (unsigned char)s.p[w.depth], &here)) {
        if (here != PREFIX_NONE) {
            *id = here;
            longest = w.depth;
        }
    }
    return longest;
}
