#include "cache/listing.h"

#include <stdlib.h>

void listing_free(struct listing *l)
{
    free(l->v);
    *l = (struct listing)LISTING_INIT;
}

static struct tree_file *new_file(struct listing *l, struct err *e)
{
    size_t cap = l->cap ? 2 * l->cap : 64;
    struct tree_file *v;

    if (l->n >= LISTING_FILES_MAX) {
        err_set(e, ERR_REFUSED, "more than %d files", LISTING_FILES_MAX);
        return NULL;
    }
    if (l->n == l->cap) {
        v = reallocarray(l->v, cap, sizeof(*v));
        if (v == NULL) {
            err_set(e, ERR_NOMEM, "out of memory");
            return NULL;
        }
        l->v = v;
        l->cap = cap;
    }
    return &l->v[l->n];
}

int listing_put(struct listing *l, const struct tree_file *f, struct err *e)
{
    struct tree_file *at = new_file(l, e);

    if (at == NULL)
        return -1;
    *at = *f;
    l->n++;
    return 0;
}

static int by_path(const void *a, const void *b)
{
    const struct tree_file *x = a, *y = b;

    return str_cmp(x->path, y->path);
}

static bool has_path(const struct listing *l, struct str path)
{
    struct tree_file key = { .path = path };

    return bsearch(&key, l->v, l->n, sizeof(*l->v), by_path) != NULL;
}

static int check_names(const struct listing *l, struct err *e)
{
    for (size_t i = 0; i < l->n; i++) {
        struct str p = l->v[i].path;

        if (i > 0 && str_eq(p, l->v[i - 1].path))
            return err_set(
                e, ERR_REFUSED, "'%.*s' stands in it twice", STR_ARG(p));
        for (size_t n = 1; n < p.len; n++) {
            struct str front = { p.p, n };
            if (p.p[n] == '/' && has_path(l, front))
                return err_set(e, ERR_REFUSED, "'%.*s' is a file and a folder",
                    STR_ARG(front));
        }
    }
    return 0;
}

int listing_end(
    struct listing *l, struct arena *arena, struct tree *out, struct err *e)
{
    if (l->n > 0)
        qsort(l->v, l->n, sizeof(*l->v), by_path);
    if (check_names(l, e) != 0)
        return -1;
    out->files = arena_alloc(arena, l->n, sizeof(*out->files), e);
    if (out->files == NULL)
        return -1;
    if (l->n > 0)
        memcpy(out->files, l->v, l->n * sizeof(*l->v));
    out->n = l->n;
    return 0;
}
