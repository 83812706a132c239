#include "convert/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/path.h"
#include "convert/company.h"
#include "convert/shard.h"
#include "formats/manifest.h"

/* A temporary folder is locked at once; one this young may not be, yet. */
enum { STALE_S = 5 };

/* Is b the folder a, or below it? Both are real paths. */
static bool is_within(const char *a, const char *b)
{
    size_t n = strlen(a);

    return strncmp(a, b, n) == 0 &&
           (b[n] == '\0' || b[n] == '/' || (n > 0 && a[n - 1] == '/'));
}

/* Without the slashes that a shell or a habit puts behind a folder's name. */
static int trim(char out[PATH_MAX], const char *path, struct err *e)
{
    return path_fmt(out, e, "%.*s", (int)path_len(path), path);
}

/* The real path of something that may not exist yet. */
static int real_path(const char *path, char *out, struct err *e)
{
    char up[PATH_MAX], real[PATH_MAX];

    if (realpath(path, out) != NULL)
        return 0;
    path_dir(up, sizeof(up), path);
    if (errno != ENOENT || strcmp(up, path) == 0)
        return err_sys(e, "%s", path);
    if (real_path(up, real, e) != 0)
        return -1;
    return path_fmt(
        out, e, "%s/%s", strcmp(real, "/") == 0 ? "" : real, path_base(path));
}

static int check_source(const char *path, const char *source, struct err *e)
{
    char to[PATH_MAX], from[PATH_MAX];

    if (real_path(path, to, e) != 0 || real_path(source, from, e) != 0)
        return -1;
    if (is_within(to, from))
        return err_set(e, ERR_USAGE, "%s: %s the source", path,
            strcmp(to, from) == 0 ? "is" : "holds");
    if (is_within(from, to))
        return err_set(e, ERR_USAGE, "%s: lies inside the source", path);
    return 0;
}

bool folder_holds(const char *folder, const char *path)
{
    char name[PATH_MAX], in[PATH_MAX], real[PATH_MAX];
    struct err ignored = ERR_INIT;

    return trim(name, folder, &ignored) == 0 &&
           real_path(name, in, &ignored) == 0 &&
           real_path(path, real, &ignored) == 0 && is_within(in, real);
}

static bool is_ours(const char *name)
{
    for (size_t i = 0; company_names[i] != NULL; i++)
        if (strcmp(name, company_names[i]) == 0)
            return true;
    return strcmp(name, CONVERT_WEIGHTS) == 0 ||
           strcmp(name, MANIFEST_NAME) == 0 || shard_is_ours(name);
}

/* What goes with the old folder must be what a conversion made. */
static int check_entries(const char *path, bool *manifest, struct err *e)
{
    DIR *d = opendir(path);
    struct dirent *entry;
    unsigned n = 0;
    int rc = 0;

    *manifest = false;
    if (d == NULL)
        return err_sys(e, "%s", path);
    while (rc == 0 && (entry = readdir(d)) != NULL) {
        const char *name = entry->d_name;

        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        n++;
        if (strcmp(name, MANIFEST_NAME) == 0)
            *manifest = true;
        if (!is_ours(name))
            rc = err_set(e, ERR_USAGE,
                "%s: not replaced: it holds %s, which no conversion made", path,
                name);
    }
    closedir(d);
    if (n == 0) /* an empty folder may go, too */
        *manifest = true;
    return rc;
}

static int check_replace(const char *path, struct err *e)
{
    bool manifest;
    int rc = check_entries(path, &manifest, e);

    if (rc == 0 && !manifest)
        rc = err_set(e, ERR_USAGE,
            "%s: not replaced: no %s says that it is a conversion", path,
            MANIFEST_NAME);
    if (rc != 0)
        err_hint(e, "--force replaces what mlconvert made, nothing else (and "
                    "not what --digests none made); remove it yourself, or "
                    "choose another name");
    return rc;
}

int folder_check(
    const char *text, const char *source, bool force, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;

    if (trim(path, text, e) != 0)
        return -1;
    if (path[0] == '\0')
        return err_set(e, ERR_USAGE, "the output has no name");
    if (strcmp(path_base(path), "..") == 0 || strcmp(path_base(path), ".") == 0)
        return err_set(
            e, ERR_USAGE, "%s: no name for a folder that is to be made", path);
    if (check_source(path, source, e) != 0)
        return -1;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ERR_USAGE, "%s: %s", path,
            S_ISLNK(st.st_mode) ? "is a symbolic link"
                                : "exists and is no folder");
    if (!force) {
        err_set(e, ERR_USAGE, "%s: exists", path);
        return err_hint(e, "choose another name, or replace an older "
                           "conversion with --force");
    }
    return check_replace(path, e);
}

