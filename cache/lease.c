#include "cache/lease.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/holder.h"
#include "cache/honest.h"

#include "base/boot.h"
#include "base/cancel.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/path.h"
#include "base/scope.h"

enum { POLL_MS = 20, NOTE_MAX = 256, SPACE_MAX = 64, TRIES_MAX = 100 };

int lease_of_repo(
    const struct hubdir *h, const struct repo *r, char *out, struct err *e)
{
    return path_fmt(out, e, "%s/.locks/%s/ml.lease", h->root, r->folder);
}

int lease_of_volume(const struct volume *v, char *out, struct err *e)
{
    return path_join(out, v->root, "lease", e);
}

/* ---- the lock ---- */

static int open_lease(const char *path, bool create)
{
    struct err ignored = ERR_INIT;
    char dir[PATH_MAX];
    int fd = open(path, O_RDWR | O_CLOEXEC);

    /* Others' file in a cache of many users, or one that is mounted
     * read-only here, but not elsewhere: to read it is enough. */
    if (fd < 0 && (errno == EACCES || errno == EROFS))
        fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 || errno != ENOENT || !create)
        return fd;
    path_dir(dir, sizeof(dir), path);
    if (dir_make(dir, &ignored) != 0)
        return -1;
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0664);
}

/* ---- where locks lie: a file per holder ---- */

/*
 * "ml-lease <boot> <pid namespace> ", and the pid behind it: another machine
 * has another boot, and a container of the same machine other numbers for its
 * processes. False where the system does not say.
 */
static bool note_front(char out[NOTE_MAX])
{
    char boot[BOOT_ID_MAX], space[SPACE_MAX];
    ssize_t n = readlink("/proc/self/ns/pid", space, sizeof(space) - 1);

    boot_id(boot);
    space[n > 0 ? n : 0] = '\0';
    snprintf(out, NOTE_MAX, "ml-lease %s %s ", boot, space);
    return boot[0] != '\0' && space[0] != '\0';
}

static void leave_note(struct lease *l, const char *path)
{
    struct err ignored = ERR_INIT;
    char front[NOTE_MAX], note[NOTE_MAX + 24], tmp[PATH_MAX], dir[PATH_MAX];
    int n;

    note_front(front);
    path_dir(dir, sizeof(dir), path);
    n = snprintf(note, sizeof(note), "%s%ld\n", front, (long)getpid());
    /* <name>.<16 hex>.tmp: the name without its end is ours alone. */
    if (file_temp_name(tmp, dir, path, &ignored) != 0)
        return;
    tmp[strlen(tmp) - 4] = '\0';
    if (file_put(tmp, note, (size_t)n, 0644, &ignored) == 0)
        memcpy(l->holder, tmp, sizeof(l->holder));
    else
        log_debug("%s", ignored.msg);
}

enum fate { FATE_UNKNOWN, FATE_ALIVE, FATE_DEAD };

/* Of the process that left it: known of our own machine and container. */
static enum fate fate_of(const char *path)
{
    struct buf b AUTO(buf_free) = BUF_INIT(NOTE_MAX);
    struct err ignored = ERR_INIT;
    char front[NOTE_MAX], *end;
    long pid;

    if (!note_front(front) || file_slurp(path, &b, &ignored) != 0 ||
        !str_starts(buf_str(&b), front))
        return FATE_UNKNOWN;
    pid = strtol(b.p + strlen(front), &end, 10);
    if (pid <= 0 || *end != '\n')
        return FATE_UNKNOWN;
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH ? FATE_DEAD : FATE_ALIVE;
}

static bool is_live(const char *path, time_t now)
{
    enum fate fate = fate_of(path);
    struct stat st;

    if (fate != FATE_UNKNOWN)
        return fate == FATE_ALIVE;
    return lstat(path, &st) == 0 && now - st.st_mtime < LEASE_EXPIRES_S;
}

/* The file system's clock, not ours. */
static time_t now_there(int fd)
{
    struct stat st;

    if (futimens(fd, NULL) != 0 || fstat(fd, &st) != 0)
        return time(NULL);
    return st.st_mtime;
}

