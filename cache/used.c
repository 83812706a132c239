#include "cache/used.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/walk.h"

#include "base/file.h"
#include "base/path.h"

enum { LISTING_MAX = 1 << 30 };

static int used_path(const struct hubdir *h, const struct repo *r,
    const char *commit, char *out, struct err *e)
{
    return path_fmt(out, e, "%s/%s/ml/used/%s", h->root, r->folder, commit);
}

/* Not synced: a use that is lost is no loss. */
void used_note(const struct hubdir *h, const struct repo *r, const char *commit)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX], dir[PATH_MAX];
    int fd AUTO(fd_close) = -1;

    if (used_path(h, r, commit, path, &ignored) != 0 ||
        utimensat(AT_FDCWD, path, NULL, 0) == 0)
        return;
    path_dir(dir, sizeof(dir), path);
    if (dir_make(dir, &ignored) == 0)
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0664);
}

static int64_t latest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* By the files themselves. */
static int64_t guess(const char *snapshot)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(LISTING_MAX);
    struct err ignored = ERR_INIT;
    struct walk_entry *found;
    char path[PATH_MAX];
    int64_t when = 0;
    struct stat st;
    uint64_t n;

    if (stat(snapshot, &st) != 0)
        return 0;
    when = st.st_mtime;
    if (walk(snapshot, &arena, &found, &n, &ignored) != 0)
        return when;
    for (uint64_t i = 0; i < n; i++)
        if (path_join(path, snapshot, found[i].path.p, &ignored) == 0 &&
            stat(path, &st) == 0)
            when = latest(when, st.st_atime);
    return when;
}

int64_t used_when(
    const struct hubdir *h, const struct repo *r, const char *commit)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX], snapshot[PATH_MAX];
    struct stat st;

    if (used_path(h, r, commit, path, &ignored) != 0 ||
        hubdir_snapshot(h, r, commit, snapshot, &ignored) != 0)
        return 0;
    if (stat(path, &st) == 0)
        return st.st_mtime;
    return guess(snapshot);
}

bool used_is_noted(
    const struct hubdir *h, const struct repo *r, const char *commit)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    return used_path(h, r, commit, path, &ignored) == 0 &&
           access(path, F_OK) == 0;
}
