/* The folder itself: what it looks like, and reaching into it safely. */
#include "cache/foreign.h"
#include "cache/foreign_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/hubdir_internal.h"
#include "cache/volume_internal.h"

#include "base/cancel.h"
#include "base/file.h"
#include "base/path.h"

/* No program makes folders this deep; a path has 4096 bytes. */
enum { DEPTH_MAX = 64 };

const char *const foreign_kind_names[] = {
    [FOREIGN_AUTO] = "auto",
    [FOREIGN_HUB] = "hub",
    [FOREIGN_OLLAMA] = "ollama",
    [FOREIGN_LMSTUDIO] = "lmstudio",
    [FOREIGN_FOLDER] = "folder",
    NULL,
};

/* ---- lists ---- */

int64_t foreign_add_file(
    struct foreign *f, struct foreign_file file, struct err *e)
{
    struct foreign_file *list = arena_grow(
        f->arena, f->files, f->n_files, &f->files_cap, sizeof(*list), e);

    if (list == NULL)
        return -1;
    f->files = list;
    file.path = arena_str(f->arena, file.path, e);
    if (file.path.p == NULL)
        return -1;
    list[f->n_files] = file;
    return (int64_t)f->n_files++;
}

int64_t foreign_add_set(
    struct foreign *f, struct foreign_set set, struct err *e)
{
    struct foreign_set *list = arena_grow(
        f->arena, f->sets, f->n_sets, &f->sets_cap, sizeof(*list), e);

    if (list == NULL)
        return -1;
    f->sets = list;
    list[f->n_sets] = set;
    return (int64_t)f->n_sets++;
}

int foreign_add_name(struct foreign *f, struct foreign_name name, struct err *e)
{
    struct foreign_name *list = arena_grow(
        f->arena, f->names, f->n_names, &f->names_cap, sizeof(*list), e);

    if (list == NULL)
        return -1;
    f->names = list;
    name.name = arena_str(f->arena, name.name, e);
    name.entry = arena_str(f->arena, name.entry, e);
    if (name.name.p == NULL || name.entry.p == NULL)
        return -1;
    list[f->n_names++] = name;
    if (f->files[name.file].names++ == 0)
        f->files[name.file].shown = name.name;
    return 0;
}

int foreign_fault(struct foreign *f, enum fault_kind kind, struct str path,
    struct str name, const char *why, struct err *e)
{
    struct fault *list = arena_grow(
        f->arena, f->faults, f->n_faults, &f->faults_cap, sizeof(*list), e);

    if (list == NULL)
        return -1;
    f->faults = list;
    list += f->n_faults++;
    *list = (struct fault){ .kind = kind,
        .path = arena_str(f->arena, path, e),
        .name = arena_str(f->arena, name, e),
        .why = arena_str(f->arena, str_of(why), e) };
    return e->kind == ERR_NONE ? 0 : -1;
}

/* ---- reaching into it ---- */

int foreign_parent(
    const struct foreign *f, const char *path, const char **base, struct err *e)
{
    const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int at = openat(f->fd, ".", flags);
    char part[PATH_MAX];

    *base = path;
    for (const char *slash; at >= 0 && (slash = strchr(*base, '/')) != NULL;
         *base = slash + 1) {
        int up AUTO(fd_close) = at;

        at = -1;
        if (path_fmt(part, e, "%.*s", (int)(slash - *base), *base) != 0)
            return -1;
        at = openat(up, part, flags);
    }
    if (at < 0 && (errno == ENOTDIR || errno == ELOOP))
        return err_set(e, ERR_REFUSED,
            "%s/%s: a symbolic link where a folder should be", f->root, path);
    return at >= 0 ? at : err_sys(e, "%s/%s", f->root, path);
}