/* Does anybody's file say that he holds it? What is dead is swept. */
static bool noted(const struct lease *l, const char *path)
{
    char dir[PATH_MAX], holder[PATH_MAX];
    struct err ignored = ERR_INIT;
    const char *base = path_base(path);
    size_t n = strlen(base);
    time_t now = now_there(l->fd);
    struct dirent *entry;
    DIR *d AUTO(dir_close) = NULL;

    path_dir(dir, sizeof(dir), path);
    d = opendir(dir);
    while (d != NULL && (entry = readdir(d)) != NULL) {
        const char *name = entry->d_name;

        if (strncmp(name, base, n) != 0 || name[n] != '.' ||
            !hex_is(str_of(name + n + 1), 16) ||
            path_join(holder, dir, name, &ignored) != 0)
            continue;
        if (is_live(holder, now))
            return true;
        unlink(holder);
    }
    return false;
}

/* ---- */

/* 0: held; 1: somebody removes things; 2: no locks here. */
static int try_share(int fd)
{
    if (flock(fd, LOCK_SH | LOCK_NB) == 0)
        return 0;
    return errno == EWOULDBLOCK || errno == EINTR ? 1 : 2;
}

static void tell_waiting(int fd, const char *path)
{
    char dir[PATH_MAX];

    path_dir(dir, sizeof(dir), path);
    log_info("waiting for process %ld, which is removing files of %s",
        holder_pid(fd), path_base(dir));
}

int lease_hold(struct lease *l, const char *path, bool create, struct err *e)
{
    const struct timespec nap = { .tv_nsec = POLL_MS * 1000000L };
    bool told = false;

    if (l->fd >= 0)
        return 0;
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        int rc = 2;

        l->fd = open_lease(path, create);
        while (l->fd >= 0 && (rc = try_share(l->fd)) == 1) {
            if (!told)
                tell_waiting(l->fd, path);
            told = true;
            if (cancel_check(e) != 0) {
                lease_free(l);
                return -1;
            }
            nanosleep(&nap, NULL);
        }
        if (l->fd < 0 || holder_file(l->fd, path))
            break;
        fd_close(&l->fd);
    }
    l->honest = l->fd >= 0 && honest_lock(l->fd);
    if (l->fd >= 0 && !l->honest)
        leave_note(l, path);
    return 0;
}

int lease_take(
    struct lease *l, const char *path, const char *what, struct err *e)
{
    long pid;

    l->fd = open_lease(path, true);
    if (l->fd < 0)
        return err_sys(e, "cannot open %s", path);
    if ((flock(l->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) &&
        holder_file(l->fd, path)) {
        l->honest = honest_lock(l->fd);
        if (!noted(l, path))
            return 0;
    }
    pid = holder_pid(l->fd);
    lease_free(l);
    if (pid > 0)
        err_set(e, ERR_BUSY, "%s is in use by process %ld", what, pid);
    else
        err_set(e, ERR_BUSY, "%s is in use by another process", what);
    return err_hint(e, "try again when it has ended");
}

bool lease_lost(const struct lease *l, const char *path)
{
    return !l->honest && noted(l, path);
}

void lease_free(struct lease *l)
{
    if (l->holder[0] != '\0')
        unlink(l->holder);
    l->holder[0] = '\0';
    fd_close(&l->fd);
}

static void end_kept(void *what)
{
    lease_free(what);
    free(what);
}

void lease_for_life(const char *path)
{
    struct scope *scope = scope_now();
    struct lease l = LEASE_INIT, *kept;
    struct err ignored = ERR_INIT;

    if (scope != NULL && scope_keeps(scope, path))
        return;
    /* Not let go of: the descriptor ends with the process. */
    if (lease_hold(&l, path, true, &ignored) != 0 || scope == NULL)
        return;
    kept = malloc(sizeof(*kept));
    if (kept == NULL) {
        lease_free(&l);
        return;
    }
    *kept = l;
    scope_keep(scope, path, kept, end_kept);
}
