#include "fetch/plan.h"

#include <stdlib.h>

#include "fetch/tuner.h"

/* Same content together, then the one that is nearest to being there. */
static int by_content(const void *a, const void *b)
{
    const struct plan_file *x = a, *y = b;
    int c = strcmp(tree_etag(x->file)->hex, tree_etag(y->file)->hex);

    if (c != 0)
        return c;
    if (x->state != y->state)
        return x->state < y->state ? -1 : 1;
    return str_cmp(x->file->path, y->file->path);
}

/*
 * To fetch before the rest; small before large; then by content, not by
 * name: the locks of contents are taken in this order, and two processes
 * that wait for each other's lock would wait for ever.
 */
static int by_turn(const void *a, const void *b)
{
    const struct plan_file *x = a, *y = b;
    bool fetch_x = x->state == PLAN_FETCH, fetch_y = y->state == PLAN_FETCH;

    if (fetch_x != fetch_y)
        return fetch_x ? -1 : 1;
    if (fetch_x && x->file->size != y->file->size)
        return x->file->size < y->file->size ? -1 : 1;
    return fetch_x ? by_content(a, b) : str_cmp(x->file->path, y->file->path);
}

static bool same_content(const struct plan_file *a, const struct plan_file *b)
{
    return a->file->size == b->file->size &&
           digest_eq(tree_etag(a->file), tree_etag(b->file));
}

int plan_make(
    struct plan *out, struct plan_file *files, size_t n, struct err *e)
{
    *out = (struct plan){ .files = files, .n = n };
    qsort(files, n, sizeof(*files), by_content);
    for (size_t i = 1; i < n; i++)
        if (files[i].state == PLAN_FETCH &&
            same_content(&files[i], &files[i - 1]))
            files[i].state = PLAN_LINK;
    qsort(files, n, sizeof(*files), by_turn);
    for (size_t i = 0; i < n; i++) {
        uint64_t size = files[i].file->size;

        if (!size_add(out->bytes, size, &out->bytes))
            return err_set(e, ERR_REFUSED,
                "the listing's sizes are beyond "
                "all measure");
        if (files[i].state != PLAN_FETCH)
            continue;
        out->n_fetch++;
        out->kept_bytes += files[i].kept;
        out->fetch_bytes += size - files[i].kept;
    }
    return 0;
}

static int by_path(const void *a, const void *b)
{
    const struct plan_file *x = a, *y = b;

    return str_cmp(x->file->path, y->file->path);
}

void plan_by_path(struct plan *p)
{
    qsort(p->files, p->n, sizeof(*p->files), by_path);
}

/* As the transfer asks, as long as it knows nothing of the server. */
uint64_t plan_requests(const struct plan *p, unsigned jobs)
{
    struct tuner t = tuner_begin(jobs > 0 ? jobs : TUNER_MOST, 0);
    uint64_t n = 0;

    for (size_t i = 0; i < p->n_fetch; i++) {
        uint64_t size = p->files[i].file->size;
        uint64_t at = size_min(size, p->files[i].kept);

        n += at < size; /* where it is */
        for (; at < size; n++)
            at = tuner_cut(at, size, tuner_piece(&t, size - at, TUNER_MEMORY));
    }
    return n;
}

int plan_gaps(const struct ranges *have, uint64_t size, struct range **out,
    size_t *out_n, struct err *e)
{
    uint64_t at = 0;

    while ((at = size_max(at, ranges_end(have, at))) < size) {
        struct range *v = reallocarray(*out, *out_n + 1, sizeof(*v));

        if (v == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
        *out = v;
        v[*out_n] = (struct range){ at, ranges_next(have, at, size) };
        at = v[(*out_n)++].to;
    }
    return 0;
}
