#include "cache/moves.h"
#include "cache/volume_internal.h"

#include "cache/edit.h"

#include "base/path.h"

static int missing(const struct volume *v, const char *name, struct err *e)
{
    err_set(e, ERR_MISSING, "%s: no file '%s' in this volume", v->root, name);
    return err_hint(e, "see what is there: mlfetch ls %s", v->root);
}

/* The file, or all files of the folder. */
static int find(const struct volume *v, const char *name, bool folders,
    const char *letter, struct arena *arena, struct volume_entry **out,
    uint64_t *n, struct err *e)
{
    if (volume_list(v, name, arena, out, n, e) != 0)
        return -1;
    if (*n == 0)
        return missing(v, name, e);
    if (folders || str_is((*out)[0].name, name))
        return 0;
    err_set(e, ERR_USAGE, "'%s' is a folder, with %llu %s", name,
        (unsigned long long)*n, *n == 1 ? "file" : "files");
    return err_hint(e, "%s", letter);
}

static int commit(struct edit *ed, struct step *out, struct err *e)
{
    uint64_t number;

    if (edit_commit(ed, &number, e) != 0)
        return -1;
    *out = ed->step;
    out->number = number;
    return 0;
}

int moves_rm(const struct moves *m, char *const *names, size_t n,
    struct step *out, struct arena *arena, struct err *e)
{
    struct edit ed AUTO(edit_close) = EDIT_INIT;
    struct volume_entry *list;
    char name[PATH_MAX];
    uint64_t count;

    if (edit_begin(&ed, m->v, "rm", false, arena, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (path_clean(name, names[i], e) != 0 ||
            find(m->v, name, m->folders, "-r removes it, with all in it", arena,
                &list, &count, e) != 0)
            return -1;
        for (uint64_t k = 0; k < count; k++)
            if (edit_set(&ed, list[k].name, NULL, e) != 0)
                return -1;
    }
    return commit(&ed, out, e);
}

/* Where they go. */
struct target {
    char name[PATH_MAX]; /* "" is the top */
    bool folder;
};

static int find_target(const struct moves *m, const char *text, size_t sources,
    struct arena *arena, struct target *out, struct err *e)
{
    struct volume_entry *list;
    uint64_t n;

    *out =
        (struct target){ .folder = sources > 1 || str_ends(str_of(text), "/") };
    if (strcmp(text, "/") == 0)
        return 0;
    if (path_clean(out->name, text, e) != 0 ||
        volume_list(m->v, out->name, arena, &list, &n, e) != 0)
        return -1;
    if (n == 0)
        return 0;
    if (!str_is(list[0].name, out->name))
        out->folder = true;
    else if (out->folder)
        return err_set(
            e, ERR_USAGE, "'%s' is a file: nothing can go into it", out->name);
    return 0;
}

static int new_name(const struct target *t, const char *from, struct str name,
    char *out, struct err *e)
{
    /* "" for a file itself, else "/..." */
    struct str below = { name.p + strlen(from), name.len - strlen(from) };

    if (!t->folder)
        return path_fmt(out, e, "%s%.*s", t->name, STR_ARG(below));
    return path_fmt(out, e, "%s%s%s%.*s", t->name, t->name[0] ? "/" : "",
        path_base(from), STR_ARG(below));
}

static int check_content(const struct moves *m, const char *to,
    const struct volume_entry *entry, struct arena *arena, struct err *e)
{
    struct volume_entry there;
    int rc = volume_now(m->v, str_of(to), arena, &there, e);

    if (rc < 0)
        return -1;
    if (rc > 0 || m->force || step_same(&there, entry))
        return 0;
    err_set(
        e, ERR_USAGE, "'%s' is in the volume already, with other content", to);
    return err_hint(
        e, "-f replaces it; mlfetch rollback brings the old content back");
}

static int move_one(const struct moves *m, struct edit *ed,
    const struct target *t, const char *from, const struct volume_entry *entry,
    struct err *e)
{
    char to[PATH_MAX];

    if (new_name(t, from, entry->name, to, e) != 0 ||
        path_check(str_of(to), e) != 0)
        return -1;
    if (str_is(entry->name, to))
        return err_set(e, ERR_USAGE, "'%s' would become what it is", to);
    if (check_content(m, to, entry, ed->arena, e) != 0 ||
        edit_set(ed, str_of(to), entry, e) != 0)
        return -1;
    return m->keep ? 0 : edit_set(ed, entry->name, NULL, e);
}

static int move_source(const struct moves *m, struct edit *ed,
    const struct target *t, const char *text, struct err *e)
{
    struct volume_entry *list;
    char from[PATH_MAX], top[PATH_MAX];
    uint64_t n;

    if (path_clean(from, text, e) != 0 ||
        find(m->v, from, m->folders || !m->keep, "-r copies it, with all in it",
            ed->arena, &list, &n, e) != 0 ||
        new_name(t, from, str_of(from), top, e) != 0)
        return -1;
    if (strcmp(top, from) != 0 && volume_is_below(str_of(top), str_of(from)))
        return err_set(
            e, ERR_USAGE, "'%s' cannot go into itself, to '%s'", from, top);
    for (uint64_t i = 0; i < n; i++)
        if (move_one(m, ed, t, from, &list[i], e) != 0)
            return -1;
    return 0;
}

int moves_run(const struct moves *m, char *const *names, size_t n,
    struct step *out, struct arena *arena, struct err *e)
{
    struct edit ed AUTO(edit_close) = EDIT_INIT;
    struct target t;

    if (edit_begin(&ed, m->v, m->keep ? "cp" : "mv", false, arena, e) != 0 ||
        find_target(m, names[n - 1], n - 1, arena, &t, e) != 0)
        return -1;
    for (size_t i = 0; i + 1 < n; i++)
        if (move_source(m, &ed, &t, names[i], e) != 0)
            return -1;
    return commit(&ed, out, e);
}
