/*
 * One download of a blob at a time, shared with the official client: flock
 * on .locks/<folder>/<etag>.lock, asked for again and again. The file stays.
 * Source: hub protocol, section 10.4.
 */
#include "cache/hubdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/holder.h"
#include "cache/mode.h"

#include "base/cancel.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"

/* A lock file that vanishes this often is not worth waiting for. */
enum { POLL_MS = 50, TRIES_MAX = 100 };

static void tell_waiting(int fd, const char *path)
{
    long pid = holder_pid(fd);

    if (pid > 0)
        log_info("waiting for process %ld, which is downloading %.12s...", pid,
            path_base(path));
    else
        log_info("waiting for another process that is downloading %.12s...",
            path_base(path));
}

/* 0: taken, 1: another has it and wait is false, -1 with *e: CANCELLED. */
static int take(int fd, const char *path, bool wait, struct err *e)
{
    const struct timespec nap = { .tv_nsec = POLL_MS * 1000000L };

    for (bool told = false;; told = true) {
        int rc = flock(fd, LOCK_EX | LOCK_NB);

        if (rc != 0 && errno == EINTR)
            rc = flock(fd, LOCK_EX | LOCK_NB);
        if (rc == 0)
            return 0;
        /* No locks here: do without, they only save work. */
        if (errno != EWOULDBLOCK && errno != EINTR)
            return 0;
        if (!wait)
            return 1;
        if (!told)
            tell_waiting(fd, path);
        if (cancel_check(e) != 0)
            return -1;
        nanosleep(&nap, NULL);
    }
}

/* The lock's file, opened; its name into path. */
static int open_lock(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, char *path, struct err *e)
{
    char dir[PATH_MAX];
    int fd;

    if (path_fmt(dir, e, "%s/.locks/%s", h->root, r->folder) != 0 ||
        path_fmt(path, e, "%s/%s.lock", dir, etag->hex) != 0 ||
        dir_make(dir, e) != 0)
        return -1;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0664);
    return fd >= 0 ? fd : err_sys(e, "cannot open %s", path);
}

static int lock(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, bool wait, int *out, struct err *e)
{
    char path[PATH_MAX];

    for (int tries = 1;; tries++) {
        bool last = tries >= TRIES_MAX;
        int fd = open_lock(h, r, etag, path, e);
        int rc;

        if (fd < 0 && e->sys == ENOENT && !last) {
            err_clear(e);
            continue;
        }
        if (fd < 0)
            return -1;
        rc = take(fd, path, wait, e);
        if (rc == 0 && (last || holder_file(fd, path))) {
            *out = fd;
            return 0;
        }
        close(fd);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
    }
}

int hubdir_lock(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, struct err *e)
{
    int fd = -1;

    return lock(h, r, etag, true, &fd, e) == 0 ? fd : -1;
}

int hubdir_try_lock(const struct hubdir *h, const struct repo *r,
    const struct digest *etag, int *out, struct err *e)
{
    *out = -1;
    return lock(h, r, etag, false, out, e);
}

int hubdir_lock_now(
    const struct hubdir *h, const struct repo *r, const struct digest *etag)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    int fd = open_lock(h, r, etag, path, &ignored);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && holder_file(fd, path))
        return fd;
    fd_close(&fd);
    return -1;
}

int hubdir_idle(const struct hubdir *h, const struct repo *r, struct err *e)
{
    char root[PATH_MAX], path[PATH_MAX];
    DIR *d AUTO(dir_close) = NULL;
    const struct dirent *entry;

    if (path_fmt(root, e, "%s/.locks/%s", h->root, r->folder) != 0)
        return -1;
    d = opendir(root);
    while (d != NULL && (entry = readdir(d)) != NULL) {
        int fd AUTO(fd_close) = -1;

        if (!str_ends(str_of(entry->d_name), ".lock"))
            continue;
        if (path_join(path, root, entry->d_name, e) != 0)
            return -1;
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 &&
            errno == EWOULDBLOCK) {
            err_set(
                e, ERR_BUSY, "%s is being fetched by another process", r->id);
            return err_hint(e, "try again when it has ended");
        }
    }
    return 0;
}
