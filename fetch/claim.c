#include "fetch/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "cache/honest.h"
#include "fetch/journal.h"
#include "net/retry.h"

/* Written to within the last seconds, by the file system's own clock. */
static bool is_alive(const char *path, time_t now)
{
    struct stat st;

    return lstat(path, &st) == 0 && st.st_mtime != 0 &&
           now - st.st_mtime < CLAIM_STALE_S;
}

/* A new file that nobody else knows; its time is the file system's now. */
static int make_private(
    struct claim *c, const char *path, time_t *now, struct err *e)
{
    struct stat st;
    int fd AUTO(fd_close) = -1;

    if (path_fmt(c->path, e, "%s.%08x.incomplete", path, retry_dice()) != 0)
        return -1;
    fd = open(c->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_sys(e, "cannot create %s", c->path);
    *now = st.st_mtime;
    return 0;
}

/* Bring what lies under the shared name under ours, if it has no owner. */
static bool take(struct claim *c, const char *path, time_t now)
{
    struct stat seen, got;

    if (lstat(path, &seen) != 0)
        return errno == ENOENT;
    if (rename(path, c->path) != 0)
        return false;
    if (lstat(c->path, &got) == 0 && got.st_ino == seen.st_ino &&
        !is_alive(c->path, now)) {
        utimensat(AT_FDCWD, c->path, NULL, 0);
        return true;
    }
    /* Somebody was faster and is at work on it: give it back. */
    if (link(c->path, path) == 0 || errno == EEXIST)
        unlink(c->path);
    return false;
}

int claim_partial(struct claim *out, int lock, const char *path,
    const char *journal, struct err *e)
{
    char live[PATH_MAX], dir[PATH_MAX];
    time_t now = 0;

    out->honest = honest_lock(lock);
    snprintf(out->path, sizeof(out->path), "%s", path);
    snprintf(out->journal, sizeof(out->journal), "%s", journal);
    if (out->honest)
        return 0;
    path_dir(dir, sizeof(dir), path);
    if (dir_make(dir, e) != 0 || make_private(out, path, &now, e) != 0)
        return -1;
    journal_live(journal, live);
    if (!is_alive(path, now) && !is_alive(live, now)) {
        /* link(2) fails when the name is there: only one can succeed. */
        if (take(out, path, now) && link(out->path, path) == 0) {
            unlink(out->path);
            snprintf(out->path, sizeof(out->path), "%s", path);
            return 0;
        }
    }
    log_debug("%s may be another process's: using one of our own", path);
    out->journal[0] = '\0';
    return 0;
}

void claim_keep(struct claim *c, int fd, uint64_t now_ms)
{
    if (c->honest || fd < 0 || c->path[0] == '\0' ||
        now_ms - c->kept_ms < CLAIM_KEEP_S * 1000u)
        return;
    c->kept_ms = now_ms;
    futimens(fd, NULL);
}

void claim_release(const struct claim *c)
{
    const struct timespec never[2] = { { 0, 0 }, { 0, 0 } };
    char live[PATH_MAX];

    if (c->honest || c->path[0] == '\0')
        return;
    if (c->journal[0] == '\0') {
        /* Nobody would find it: it has no journal. */
        unlink(c->path);
        return;
    }
    journal_live(c->journal, live);
    utimensat(AT_FDCWD, live, never, AT_SYMLINK_NOFOLLOW);
    utimensat(AT_FDCWD, c->path, never, AT_SYMLINK_NOFOLLOW);
}