int foreign_open(const struct foreign *f, const char *path, struct err *e)
{
    const char *base;
    int up AUTO(fd_close) = foreign_parent(f, path, &base, e);
    struct stat st;
    int fd;

    if (up < 0)
        return -1;
    fd = openat(
        up, base, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && errno == ELOOP)
        return err_set(e, ERR_REFUSED, "%s/%s: a symbolic link", f->root, path);
    if (fd < 0)
        return err_sys(e, "%s/%s", f->root, path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return err_set(e, ERR_REFUSED, "%s/%s: not a regular file", f->root, path);
}

int foreign_slurp(
    const struct foreign *f, const char *path, struct buf *out, struct err *e)
{
    int fd AUTO(fd_close) = foreign_open(f, path, e);
    struct stat st;
    void *room;

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) != 0)
        return err_sys(e, "%s", path);
    room = (uint64_t)st.st_size > out->limit
               ? NULL
               : buf_room(out, (size_t)st.st_size);
    if (room == NULL)
        return err_set(e, ERR_REFUSED,
            "%s: %lld bytes, more than the %zu it may have", path,
            (long long)st.st_size, out->limit);
    if (file_read_at(fd, room, (size_t)st.st_size, 0, path, e) != 0)
        return -1;
    out->len += (size_t)st.st_size;
    out->p[out->len] = '\0';
    return 0;
}

/* Both without links; "" is the root itself. */
static const char *below(const char *path, const char *root)
{
    size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);

    if (strcmp(path, root) == 0)
        return "";
    return strncmp(path, root, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

const char *foreign_follow(const struct foreign *f, const char *path, char *out,
    struct stat *st, enum fault_kind *kind)
{
    struct err ignored = ERR_INIT;
    char full[PATH_MAX], real[PATH_MAX];
    const char *rest;

    *kind = FAULT_MISSING;
    if (path_join(full, f->root, path, &ignored) != 0)
        return "its path is too long";
    if (realpath(full, real) == NULL) {
        if (errno == ELOOP)
            return "a link that leads in a circle";
        if (errno == EACCES)
            *kind = FAULT_UNREADABLE;
        return errno == EACCES ? "a link that cannot be followed: "
                                 "permission denied"
                               : "a link that leads nowhere";
    }
    *kind = FAULT_UNSAFE;
    rest = below(real, f->root);
    if (rest == NULL)
        return "a link that leads outside of the source";
    if (stat(real, st) != 0)
        return "a link that leads nowhere";
    if (!S_ISREG(st->st_mode))
        return S_ISDIR(st->st_mode)
                   ? "a link that leads to a folder"
                   : "a link that leads to something that is no file";
    return path_fmt(out, &ignored, "%s", rest) == 0 ? NULL
                                                    : "its path is too long";
}

/* ---- what is in it ---- */

static void walk_close(FTS **w)
{
    if (*w != NULL)
        fts_close(*w);
}

static int cmp_entries(const void *a, const void *b)
{
    const struct foreign_entry *x = a, *y = b;

    return str_cmp(x->path, y->path);
}

/* What one step of a walk means: 1 an entry, 0 nothing, -1 *e. */
static int judge(struct foreign *f, FTS *w, FTSENT *at, struct str path,
    enum walk_kind *kind, struct err *e)
{
    const struct str none = { "", 0 };
    char why[160];

    switch (at->fts_info) {
    case FTS_D:
        if (at->fts_level < DEPTH_MAX)
            return 0;
        fts_set(w, at, FTS_SKIP);
        return foreign_fault(
            f, FAULT_UNSAFE, path, none, "folders too deep in one another", e);
    case FTS_DP:
        return 0;
    case FTS_F:
        *kind = WALK_FILE;
        return 1;
    case FTS_SL:
    case FTS_SLNONE:
        *kind = WALK_LINK;
        return 1;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        if (at->fts_errno == ENOENT)
            return 0;
        snprintf(
            why, sizeof(why), "cannot be read: %s", strerror(at->fts_errno));
        return foreign_fault(f, FAULT_UNREADABLE, path, none, why, e);
    default:
        *kind = WALK_OTHER;
        return 1;
    }
}

static int walk_all(struct foreign *f, FTS *w, struct foreign_entry **out,
    uint64_t *out_n, struct err *e)
{
    size_t skip = strcmp(f->root, "/") == 0 ? 1 : strlen(f->root) + 1;
    uint64_t cap = 0;
    FTSENT *at;

    for (errno = 0; (at = fts_read(w)) != NULL; errno = 0) {
        struct foreign_entry *list;
        enum walk_kind kind = WALK_OTHER;
        struct str path = { "", 0 };
        int rc;

        if (at->fts_pathlen > skip)
            path = str_of(at->fts_path + skip);
        rc = cancel_check(e) != 0 ? -1 : judge(f, w, at, path, &kind, e);
        if (rc < 0)
            return -1;
        if (rc == 0)
            continue;
        list = arena_grow(f->arena, *out, *out_n, &cap, sizeof(*list), e);
        if (list == NULL)
            return -1;
        *out = list;
        list += (*out_n)++;
        *list = (struct foreign_entry){ .kind = kind, .st = *at->fts_statp };
        list->path = arena_str(f->arena, path, e);
        if (list->path.p == NULL)
            return -1;
    }
    return errno != 0 ? err_sys(e, "%s: reading a folder", f->root) : 0;
}

int foreign_walk(struct foreign *f, const char *part,
    struct foreign_entry **out, uint64_t *out_n, struct err *e)
{
    char top[PATH_MAX];
    char *roots[] = { top, NULL };
    FTS *w AUTO(walk_close) = NULL;
    struct stat st;

    *out = NULL;
    *out_n = 0;
    if (part[0] == '\0' ? path_fmt(top, e, "%s", f->root) != 0
                        : path_join(top, f->root, part, e) != 0)
        return -1;
    if (lstat(top, &st) != 0)
        return 0;
    if (!S_ISDIR(st.st_mode))
        return foreign_fault(f, FAULT_UNSAFE, str_of(part), str_of(""),
            "not a folder, where one should be", e);
    w = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (w == NULL)
        return err_sys(e, "%s", top);
    if (walk_all(f, w, out, out_n, e) != 0)
        return -1;
    if (*out_n > 1)
        qsort(*out, *out_n, sizeof(**out), cmp_entries);
    return 0;
}

bool foreign_litter(const char *name)
{
    return strcmp(name, ".DS_Store") == 0 || strcmp(name, "Thumbs.db") == 0 ||
           strcmp(name, "desktop.ini") == 0;
}

bool foreign_leftover(const char *name)
{
    static const char *const tails[] = { ".incomplete", ".part", ".partial",
        ".crdownload", ".aria2", ".download", "-partial" };

    for (size_t i = 0; i < ARRAY_LEN(tails); i++)
        if (str_ends(str_of(name), tails[i]))
            return true;
    return false;
}

/* ---- what it looks like ---- */

static bool has_folder(const char *root, const char *name)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    struct stat st;

    return path_join(path, root, name, &ignored) == 0 && stat(path, &st) == 0 &&
           S_ISDIR(st.st_mode);
}

