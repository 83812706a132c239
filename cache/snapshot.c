/* The files of one commit: are they there, and making them appear. */
#include "cache/hubdir.h"
#include "cache/hubdir_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/env.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/path.h"

enum { COPY_CHUNK = 1 << 20 };

/* Following links, is it a file of this size? */
static int have_file(const char *path, uint64_t size, struct err *e)
{
    struct stat st;

    if (stat(path, &st) == 0) {
        if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
            return HAVE_DAMAGED;
        return HAVE;
    }
    if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG)
        return HAVE_NOT;
    if (errno == ELOOP)
        return HAVE_DAMAGED;
    return err_sys(e, "%s", path);
}

static int entry_path(const struct hubdir *h, const struct repo *r,
    const char *commit, const struct tree_file *f, char *out, struct err *e)
{
    if (path_check(f->path, e) != 0)
        return -1;
    return path_fmt(out, e, "%s/%s/snapshots/%s/%.*s", h->root, r->folder,
        commit, STR_ARG(f->path));
}

/* Does the entry name the blob of some other content? */
static bool names_other(const char *path, const struct tree_file *f)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    struct digest d;

    if (n <= 0)
        return false;
    target[n] = '\0';
    return digest_parse(&d, str_of(path_base(target))) &&
           !digest_eq(&d, tree_etag(f));
}

int hubdir_have(const struct hubdir *h, const struct repo *r,
    const char *commit, const struct tree_file *f, struct err *e)
{
    char path[PATH_MAX];

    if (entry_path(h, r, commit, f, path, e) != 0)
        return -1;
    if (names_other(path, f))
        return HAVE_NOT;
    return have_file(path, f->size, e);
}

int hubdir_have_blob(const struct hubdir *h, const struct repo *r,
    const struct tree_file *f, struct err *e)
{
    char path[PATH_MAX];

    if (hubdir_blob(h, r, tree_etag(f), path, e) != 0)
        return -1;
    return have_file(path, f->size, e);
}

int hubdir_folders(const char *root, struct str name, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;

    if (dir_make(root, e) != 0)
        return -1;
    for (size_t i = 0; i < name.len; i++) {
        if (name.p[i] != '/')
            continue;
        if (path_fmt(path, e, "%s/%.*s", root, (int)i, name.p) != 0)
            return -1;
        if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
            return err_set(e, ERR_REFUSED,
                "%s: a symbolic link where a folder should be", path);
        if (dir_make(path, e) != 0)
            return -1;
    }
    return 0;
}

int hubdir_link_text(const struct tree_file *f, char *out, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(PATH_MAX - 1);

    buf_puts(&b, "../../");
    for (size_t i = 0; i < f->path.len; i++)
        if (f->path.p[i] == '/')
            buf_puts(&b, "../");
    buf_printf(&b, "blobs/%s", tree_etag(f)->hex);
    if (buf_check(&b, e) != 0)
        return -1;
    memcpy(out, b.p, b.len + 1);
    return 0;
}

static bool is_link_to(const char *path, const char *target)
{
    char now[PATH_MAX];
    ssize_t n = readlink(path, now, sizeof(now));

    return n == (ssize_t)strlen(target) && memcmp(now, target, (size_t)n) == 0;
}

/* A name for the moment, in a folder where leftovers disturb nobody. */
static int temp_name(const struct hubdir *h, const struct repo *r,
    const char *path, char *out, struct err *e)
{
    char work[PATH_MAX];

    if (hubdir_work(h, r, work, e) != 0)
        return -1;
    return file_temp_name(out, work, path, e);
}

/*
 * Returns 0, -1 with *e, or 1 where the file system has no such links. A
 * link whose name is free needs no temporary name: making it is atomic. Its
 * folder is synced by the caller.
 */
static int link_soft(const struct hubdir *h, const struct repo *r,
    const struct tree_file *f, const char *path, struct err *e)
{
    char target[PATH_MAX], dir[PATH_MAX];

    if (env_true("HF_HUB_DISABLE_SYMLINKS"))
        return 1;
    if (hubdir_link_text(f, target, e) != 0)
        return -1;
    if (symlink(target, path) == 0)
        return 0;
    if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS)
        return 1;
    if (errno != EEXIST)
        return err_sys(e, "cannot link %s", path);
    if (is_link_to(path, target))
        return 0;
    if (hubdir_work(h, r, dir, e) != 0)
        return -1;
    return file_symlink(target, dir, path, e);
}

