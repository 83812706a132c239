#include "fetch/ranges.h"

#include <stdlib.h>
#include <string.h>

void ranges_free(struct ranges *r)
{
    free(r->v);
    *r = (struct ranges)RANGES_INIT;
}

static int grow(struct ranges *r, struct err *e)
{
    size_t cap = r->cap ? 2 * r->cap : 8;
    struct range *v;

    if (r->n < r->cap)
        return 0;
    v = reallocarray(r->v, cap, sizeof(*v));
    if (v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    r->v = v;
    r->cap = cap;
    return 0;
}

/* The first range that ends at from or behind it; r->n when none does. */
static size_t find(const struct ranges *r, uint64_t from)
{
    size_t lo = 0, hi = r->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (r->v[mid].to < from)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int ranges_add(struct ranges *r, uint64_t from, uint64_t to, struct err *e)
{
    size_t i = find(r, from), j;

    if (from >= to)
        return 0;
    /* i..j are the ranges that the new one touches: they become one. */
    for (j = i; j < r->n && r->v[j].from <= to; j++) {
        from = size_min(from, r->v[j].from);
        to = size_max(to, r->v[j].to);
    }
    if (i == j) {
        if (grow(r, e) != 0)
            return -1;
        memmove(r->v + i + 1, r->v + i, (r->n - i) * sizeof(*r->v));
        r->n++;
    } else if (j > i + 1) {
        memmove(r->v + i + 1, r->v + j, (r->n - j) * sizeof(*r->v));
        r->n -= j - i - 1;
    }
    r->v[i] = (struct range){ from, to };
    return 0;
}

int ranges_copy(struct ranges *out, const struct ranges *r, struct err *e)
{
    if (r->n == 0)
        return 0;
    out->v = reallocarray(NULL, r->n, sizeof(*r->v));
    if (out->v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    memcpy(out->v, r->v, r->n * sizeof(*r->v));
    out->n = out->cap = r->n;
    return 0;
}

uint64_t ranges_end(const struct ranges *r, uint64_t at)
{
    for (size_t i = 0; i < r->n && r->v[i].from <= at; i++)
        if (at < r->v[i].to)
            return r->v[i].to;
    return at;
}

uint64_t ranges_next(const struct ranges *r, uint64_t at, uint64_t limit)
{
    for (size_t i = 0; i < r->n; i++)
        if (at < r->v[i].to)
            return size_min(limit, size_max(at, r->v[i].from));
    return limit;
}

uint64_t ranges_sum(const struct ranges *r)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < r->n; i++)
        sum += r->v[i].to - r->v[i].from;
    return sum;
}
