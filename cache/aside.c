#include "cache/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"

enum { NAMES_MAX = 100000 };

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

static void walk_close(FTS **f)
{
    if (*f != NULL)
        fts_close(*f);
}

/* Folders are entered only as they are: one that was made read-only, too. */
static int remove_one(const FTSENT *at, struct err *e)
{
    int rc = 0;

    if (at->fts_info == FTS_D)
        rc = (at->fts_statp->st_mode & S_IRWXU) == S_IRWXU
                 ? 0
                 : chmod(at->fts_accpath, S_IRWXU);
    else if (at->fts_info == FTS_DP || at->fts_info == FTS_DNR)
        rc = rmdir(at->fts_accpath);
    else
        rc = unlink(at->fts_accpath);
    if (rc != 0 && errno != ENOENT)
        return err_sys(e, "cannot remove %s", at->fts_path);
    return 0;
}

int aside_remove(const char *path, struct err *e)
{
    char top[PATH_MAX];
    char *roots[] = { top, NULL };
    FTS *f AUTO(walk_close) = NULL;
    struct stat st;
    FTSENT *at;

    if (path_fmt(top, e, "%s", path) != 0)
        return -1;
    if (lstat(top, &st) != 0)
        return errno == ENOENT ? 0 : err_sys(e, "%s", path);
    f = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (f == NULL)
        return err_sys(e, "%s", path);
    for (errno = 0; (at = fts_read(f)) != NULL; errno = 0)
        if (remove_one(at, e) != 0)
            return -1;
    return errno != 0 && errno != ENOENT ? err_sys(e, "%s", path) : 0;
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