/* A hub cache: some folder in it is a repository's. */
static bool has_repos(const char *root)
{
    DIR *d AUTO(dir_close) = opendir(root);
    struct dirent *entry;
    struct repo r;

    while (d != NULL && (entry = readdir(d)) != NULL)
        if (repo_of_folder(&r, entry->d_name) &&
            has_folder(root, entry->d_name))
            return true;
    return false;
}

/* LM Studio's folder has no mark: what counts is where it is. */
static bool is_lmstudio(const char *root)
{
    return strstr(root, "/.lmstudio/") != NULL ||
           strstr(root, "/lm-studio/") != NULL ||
           str_ends(str_of(root), "/.lmstudio") ||
           str_ends(str_of(root), "/lm-studio");
}

/* Where people's settings keep the models a level further down. */
static int step_in(
    char *root, const char *folder, const char *proof, struct err *e)
{
    char path[PATH_MAX];

    if (has_folder(root, proof) || path_join(path, root, folder, e) != 0)
        return e->kind == ERR_NONE ? 0 : -1;
    if (has_folder(root, folder) && realpath(path, root) == NULL)
        return err_sys(e, "%s", path);
    return 0;
}

static enum foreign_kind looks_like(const char *root, bool one_repo)
{
    char models[PATH_MAX], hub[PATH_MAX];
    struct err ignored = ERR_INIT;

    if (one_repo || has_repos(root) ||
        (path_join(hub, root, "hub", &ignored) == 0 && has_repos(hub)))
        return FOREIGN_HUB;
    if (has_folder(root, "manifests") && has_folder(root, "blobs"))
        return FOREIGN_OLLAMA;
    if (path_join(models, root, "models", &ignored) == 0 &&
        has_folder(models, "manifests") && has_folder(models, "blobs"))
        return FOREIGN_OLLAMA;
    return is_lmstudio(root) ? FOREIGN_LMSTUDIO : FOREIGN_FOLDER;
}