static int link_hard(const struct hubdir *h, const struct repo *r,
    const char *blob, const char *path, struct err *e)
{
    char tmp[PATH_MAX];
    int rc;

    if (temp_name(h, r, path, tmp, e) != 0)
        return -1;
    /* The blob may be a link into the shared store: link what it leads to. */
    if (linkat(AT_FDCWD, blob, AT_FDCWD, tmp, AT_SYMLINK_FOLLOW) != 0) {
        if (errno == ENOENT || errno == ENOSPC)
            return err_sys(e, "cannot link %s", blob);
        return 1;
    }
    rc = file_publish(tmp, path, e);
    /* A rename onto another name of the same file leaves both. */
    unlink(tmp);
    return rc;
}

static int copy_bytes(const char *from, int to, const char *name, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(COPY_CHUNK);
    uint64_t size, at = 0;
    int fd AUTO(fd_close) = file_open(from, &size, e);

    if (fd < 0)
        return -1;
    if (buf_room(&b, COPY_CHUNK) == NULL)
        return buf_check(&b, e);
    while (at < size) {
        size_t n = size_min(COPY_CHUNK, size - at);
        if (cancel_check(e) != 0 ||
            file_read_at(fd, b.p, n, at, from, e) != 0 ||
            file_write_at(to, b.p, n, at, name, e) != 0)
            return -1;
        at += n;
    }
    return 0;
}

static int link_copy(const struct hubdir *h, const struct repo *r,
    const char *blob, const char *path, struct err *e)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    char work[PATH_MAX];

    if (hubdir_work(h, r, work, e) != 0 ||
        file_new_begin_in(&f, work, path, e) != 0 ||
        copy_bytes(blob, f.fd, path, e) != 0)
        return -1;
    return file_new_commit(&f, hubdir_mode(), e);
}

/* Make the entry; its folder, into dir, is not synced yet. */
static int link_one(const struct hubdir *h, const struct repo *r,
    const char *commit, const struct tree_file *f, char *dir, struct err *e)
{
    char root[PATH_MAX], path[PATH_MAX], blob[PATH_MAX];
    int rc;

    if (!repo_is_commit(commit))
        return err_set(e, ERR_BUG, "'%.60s' is not a commit", commit);
    if (hubdir_snapshot(h, r, commit, root, e) != 0 ||
        entry_path(h, r, commit, f, path, e) != 0 ||
        hubdir_blob(h, r, tree_etag(f), blob, e) != 0 ||
        hubdir_folders(root, f->path, e) != 0)
        return -1;
    path_dir(dir, PATH_MAX, path);
    rc = link_soft(h, r, f, path, e);
    if (rc > 0)
        rc = link_hard(h, r, blob, path, e);
    if (rc > 0)
        rc = link_copy(h, r, blob, path, e);
    return rc;
}

int hubdir_link(const struct hubdir *h, const struct repo *r,
    const char *commit, const struct tree_file *f, struct err *e)
{
    char dir[PATH_MAX];

    return link_one(h, r, commit, f, dir, e) != 0 ? -1 : dir_sync(dir, e);
}

static int by_path(const void *a, const void *b)
{
    const struct tree_file *const *x = a, *const *y = b;

    return str_cmp((*x)->path, (*y)->path);
}

int hubdir_link_all(const struct hubdir *h, const struct repo *r,
    const char *commit, const struct tree_file **files, size_t n, struct err *e)
{
    char dir[PATH_MAX], last[PATH_MAX] = "";

    qsort((void *)files, n, sizeof(*files), by_path);
    for (size_t i = 0; i < n; i++) {
        if (link_one(h, r, commit, files[i], dir, e) != 0)
            return -1;
        if (last[0] != '\0' && strcmp(dir, last) != 0 && dir_sync(last, e) != 0)
            return -1;
        memcpy(last, dir, sizeof(last));
    }
    return last[0] != '\0' ? dir_sync(last, e) : 0;
}
