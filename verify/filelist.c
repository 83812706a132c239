#include "verify/filelist.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"

enum { DEPTH_MAX = 32 };

struct walk {
    struct filelist *list;
    struct findings *report;
    bool all;
    char root[PATH_MAX]; /* without links */
};

void filelist_free(struct filelist *l)
{
    arena_free(&l->arena);
    free(l->files);
    *l = (struct filelist)FILELIST_INIT;
}

static int add(struct filelist *l, const char *path, const char *name,
    uint64_t size, struct err *e)
{
    struct vfile f = { .size = size,
        .index = str_ends(str_of(name), ".index.json") };
    size_t cap = l->cap == 0 ? 64 : 2 * l->cap;

    if (l->n == l->cap) {
        struct vfile *files = realloc(l->files, cap * sizeof(*files));

        if (files == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
        l->files = files;
        l->cap = cap;
    }
    f.name = arena_str(&l->arena, str_of(name), e);
    f.path = arena_str(&l->arena, str_of(path), e).p;
    if (f.name.p == NULL || f.path == NULL)
        return -1;
    l->files[l->n++] = f;
    return 0;
}

static int walk_dir(const struct walk *w, const char *path, const char *name,
    unsigned depth, struct err *e);

/* A link that leads nowhere, a pipe, a socket: never part of a model. */
static int odd_one(const struct walk *w, const char *path, const char *name,
    const struct stat *link, struct err *e)
{
    char target[PATH_MAX];
    ssize_t n;

    if (!S_ISLNK(link->st_mode)) {
        findings_fail(
            w->report, "files", ERR_REFUSED, "%s: not a regular file", name);
        return 0;
    }
    n = readlink(path, target, sizeof(target) - 1);
    if (n < 0)
        return err_sys(e, "%s", path);
    target[n] = '\0';
    findings_fail(w->report, "files", ERR_CORRUPT,
        "%s: a link to %s, which is not a file that can be read", name, target);
    return 0;
}

/*
 * What lies in the target is walked under its own name. A loader would follow
 * a link out of it, and nobody has looked there.
 */
static void folder_link(
    const struct walk *w, const char *path, const char *name)
{
    char real[PATH_MAX];
    size_t n = w->root[1] == '\0' ? 0 : strlen(w->root);

    if (realpath(path, real) != NULL && strncmp(real, w->root, n) == 0 &&
        (real[n] == '\0' || real[n] == '/'))
        findings_skip(w->report, "files",
            "%s: a link to a folder of the same target", name);
    else
        findings_fail(w->report, "files", ERR_REFUSED,
            "%s: a link to a folder elsewhere: not looked into; name that "
            "folder as a target of its own",
            name);
}

static int walk_entry(const struct walk *w, const char *path, const char *name,
    unsigned depth, struct err *e)
{
    struct stat link, st;

    if (lstat(path, &link) != 0)
        return err_sys(e, "%s", path);
    if (S_ISDIR(link.st_mode))
        return walk_dir(w, path, name, depth + 1, e);
    if (stat(path, &st) != 0)
        return odd_one(w, path, name, &link, e);
    if (S_ISREG(st.st_mode))
        return add(w->list, path, name, (uint64_t)st.st_size, e);
    if (S_ISDIR(st.st_mode)) {
        folder_link(w, path, name);
        return 0;
    }
    return odd_one(w, path, name, &st, e);
}

static bool passed_over(const struct walk *w, const char *name, unsigned depth)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return true;
    return !w->all && depth == 0 &&
           (strcmp(name, ".git") == 0 || strcmp(name, ".cache") == 0);
}

static int walk_dir(const struct walk *w, const char *path, const char *name,
    unsigned depth, struct err *e)
{
    DIR *d AUTO(dir_close) = opendir(path);
    struct dirent *entry;

    if (d == NULL)
        return err_sys(e, "%s", path);
    if (depth > DEPTH_MAX)
        return err_set(
            e, ERR_REFUSED, "%s: more than %d folders deep", path, DEPTH_MAX);
    while (errno = 0, (entry = readdir(d)) != NULL) {
        char inner_path[PATH_MAX], inner_name[PATH_MAX];

        if (passed_over(w, entry->d_name, depth))
            continue;
        if (path_join(inner_path, path, entry->d_name, e) != 0 ||
            path_fmt(inner_name, e, "%s%s%s", name, *name ? "/" : "",
                entry->d_name) != 0 ||
            walk_entry(w, inner_path, inner_name, depth, e) != 0)
            return -1;
    }
    return errno == 0 ? 0 : err_sys(e, "%s", path);
}

static int by_name(const void *a, const void *b)
{
    const struct vfile *x = a, *y = b;

    return str_cmp(x->name, y->name);
}

int filelist_walk(struct filelist *l, const char *folder, bool all,
    struct findings *report, struct err *e)
{
    struct walk w = { .list = l, .report = report, .all = all };

    if (realpath(folder, w.root) == NULL)
        return err_sys(e, "%s", folder);
    if (walk_dir(&w, folder, "", 0, e) != 0)
        return -1;
    filelist_sort(l);
    return 0;
}

void filelist_sort(struct filelist *l)
{
    if (l->n > 1)
        qsort(l->files, l->n, sizeof(*l->files), by_name);
}

int filelist_add(
    struct filelist *l, const char *path, const char *name, struct err *e)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return err_sys(e, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_REFUSED, "%s: not a regular file", path);
    return add(l, path, name, (uint64_t)st.st_size, e);
}

struct vfile *filelist_find(const struct filelist *l, struct str name)
{
    struct vfile key = { .name = name };

    if (l->n == 0)
        return NULL;
    return bsearch(&key, l->files, l->n, sizeof(*l->files), by_name);
}

void vfile_expect(struct vfile *f, const struct digest *d, const char *by)
{
    for (size_t i = 0; i < f->n_expects; i++)
        if (digest_eq(&f->expects[i].digest, d))
            return;
    if (f->n_expects < EXPECT_MAX)
        f->expects[f->n_expects++] = (struct expect){ .digest = *d, .by = by };
}
