#include "cache/bring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cache/mode.h"

#include "base/cancel.h"
#include "base/path.h"

enum { CHUNK = 1 << 20, WRITERS = S_IWUSR | S_IWGRP | S_IWOTH };

/* Twice the longest tick that kernels stamp files by. */
enum { TICK_NS = 20000000 };

static uint64_t size_of(const struct bring *b)
{
    return (uint64_t)b->st.st_size;
}

static int check_unchanged(const struct bring *b, struct err *e)
{
    struct stat now;

    if (fstat(b->fd, &now) != 0)
        return err_sys(e, "%s", b->name);
    if (now.st_size == b->st.st_size &&
        now.st_mtim.tv_sec == b->st.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == b->st.st_mtim.tv_nsec)
        return 0;
    return err_set(e, ERR_BUSY, "%s: changed while it was read", b->name);
}

/* ---- reading ---- */

static bool all_zero(const char *p, size_t n)
{
    return n == 0 || (p[0] == '\0' && memcmp(p, p + 1, n - 1) == 0);
}

/* From fd, and to another one if to >= 0. */
static int read_all(struct bring *b, int fd, int to, enum hash_kind kind,
    struct digest *out, struct err *e)
{
    struct hash h AUTO(hash_free) = HASH_INIT;
    struct buf chunk AUTO(buf_free) = BUF_INIT(CHUNK);
    uint64_t size = size_of(b), at = 0;

    if (buf_room(&chunk, size_min(CHUNK, size)) == NULL)
        return buf_check(&chunk, e);
    if (hash_begin(&h, kind, size, e) != 0)
        return -1;
    b->zeros = size > 0;
    while (at < size) {
        size_t n = size_min(CHUNK, size - at);

        if (cancel_check(e) != 0)
            return -1;
        b->unreadable = file_read_at(fd, chunk.p, n, at, b->name, e) != 0;
        if (b->unreadable)
            return -1;
        b->zeros = b->zeros && all_zero(chunk.p, n);
        hash_add(&h, chunk.p, n);
        if (to >= 0 && file_write_at(to, chunk.p, n, at, b->tmp.tmp, e) != 0)
            return -1;
        at += n;
        progress_add(b->item, n);
    }
    hash_end(&h, out);
    return check_unchanged(b, e);
}

static int begin(struct bring *b, struct err *e)
{
    if (file_new_begin_in(&b->tmp, b->work, "adopt", e) != 0)
        return -1;
    /* Held while we live: a sweep leaves it alone. */
    flock(b->tmp.fd, LOCK_EX | LOCK_NB);
    return 0;
}

/* 1: it is one, 0: not possible, -1: *e. */
static int clone(struct bring *b, struct err *e)
{
    struct stat st;

    if (begin(b, e) != 0)
        return -1;
    if (ioctl(b->tmp.fd, FICLONE, b->fd) == 0 && fstat(b->tmp.fd, &st) == 0 &&
        st.st_size == b->st.st_size)
        return 1;
    if (errno == ENOSPC || errno == EDQUOT || errno == EIO)
        return err_sys(e, "cloning %s", b->name);
    file_new_abandon(&b->tmp);
    return 0;
}

/*
 * A lease for reading is given only while no program has the file open for
 * writing. SIGURG, since it is ignored: it is what comes if somebody opens it
 * in just this moment.
 */
bool bring_has_writers(int fd)
{
    bool busy;

    if (fcntl(fd, F_SETSIG, SIGURG) != 0)
        return false;
    busy = fcntl(fd, F_SETLEASE, F_RDLCK) != 0;
    if (busy)
        return errno == EAGAIN;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
}

/* Why it must not share its file with its old name, or NULL. */
static const char *unfit(const struct bring *b)
{
    struct stat work;

    if (stat(b->work, &work) != 0 || work.st_dev != b->st.st_dev)
        return "it is on another file system";
    if (b->st.st_uid != geteuid())
        return "it belongs to another user, who could change it";
    if (bring_has_writers(b->fd))
        return "a program has it open for writing";
    return NULL;
}

/* A change within one tick of the clock that made its time would not show. */
static void let_age(const struct bring *b)
{
    const struct timespec tick = { .tv_nsec = TICK_NS };
    const struct timespec *at = &b->st.st_mtim;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (at->tv_sec >= now.tv_sec - 1 && at->tv_sec <= now.tv_sec + 1)
        nanosleep(&tick, NULL);
}