/* The root a kind of folder has, and open it. */
static int settle(struct foreign *f, char *only, struct err *e)
{
    struct repo r;
    int rc = 0;

    if (f->kind == FOREIGN_HUB && repo_of_folder(&r, path_base(f->root)) &&
        has_folder(f->root, "snapshots")) {
        char own[PATH_MAX];

        memcpy(only, r.folder, sizeof(r.folder));
        memcpy(own, f->root, sizeof(own));
        path_dir(f->root, sizeof(f->root), own);
    } else if (f->kind == FOREIGN_HUB && !has_repos(f->root)) {
        rc = step_in(f->root, "hub", ".locks", e);
    } else if (f->kind == FOREIGN_OLLAMA) {
        rc = step_in(f->root, "models", "manifests", e);
    } else if (f->kind == FOREIGN_LMSTUDIO) {
        const char *base = path_base(f->root);

        if (strcmp(base, ".lmstudio") == 0 || strcmp(base, "lm-studio") == 0)
            rc = step_in(f->root, "models", "hub", e);
    }
    if (rc != 0)
        return -1;
    f->fd = open(f->root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return f->fd >= 0 ? 0 : err_sys(e, "%s", f->root);
}

int foreign_refuse_volume(const char *folder, struct err *e)
{
    err_set(e, ERR_REFUSED, "%s: is a volume", folder);
    return err_hint(e, "adopt the folders beside it, if there are such; its "
                       "hub/ is a source of its own, and mlfetch get gives "
                       "its files");
}

/* Is it one, or of one? A hub cache may be the latter. */
static int check_no_volume(const struct foreign *f, struct err *e)
{
    char at[PATH_MAX], up[PATH_MAX], path[PATH_MAX];

    memcpy(at, f->root, sizeof(at));
    for (;;) {
        if (path_join(path, at, volume_marker, e) != 0)
            return -1;
        if (access(path, F_OK) == 0)
            return foreign_refuse_volume(at, e);
        path_dir(up, sizeof(up), at);
        if (f->kind == FOREIGN_HUB || strcmp(up, at) == 0)
            return 0;
        memcpy(at, up, sizeof(at));
    }
}

int foreign_read(struct foreign *f, const char *source, enum foreign_kind kind,
    const char *name, struct arena *arena, struct err *e)
{
    char only[sizeof(((struct repo *)0)->folder)] = "";
    struct stat st;
    struct repo r;

    *f = (struct foreign)FOREIGN_INIT;
    f->arena = arena;
    if (realpath(source, f->root) == NULL || stat(f->root, &st) != 0)
        return err_sys(e, "%s", source);
    if (!S_ISDIR(st.st_mode)) {
        err_set(e, ERR_REFUSED, "%s: not a folder", source);
        return err_hint(e, "mlfetch put VOLUME FILE takes one file");
    }
    f->kind =
        kind != FOREIGN_AUTO
            ? kind
            : looks_like(f->root, repo_of_folder(&r, path_base(f->root)) &&
                                      has_folder(f->root, "snapshots"));
    if (f->kind == FOREIGN_HUB && name != NULL)
        return err_set(
            e, ERR_USAGE, "%s is a hub cache: --name is for put files", source);
    if (name == NULL)
        name = f->kind == FOREIGN_FOLDER ? path_base(f->root)
                                         : foreign_kind_names[f->kind];
    if (name[0] == '\0')
        return err_set(
            e, ERR_USAGE, "%s has no name of its own: use --name", source);
    if (path_check(str_of(name), e) != 0 || check_no_volume(f, e) != 0 ||
        settle(f, only, e) != 0)
        return -1;
    if (f->kind == FOREIGN_HUB)
        return foreign_hub(f, only, e);
    if (f->kind == FOREIGN_OLLAMA)
        return foreign_ollama(f, name, e);
    return foreign_folder(f, name, e);
}

void foreign_close(struct foreign *f)
{
    fd_close(&f->fd);
}
