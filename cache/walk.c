#include "cache/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/file.h"
#include "base/path.h"

/* One folder after the other, each opened by its path below the root. */
struct walker {
    int root;
    const char *name; /* the root's, for messages */
    bool sizes;
    struct arena *arena;
    struct walk_entry *list;
    uint64_t n, cap;
    struct str *folders; /* found, and not all of them read */
    uint64_t n_folders, folders_cap;
};

static int add_folder(struct walker *w, struct str path, struct err *e)
{
    struct str *list = arena_grow(
        w->arena, w->folders, w->n_folders, &w->folders_cap, sizeof(*list), e);

    if (list == NULL)
        return -1;
    w->folders = list;
    list[w->n_folders++] = path;
    return 0;
}

static int add_entry(struct walker *w, struct walk_entry entry, struct err *e)
{
    struct walk_entry *list =
        arena_grow(w->arena, w->list, w->n, &w->cap, sizeof(*list), e);

    if (list == NULL)
        return -1;
    w->list = list;
    list[w->n++] = entry;
    return 0;
}

static int type_of(mode_t mode)
{
    return S_ISDIR(mode)   ? DT_DIR
           : S_ISLNK(mode) ? DT_LNK
           : S_ISREG(mode) ? DT_REG
                           : DT_FIFO;
}

/* "folder/name" in the arena. */
static struct str path_of(
    struct walker *w, struct str folder, const char *name, struct err *e)
{
    size_t n = strlen(name), front = folder.len > 0 ? folder.len + 1 : 0;
    char *p = arena_alloc(w->arena, front + n + 1, 1, e);

    if (p == NULL)
        return (struct str){ NULL, 0 };
    if (front > 0) {
        memcpy(p, folder.p, folder.len);
        p[folder.len] = '/';
    }
    memcpy(p + front, name, n);
    return (struct str){ p, front + n };
}

/* It is looked at only where the folder does not say what is asked. */
static int add(struct walker *w, int dir, struct str folder,
    const struct dirent *d, struct err *e)
{
    static const enum walk_kind kinds[] = {
        [DT_REG] = WALK_FILE, [DT_LNK] = WALK_LINK
    };
    struct walk_entry entry = { .kind = WALK_OTHER };
    int type = d->d_type;
    struct stat st = { .st_size = 0 };

    if (type == DT_UNKNOWN || (type == DT_REG && w->sizes)) {
        if (fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return errno == ENOENT
                       ? 0
                       : err_sys(e, "%s/%.*s%s%s", w->name, STR_ARG(folder),
                             folder.len > 0 ? "/" : "", d->d_name);
        type = type_of(st.st_mode);
    }
    entry.path = path_of(w, folder, d->d_name, e);
    if (entry.path.p == NULL)
        return -1;
    if (type == DT_DIR)
        return add_folder(w, entry.path, e);
    if (type == DT_REG || type == DT_LNK)
        entry.kind = kinds[type];
    if (entry.kind == WALK_FILE)
        entry.size = (uint64_t)st.st_size;
    return add_entry(w, entry, e);
}

static int read_folder(struct walker *w, struct str folder, struct err *e)
{
    int fd = openat(w->root, folder.len > 0 ? folder.p : ".",
        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d AUTO(dir_close) = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (d == NULL) {
        /* Removed, or replaced by a link or a file, since it was found. */
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
            return 0;
        err_sys(e, "%s/%.*s", w->name, STR_ARG(folder));
        fd_close(&fd);
        return -1;
    }
    for (errno = 0; (entry = readdir(d)) != NULL; errno = 0) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (cancel_check(e) != 0 || add(w, fd, folder, entry, e) != 0)
            return -1;
    }
    if (errno != 0 && errno != ENOENT)
        return err_sys(e, "%s/%.*s", w->name, STR_ARG(folder));
    return 0;
}

static int walk_all(const char *root, bool sizes, struct arena *arena,
    struct walk_entry **out, uint64_t *out_n, struct err *e)
{
    int fd AUTO(fd_close) = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct walker w = {
        .root = fd, .name = root, .sizes = sizes, .arena = arena
    };

    *out = NULL;
    *out_n = 0;
    if (fd < 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", root);
    if (add_folder(&w, (struct str){ "", 0 }, e) != 0)
        return -1;
    for (uint64_t i = 0; i < w.n_folders; i++)
        if (read_folder(&w, w.folders[i], e) != 0)
            return -1;
    *out = w.list;
    *out_n = w.n;
    return 0;
}

static int cmp_entries(const void *a, const void *b)
{
    const struct walk_entry *x = a, *y = b;

    return str_cmp(x->path, y->path);
}

int walk(const char *root, struct arena *arena, struct walk_entry **out,
    uint64_t *out_n, struct err *e)
{
    if (walk_all(root, true, arena, out, out_n, e) != 0)
        return -1;
    if (*out_n > 1)
        qsort(*out, *out_n, sizeof(**out), cmp_entries);
    return 0;
}

int walk_names(const char *root, struct arena *arena, struct walk_entry **out,
    uint64_t *out_n, struct err *e)
{
    return walk_all(root, false, arena, out, out_n, e);
}
