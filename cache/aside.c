#include "cache/aside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"

enum { NAMES_MAX = 100000, TRIES_MAX = 100 };

/* Never onto a name that is there, where the file system can promise that. */
static int rename_free(const char *from, const char *to)
{
    struct stat st;

    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (lstat(to, &st) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(from, to);
}

int aside_inside(const char *root, const char *part, char *out, struct err *e)
{
    size_t top = strlen(root) + 1;
    struct stat st;

    if (path_join(out, root, part, e) != 0)
        return -1;
    for (char *end = out + top; end != NULL;) {
        bool link;

        end = strchr(end, '/');
        if (end != NULL)
            *end = '\0';
        link = lstat(out, &st) == 0 && S_ISLNK(st.st_mode);
        if (link)
            return err_set(e, ERR_REFUSED,
                "%s: a symbolic link where a folder should be", out);
        if (end != NULL)
            *end++ = '/';
    }
    return 0;
}

static int sync_both(const char *from, const char *to, struct err *e)
{
    char dir[PATH_MAX];

    path_dir(dir, sizeof(dir), to);
    if (dir_sync(dir, e) != 0)
        return -1;
    path_dir(dir, sizeof(dir), from);
    return dir_sync(dir, e);
}

int aside_move(const char *path, const char *dir, const char *name, char *out,
    struct err *e)
{
    int rc = -1;

    if (dir_make(dir, e) != 0)
        return -1;
    for (int i = 1; i < NAMES_MAX && rc != 0; i++) {
        if (i == 1 ? path_join(out, dir, name, e) != 0
                   : path_fmt(out, e, "%s/%s.%d", dir, name, i) != 0)
            return -1;
        rc = rename_free(path, out);
        if (rc != 0 && errno != EEXIST && errno != ENOTEMPTY)
            break;
    }
    if (rc != 0)
        return err_sys(e, "cannot move %s aside", path);
    return sync_both(path, out, e);
}

int aside_back(const char *from, const char *path, struct err *e)
{
    if (rename_free(from, path) == 0)
        return sync_both(from, path, e);
    if (errno == EEXIST)
        return err_set(e, ERR_BUSY, "%s is there again", path);
    return err_sys(e, "cannot move %s back", path);
}

/*
 * Folders are opened from the one above them, never through a link: one that
 * takes a folder's place meanwhile leads nowhere. One that was made read-only
 * is opened up.
 */
static int folder_open(int up, const char *name, int *out)
{
    int fd AUTO(fd_close) =
        openat(up, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char self[sizeof("/proc/self/fd/") + 11];
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return -1;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    if ((st.st_mode & S_IRWXU) != S_IRWXU && chmod(self, S_IRWXU) != 0)
        return -1;
    *out = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *out < 0 ? -1 : 0;
}

static int remove_at(int up, const char *name, char *shown, struct err *e);

/* Every entry that is met. */
static int remove_entries(DIR *d, char *shown, struct err *e)
{
    size_t len = strlen(shown);
    struct dirent *entry;

    rewinddir(d);
    for (errno = 0; (entry = readdir(d)) != NULL; errno = 0) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(shown + len, PATH_MAX - len, "/%s", entry->d_name);
        if (remove_at(dirfd(d), entry->d_name, shown, e) != 0)
            return -1;
        shown[len] = '\0';
    }
    return errno != 0 ? err_sys(e, "cannot read %s", shown) : 0;
}

static int remove_folder(int up, const char *name, char *shown, struct err *e)
{
    int fd = -1;
    DIR *d AUTO(dir_close) = NULL;

    if (folder_open(up, name, &fd) != 0)
        return errno == ENOENT ? 0 : err_sys(e, "cannot remove %s", shown);
    d = fdopendir(fd);
    if (d == NULL) {
        err_sys(e, "cannot read %s", shown);
        fd_close(&fd);
        return -1;
    }
    /* Removing may make the reader of a folder skip others. */
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        if (remove_entries(d, shown, e) != 0)
            return -1;
        if (unlinkat(up, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return 0;
        if (errno != ENOTEMPTY && errno != EEXIST)
            break;
    }
    return err_sys(e, "cannot remove %s", shown);
}

/* shown: its path, of PATH_MAX bytes; longer ones are shown in part. */
static int remove_at(int up, const char *name, char *shown, struct err *e)
{
    struct stat st;

    if (fstatat(up, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", shown);
    if (S_ISDIR(st.st_mode))
        return remove_folder(up, name, shown, e);
    if (unlinkat(up, name, 0) != 0 && errno != ENOENT)
        return err_sys(e, "cannot remove %s", shown);
    return 0;
}

int aside_remove(const char *path, struct err *e)
{
    int up AUTO(fd_close) = -1;
    char shown[PATH_MAX], dir[PATH_MAX];

    if (path_fmt(shown, e, "%s", path) != 0)
        return -1;
    path_dir(dir, sizeof(dir), path);
    up = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (up < 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", path);
    return remove_at(up, path_base(path), shown, e);
}

void aside_prune(const char *path, const char *root)
{
    char dir[PATH_MAX], up[PATH_MAX];

    path_dir(dir, sizeof(dir), path);
    while (strlen(dir) > strlen(root) && rmdir(dir) == 0) {
        path_dir(up, sizeof(up), dir);
        memcpy(dir, up, sizeof(dir));
    }
}
