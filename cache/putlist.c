#include "cache/putlist.h"
#include "cache/volume_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cache/apply.h"
#include "cache/edit.h"
#include "cache/storing.h"
#include "cache/walk.h"

#include "base/file.h"
#include "base/human.h"
#include "base/path.h"

/* What is not larger is looked for in any case (volume_store). */
#define LARGE ((uint64_t)64 << 20)

/* The source's own name, also for "." and "models/". */
static int own_name(
    const char *source, const char *real, char *out, struct err *e)
{
    const char *base = path_base(source);

    if (base[0] == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
        base = path_base(real);
    if (base[0] == '\0')
        return err_set(e, ERR_USAGE, "'%s' has no name of its own", source);
    return path_fmt(out, e, "%s", base);
}

static int full_name(const char *source, const char *real, const char *name,
    char *out, struct err *e)
{
    char own[PATH_MAX];
    size_t n;

    if (name != NULL && !str_ends(str_of(name), "/"))
        return path_fmt(out, e, "%s", name);
    if (own_name(source, real, own, e) != 0)
        return -1;
    if (name == NULL)
        return path_fmt(out, e, "%s", own);
    for (n = strlen(name); n > 0 && name[n - 1] == '/';)
        n--;
    return path_fmt(out, e, "%.*s/%s", (int)n, name, own);
}

/* Both without links; a folder is below itself. */
static bool is_below(const char *real, const char *root)
{
    size_t n = strlen(root);

    return strcmp(root, "/") == 0 ||
           (strncmp(real, root, n) == 0 && (real[n] == '/' || real[n] == '\0'));
}

/* Is the volume, or where it will be made, in this folder? */
static bool holds_volume(const char *root, const struct volume *v)
{
    char at[PATH_MAX], up[PATH_MAX], real[PATH_MAX];

    memcpy(at, v->root, sizeof(at));
    while (realpath(at, real) == NULL) {
        path_dir(up, sizeof(up), at);
        if (strcmp(up, at) == 0)
            return false;
        memcpy(at, up, sizeof(at));
    }
    return is_below(real, root);
}

/* A link is as good as a file when it stays inside and ends at a file. */
static int follow(
    const char *root, const char *path, uint64_t *size, struct err *e)
{
    char real[PATH_MAX];
    struct stat st;

    if (realpath(path, real) == NULL)
        return err_set(e, ERR_REFUSED, "%s: a symbolic link to nothing", path);
    if (!is_below(real, root))
        return err_set(
            e, ERR_REFUSED, "%s: a symbolic link that leaves the folder", path);
    if (stat(real, &st) != 0)
        return err_sys(e, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_REFUSED,
            "%s: a symbolic link to something that is not a file", path);
    *size = (uint64_t)st.st_size;
    return 0;
}

static const char *keep(struct arena *arena, const char *text, struct err *e)
{
    return arena_str(arena, str_of(text), e).p;
}

static int add_item(const char *root, const char *real, const char *name,
    const struct walk_entry *w, struct arena *arena, struct putlist_item *out,
    struct err *e)
{
    char file[PATH_MAX], full[PATH_MAX];

    if (path_fmt(file, e, "%s/%.*s", root, STR_ARG(w->path)) != 0 ||
        path_fmt(full, e, "%s/%.*s", name, STR_ARG(w->path)) != 0)
        return -1;
    out->size = w->size;
    if (w->kind == WALK_OTHER)
        return err_set(e, ERR_REFUSED, "%s: not a regular file", file);
    if (w->kind == WALK_LINK && follow(real, file, &out->size, e) != 0)
        return -1;
    if (path_check(str_of(full), e) != 0)
        return -1;
    out->file = keep(arena, file, e);
    out->name = keep(arena, full, e);
    return out->file != NULL && out->name != NULL ? 0 : -1;
}

static int make_folder(const char *source, const char *real, const char *name,
    struct arena *arena, struct putlist_item **out, uint64_t *out_n,
    struct err *e)
{
    struct walk_entry *found;
    uint64_t n;

    if (walk(source, arena, &found, &n, e) != 0)
        return -1;
    if (n == 0)
        return err_set(e, ERR_MISSING, "%s: no file in this folder", source);
    *out = arena_alloc(arena, n, sizeof(**out), e);
    if (*out == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (add_item(source, real, name, &found[i], arena, &(*out)[i], e) != 0)
            return -1;
    *out_n = n;
    return 0;
}

int putlist_make(const struct volume *v, const char *source, const char *name,
    struct arena *arena, struct putlist_item **out, uint64_t *out_n,
    uint64_t *out_total, struct err *e)
{
    char real[PATH_MAX], full[PATH_MAX];
    struct stat st;

    *out_total = 0;
    if (realpath(source, real) == NULL || stat(real, &st) != 0)
        return err_sys(e, "%s", source);
    if (full_name(source, real, name, full, e) != 0 ||
        path_check(str_of(full), e) != 0)
        return -1;
    if (S_ISDIR(st.st_mode)) {
        if (v != NULL && holds_volume(real, v))
            return err_set(e, ERR_REFUSED, "%s: the volume %s lies in it",
                source, v->root);
        if (make_folder(source, real, full, arena, out, out_n, e) != 0)
            return -1;
    } else if (!S_ISREG(st.st_mode)) {
        return err_set(e, ERR_REFUSED, "%s: not a regular file", source);
    } else {
        *out = arena_alloc(arena, 1, sizeof(**out), e);
        if (*out == NULL)
            return -1;
        **out = (struct putlist_item){ .file = keep(arena, source, e),
            .name = keep(arena, full, e),
            .size = (uint64_t)st.st_size };
        if ((*out)->file == NULL || (*out)->name == NULL)
            return -1;
        *out_n = 1;
    }
    for (uint64_t i = 0; i < *out_n; i++)
        if (!size_add(*out_total, (*out)[i].size, out_total))
            return err_set(e, ERR_REFUSED, "%s: sizes do not add up", source);
    return 0;
}

/* What the names mean before the first byte is copied. */
struct putting {
    const struct volume *v;
    const struct putlist_item *items;
    uint64_t n;
    bool *was;
    struct volume_entry *old;
    uint64_t *sizes; /* of all that the volume holds, sorted; or NULL */
    uint64_t n_sizes;
    struct arena *arena;
};

static int check_space(const struct putting *p, struct err *e)
{
    char need[HUMAN_MAX], lack[HUMAN_MAX];
    uint64_t bytes = 0, free_bytes;

    /* At the same size it is likely the same content. */
    for (uint64_t i = 0; i < p->n; i++)
        if (!p->was[i] || p->old[i].size != p->items[i].size)
            bytes += p->items[i].size;
    if (dir_free_space(p->v->root, &free_bytes, e) != 0)
        return -1;
    if (bytes <= free_bytes)
        return 0;
    err_set(e, ERR_NOSPACE, "%s: %llu files need %s, %s more than is free",
        p->v->root, (unsigned long long)p->n, human_size(need, bytes),
        human_size(lack, bytes - free_bytes));
    return err_hint(e, "make room there, or put them into another volume");
}

static int taken(const struct putting *p, uint64_t i, struct err *e)
{
    err_set(e, ERR_USAGE, "'%s' is in the volume already, with other content",
        p->items[i].name);
    return err_hint(
        e, "-f replaces it; mlfetch rollback brings the old content back");
}

static int look(struct putting *p, bool force, struct err *e)
{
    p->was = arena_alloc(p->arena, p->n, sizeof(*p->was), e);
    p->old = arena_alloc(p->arena, p->n, sizeof(*p->old), e);
    if (p->was == NULL || p->old == NULL)
        return -1;
    for (uint64_t i = 0; i < p->n; i++) {
        struct str name = str_of(p->items[i].name);
        struct err why = ERR_INIT;

        if (edit_name_free(p->v, name, NULL, p->arena, e) != 0)
            return -1;
        /* A name whose file is damaged is put anew. */
        p->was[i] = volume_now(p->v, name, p->arena, &p->old[i], &why) == 0;
        if (p->was[i] && !force && p->old[i].size != p->items[i].size)
            return taken(p, i, e);
    }
    return p->n > 1 ? check_space(p, e) : 0;
}

static int cmp_sizes(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static int know_sizes(struct putting *p, struct err *e)
{
    struct volume_entry *list;

    if (volume_list(p->v, NULL, p->arena, &list, &p->n_sizes, e) != 0)
        return -1;
    p->sizes = arena_alloc(p->arena, p->n_sizes, sizeof(*p->sizes), e);
    if (p->sizes == NULL)
        return -1;
    for (uint64_t i = 0; i < p->n_sizes; i++)
        p->sizes[i] = list[i].size;
    if (p->n_sizes > 1)
        qsort(p->sizes, p->n_sizes, sizeof(*p->sizes), cmp_sizes);
    return 0;
}

static bool is_likely(const struct putting *p, uint64_t size)
{
    return p->n_sizes > 0 && bsearch(&size, p->sizes, p->n_sizes,
                                 sizeof(*p->sizes), cmp_sizes) != NULL;
}

static int store_all(struct putting *p, bool force, struct progress *progress,
    struct putlist_done *out, struct err *e)
{
    struct storing s AUTO(storing_free);

    storing_open(&s, p->v);
    for (uint64_t i = 0; i < p->n; i++) {
        const struct putlist_item *item = &p->items[i];
        struct volume_entry *entry = &out->entries[i];

        if (storing_put(&s, item->file, item->name, is_likely(p, item->size),
                progress, entry, &out->copied[i], e) != 0)
            return -1;
        entry->name = str_of(item->name);
        if (p->was[i] && !force && !step_same(&p->old[i], entry))
            return taken(p, i, e);
    }
    return storing_end(&s, e);
}

/* Another process gave it another meaning while we copied. */
static bool overtaken(const struct putting *p, uint64_t i,
    const struct volume_entry *put, struct err *e)
{
    struct volume_entry now;
    int rc = volume_now(p->v, put->name, p->arena, &now, e);

    if (rc < 0 && e->kind == ERR_CORRUPT) {
        err_clear(e);
        rc = 1;
    }
    if (rc < 0 || (rc == 0 && step_same(&now, put)))
        return rc < 0;
    if (p->was[i] ? rc == 0 && step_same(&now, &p->old[i]) : rc > 0)
        return false;
    err_set(e, ERR_BUSY, "'%.*s' was %s by another process meanwhile",
        STR_ARG(put->name), rc > 0 ? "removed" : "put");
    err_hint(e, "nothing was changed: see mlfetch log %s, then put it again",
        p->v->root);
    return true;
}

static int name_all(
    const struct putting *p, struct putlist_done *out, struct err *e)
{
    struct edit ed AUTO(edit_close) = EDIT_INIT;

    if (edit_begin(&ed, p->v, "put", false, p->arena, e) != 0)
        return -1;
    for (uint64_t i = 0; i < p->n; i++)
        if (overtaken(p, i, &out->entries[i], e) ||
            edit_set(&ed, out->entries[i].name, &out->entries[i], e) != 0)
            return -1;
    if (edit_commit(&ed, &out->step, e) != 0)
        return -1;
    for (uint64_t i = 0; i < p->n; i++)
        apply_show(p->v, &out->entries[i]);
    return 0;
}

int putlist_run(const struct volume *v, const struct putlist_item *items,
    uint64_t n, bool force, struct progress *progress, struct putlist_done *out,
    struct arena *arena, struct err *e)
{
    struct putting p = { .v = v, .items = items, .n = n, .arena = arena };
    struct lease lease AUTO(lease_free) = LEASE_INIT;
    char path[PATH_MAX];
    bool large = false;

    *out = (struct putlist_done){ .step = 0 };
    out->entries = arena_alloc(arena, n, sizeof(*out->entries), e);
    out->copied = arena_alloc(arena, n, sizeof(*out->copied), e);
    if (out->entries == NULL || out->copied == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        large = large || items[i].size > LARGE;
    /* What is here, or comes, is not collected before it has a name. */
    if (volume_check(v, e) != 0 || lease_of_volume(v, path, e) != 0 ||
        lease_hold(&lease, path, true, e) != 0 || look(&p, force, e) != 0 ||
        (large && know_sizes(&p, e) != 0) ||
        store_all(&p, force, progress, out, e) != 0)
        return -1;
    return name_all(&p, out, e);
}