/* A flat folder of ours: its files, then itself. */
static void remove_folder(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *entry;

    if (d == NULL)
        return;
    while ((entry = readdir(d)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(d), entry->d_name, 0);
    closedir(d);
    rmdir(path);
}

/* Is this temporary folder the rest of a run that died? */
static void sweep_one(const char *parent, const char *name)
{
    char path[PATH_MAX];
    struct err ignored = ERR_INIT;
    struct stat st;
    int fd AUTO(fd_close) = -1;

    if (path_join(path, parent, name, &ignored) != 0)
        return;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return;
    if (time(NULL) - st.st_mtime < STALE_S || flock(fd, LOCK_EX | LOCK_NB) != 0)
        return;
    log_info("removing %s, left by a conversion that did not end", path);
    remove_folder(path);
}

/* Those called as tmp is, but for the 16 digits before ".tmp". */
static void sweep(const char *parent, struct str like)
{
    DIR *d = opendir(parent);
    struct dirent *entry;
    size_t n = like.len - 20;

    if (d == NULL)
        return;
    while ((entry = readdir(d)) != NULL) {
        struct str name = str_of(entry->d_name);

        if (name.len == like.len && memcmp(name.p, like.p, n) == 0 &&
            hex_is((struct str){ name.p + n, 16 }, 16) &&
            str_ends(name, ".tmp"))
            sweep_one(parent, name.p);
    }
    closedir(d);
}

void folder_sweep(const char *text)
{
    char path[PATH_MAX], parent[PATH_MAX], tmp[PATH_MAX];
    struct err ignored = ERR_INIT;

    if (trim(path, text, &ignored) != 0)
        return;
    path_dir(parent, sizeof(parent), path);
    if (file_temp_name(tmp, parent, path, &ignored) == 0)
        sweep(parent, str_of(path_base(tmp)));
}

int folder_begin(struct folder *f, const char *path, struct err *e)
{
    char parent[PATH_MAX];

    if (trim(f->path, path, e) != 0)
        return -1;
    path_dir(parent, sizeof(parent), f->path);
    if (dir_make(parent, e) != 0 ||
        file_temp_name(f->tmp, parent, f->path, e) != 0)
        return -1;
    if (mkdir(f->tmp, 0777) != 0)
        return err_sys(e, "cannot create folder %s", f->tmp);
    f->live = true;
    /* Only so that folder_sweep() knows it is in use: never a promise. */
    f->lock = open(f->tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->lock >= 0)
        flock(f->lock, LOCK_SH | LOCK_NB);
    return 0;
}

/* tmp and path change places, in one step where the file system can. */
static int exchange(struct folder *f, struct err *e)
{
    char aside[PATH_MAX], parent[PATH_MAX];
    bool manifest;

    /* Much time has passed since it was checked. */
    if (check_entries(f->path, &manifest, e) != 0)
        return -1;
    path_dir(parent, sizeof(parent), f->path);
    if (renameat2(AT_FDCWD, f->tmp, AT_FDCWD, f->path, RENAME_EXCHANGE) == 0) {
        f->live = false;
        if (dir_sync(parent, e) != 0)
            return -1;
        remove_folder(f->tmp);
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS)
        return err_sys(e, "cannot replace %s", f->path);
    if (file_temp_name(aside, parent, f->path, e) != 0 ||
        file_publish(f->path, aside, e) != 0)
        return -1;
    if (file_publish(f->tmp, f->path, e) != 0) {
        struct err ignored = ERR_INIT;

        file_publish(aside, f->path, &ignored);
        return -1;
    }
    f->live = false;
    remove_folder(aside);
    return 0;
}

int folder_commit(struct folder *f, bool replace, struct err *e)
{
    struct stat st;

    if (dir_sync(f->tmp, e) != 0)
        return -1;
    if (replace && lstat(f->path, &st) == 0)
        return exchange(f, e);
    if (file_publish(f->tmp, f->path, e) != 0) {
        if (e->sys != ENOTEMPTY && e->sys != EEXIST)
            return -1;
        err_clear(e);
        return err_set(
            e, ERR_BUSY, "%s: another process made it meanwhile", f->path);
    }
    f->live = false;
    return 0;
}

void folder_abandon(struct folder *f)
{
    if (f->live)
        remove_folder(f->tmp);
    f->live = false;
    fd_close(&f->lock);
}