static int copy(
    struct bring *b, enum hash_kind kind, struct digest *out, struct err *e)
{
    if (begin(b, e) != 0)
        return -1;
    if (b->st.st_size > 0 && fallocate(b->tmp.fd, 0, 0, b->st.st_size) != 0 &&
        (errno == ENOSPC || errno == EDQUOT))
        return err_sys(e, "%s: making room for %s", b->work, b->name);
    b->how = BROUGHT_COPIED;
    return read_all(b, b->fd, b->tmp.fd, kind, out, e);
}

static int link_or_say(struct bring *b, enum bring_how how, enum hash_kind kind,
    struct digest *out, struct err *e)
{
    const char *why = unfit(b);

    if (why == NULL) {
        let_age(b);
        b->how = BROUGHT_LINKED;
        return read_all(b, b->fd, -1, kind, out, e);
    }
    return how == BRING_LINK
               ? err_set(e, ERR_REFUSED, "cannot be linked: %s", why)
               : 1;
}

/* 1: not in this way. */
static int clone_or_say(struct bring *b, enum bring_how how,
    enum hash_kind kind, struct digest *out, struct err *e)
{
    int rc = clone(b, e);

    if (rc < 0)
        return -1;
    if (rc > 0) {
        b->how = BROUGHT_CLONED;
        return read_all(b, b->tmp.fd, -1, kind, out, e);
    }
    return how == BRING_CLONE ? err_set(e, ERR_REFUSED,
                                    "cannot be cloned: the file system does "
                                    "not do that between these two places")
                              : 1;
}

int bring_read(struct bring *b, enum bring_how how, enum hash_kind kind,
    struct digest *out, struct err *e)
{
    int rc = 1;

    b->how = BROUGHT_NOT;
    if (how == BRING_READ)
        return read_all(b, b->fd, -1, kind, out, e);
    if (how == BRING_LINK || how == BRING_MOVE)
        rc = link_or_say(b, how, kind, out, e);
    if (rc > 0 && how != BRING_LINK && how != BRING_COPY)
        rc = clone_or_say(b, how, kind, out, e);
    if (rc > 0 && how == BRING_AUTO)
        rc = link_or_say(b, how, kind, out, e);
    if (rc > 0)
        rc = copy(b, kind, out, e);
    return rc;
}

/* ---- linking ---- */

/* From now on nobody can write into it but who asks for that. */
static int settle(const struct bring *b, struct err *e)
{
    if ((b->st.st_mode & WRITERS) != 0 &&
        fchmod(b->fd, b->st.st_mode & 07777 & ~(mode_t)WRITERS) != 0)
        return err_set(e, ERR_REFUSED,
            "cannot be linked: it cannot be made read-only: %s",
            strerror(errno));
    if (bring_has_writers(b->fd))
        return err_set(e, ERR_REFUSED,
            "cannot be linked: a program has it open for writing");
    if (check_unchanged(b, e) != 0)
        return -1;
    return fsync(b->fd) == 0 ? 0 : err_sys(e, "%s: making it durable", b->name);
}

static int link_to(struct bring *b, const char *path, struct err *e)
{
    char from[64], tmp[PATH_MAX];
    int rc;

    if (settle(b, e) != 0 || file_temp_name(tmp, b->work, path, e) != 0)
        return -1;
    /* The very file that was read, whatever has its old name by now. */
    snprintf(from, sizeof(from), "/proc/self/fd/%d", b->fd);
    if (linkat(AT_FDCWD, from, AT_FDCWD, tmp, AT_SYMLINK_FOLLOW) != 0) {
        if (errno == ENOSPC || errno == EDQUOT || errno == EIO)
            return err_sys(e, "linking %s", b->name);
        return err_set(e, ERR_REFUSED, "cannot be linked: %s", strerror(errno));
    }
    rc = file_publish(tmp, path, e);
    /* A rename onto another name of the same file leaves both. */
    unlink(tmp);
    return rc;
}

int bring_place(struct bring *b, const char *path, struct err *e)
{
    char dir[PATH_MAX];

    path_dir(dir, sizeof(dir), path);
    if (cancel_check(e) != 0 || dir_make(dir, e) != 0)
        return -1;
    if (b->how == BROUGHT_LINKED)
        return link_to(b, path, e);
    if (path_fmt(b->tmp.path, e, "%s", path) != 0)
        return -1;
    return file_new_commit(&b->tmp, mode_masked(0444), e);
}

void bring_drop(struct bring *b)
{
    file_new_abandon(&b->tmp);
}
