#include "cache/putlist.h"
#include "cache/volume_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cache/walk.h"

#include "base/file.h"
#include "base/human.h"
#include "base/path.h"

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
        if (holds_volume(real, v))
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

/* What a name holds already at the same size is likely the same content. */
static int check_space(const struct volume *v, const struct putlist_item *items,
    uint64_t n, struct arena *arena, struct err *e)
{
    char need[HUMAN_MAX], lack[HUMAN_MAX];
    uint64_t bytes = 0, free_bytes;

    for (uint64_t i = 0; i < n; i++) {
        struct err ignored = ERR_INIT;
        struct volume_entry old;
        if (volume_entry_read(
                v, str_of(items[i].name), arena, &old, &ignored) == 0 &&
            old.size == items[i].size)
            continue;
        bytes += items[i].size;
    }
    if (dir_free_space(v->root, &free_bytes, e) != 0)
        return -1;
    if (bytes <= free_bytes)
        return 0;
    err_set(e, ERR_NOSPACE, "%s: %llu files need %s, %s more than is free",
        v->root, (unsigned long long)n, human_size(need, bytes),
        human_size(lack, bytes - free_bytes));
    return err_hint(e, "make room there, or put them into another volume");
}

int putlist_run(const struct volume *v, const struct putlist_item *items,
    uint64_t n, struct progress *progress, struct volume_entry **out_entries,
    struct arena *arena, struct err *e)
{
    *out_entries = arena_alloc(arena, n, sizeof(**out_entries), e);
    if (*out_entries == NULL)
        return -1;
    /* One file: volume_put looks itself, and into the store too. */
    if (n > 1 && check_space(v, items, n, arena, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (volume_put(v, items[i].file, items[i].name, progress,
                &(*out_entries)[i], arena, e) != 0)
            return -1;
    return 0;
}
