#include "fetch/listing.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/path.h"

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

static bool get_digest(
    const struct json *v, enum hash_kind kind, struct digest *out)
{
    const char *text;

    return json_str(v, &text) && digest_parse(out, str_of(text)) &&
           out->kind == kind;
}

static int read_entry(const struct json *v, struct tree_file *f,
    struct arena *arena, struct err *e)
{
    const struct json *lfs = json_get(v, "lfs");
    const char *path;

    if (!json_str(json_get(v, "path"), &path))
        return err_set(e, ERR_REFUSED, "an entry without a path");
    if (path_check(str_of(path), e) != 0) {
        return err_hint(e, "the server lists a name that would be written "
                           "outside of its folder; nothing was written");
    }
    *f = (struct tree_file){ .lfs =
                                 lfs != NULL && json_kind(lfs) == JSON_OBJECT };
    if (!json_u64(json_get(v, "size"), &f->size) ||
        !get_digest(json_get(v, "oid"), HASH_GIT_SHA1, &f->oid) ||
        (f->lfs &&
            (!get_digest(json_get(lfs, "oid"), HASH_SHA256, &f->sha256) ||
                !json_u64(json_get(lfs, "size"), &f->size))))
        return err_set(e, ERR_REFUSED,
            "'%.200s': size or digest is missing or malformed", path);
    f->path = arena_str(arena, str_of(path), e);
    return f->path.p == NULL ? -1 : 0;
}

int listing_add(
    struct listing *l, struct str page, struct arena *arena, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    const char *type;

    if (json_parse(&doc, page, 0, e) != 0)
        return -1;
    if (json_kind(doc.root) != JSON_ARRAY)
        return err_set(e, ERR_REFUSED, "not a list");
    for (const struct json *v = json_first(doc.root); v; v = json_next(v)) {
        struct tree_file *f;

        if (!json_str(json_get(v, "type"), &type))
            return err_set(e, ERR_REFUSED, "an entry without a type");
        if (strcmp(type, "file") != 0)
            continue;
        f = new_file(l, e);
        if (f == NULL || read_entry(v, f, arena, e) != 0)
            return -1;
        l->n++;
    }
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
