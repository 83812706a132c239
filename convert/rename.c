#include "convert/rename.h"

#include <stdlib.h>

static const uint64_t ARENA_LIMIT = (uint64_t)1 << 30;

static const char *const anywhere[] = { "_fsdp_wrapped_module.",
    "_checkpoint_wrapped_module." };
static const char *const in_front[] = { "module.", "_orig_mod.",
    "_forward_module." };

/* The length of a wrapper's name that the path rest begins with, or 0. */
static size_t wrapper_at(struct str rest)
{
    for (size_t i = 0; i < ARRAY_LEN(anywhere); i++)
        if (str_starts(rest, anywhere[i]))
            return strlen(anywhere[i]);
    return 0;
}

/* name without wrappers; itself when it has none, or nothing else. */
static struct str unwrap(struct arena *a, struct str name, struct err *e)
{
    char *p = arena_alloc(a, name.len + 1, 1, e);
    size_t len = 0, at = 0;

    while (p != NULL && at < name.len) {
        size_t n = at == 0 || name.p[at - 1] == '.'
                       ? wrapper_at((struct str){ name.p + at, name.len - at })
                       : 0;

        if (n == 0)
            p[len++] = name.p[at++];
        at += n;
    }
    return len > 0 ? (struct str){ p, len } : name;
}

static bool has_wrapper(struct str name)
{
    for (size_t at = 0; at < name.len; at++)
        if ((at == 0 || name.p[at - 1] == '.') &&
            wrapper_at((struct str){ name.p + at, name.len - at }) > 0)
            return true;
    return false;
}

static bool all_start(const struct checkpoint *c, const char *prefix)
{
    for (uint64_t i = 0; i < c->n_tensors; i++)
        if (!str_starts(c->tensors[i].name, prefix) ||
            c->tensors[i].name.len == strlen(prefix))
            return false;
    return c->n_tensors > 0;
}

/* One prefix less, if every name has the same. */
static bool strip_one(struct checkpoint *c)
{
    for (size_t i = 0; i < ARRAY_LEN(in_front); i++) {
        if (!all_start(c, in_front[i]))
            continue;
        for (uint64_t k = 0; k < c->n_tensors; k++) {
            c->tensors[k].name.p += strlen(in_front[i]);
            c->tensors[k].name.len -= strlen(in_front[i]);
        }
        return true;
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(
        ((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static int by_new_name(const void *a, const void *b)
{
    return str_cmp(((const struct manifest_rename *)a)->name,
        ((const struct manifest_rename *)b)->name);
}

/* Sorted by the new name; a name that two would have is refused. */
static int sort(struct renames *r, struct checkpoint *c, struct err *e)
{
    uint64_t n = 0;

    qsort(r->v, r->n, sizeof(*r->v), by_new_name);
    qsort(c->tensors, c->n_tensors, sizeof(*c->tensors), by_name);
    for (uint64_t i = 1; i < r->n; i++)
        if (str_eq(r->v[i].name, r->v[i - 1].name))
            return err_set(e, ERR_REFUSED,
                "%s: '%.*s' and '%.*s' would both be called '%.*s'",
                c->files[0].path, (int)size_min(r->v[i - 1].was.len, 200),
                r->v[i - 1].was.p, (int)size_min(r->v[i].was.len, 200),
                r->v[i].was.p, (int)size_min(r->v[i].name.len, 200),
                r->v[i].name.p);
    for (uint64_t i = 0; i < r->n; i++)
        if (!str_eq(r->v[i].name, r->v[i].was))
            r->v[n++] = r->v[i];
    r->n = n;
    return 0;
}

int renames_apply(struct renames *out, struct checkpoint *c,
    enum rename_rule rule, struct err *e)
{
    *out = (struct renames){ .arena = ARENA_INIT(ARENA_LIMIT) };
    if (rule == RENAME_NONE || c->n_tensors == 0)
        return 0;
    out->v = arena_alloc(&out->arena, c->n_tensors, sizeof(*out->v), e);
    if (out->v == NULL)
        return -1;
    for (uint64_t i = 0; i < c->n_tensors; i++) {
        out->v[i].was = c->tensors[i].name;
        if (has_wrapper(c->tensors[i].name))
            c->tensors[i].name = unwrap(&out->arena, c->tensors[i].name, e);
    }
    if (e->kind != ERR_NONE)
        return -1;
    while (strip_one(c))
        continue;
    out->n = c->n_tensors;
    for (uint64_t i = 0; i < out->n; i++)
        out->v[i].name = c->tensors[i].name;
    return sort(out, c, e);
}

void renames_free(struct renames *r)
{
    arena_free(&r->arena);
    *r = (struct renames)RENAMES_INIT;
}
