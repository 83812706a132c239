#include "fetch/spooldir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/env.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/path.h"
#include "cache/aside.h"

enum { NAME = 16, TRIES = 8 };

/* 0; 1: another has it, or took it away at this moment; -1 with *e. */
static int try_lock(int *lock, const char *path, int flags, struct err *e)
{
    struct stat st;

    *lock = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (*lock < 0)
        return err_sys(e, "cannot open %s", path);
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0 && fstat(*lock, &st) == 0 &&
        st.st_nlink > 0)
        return 0;
    fd_close(lock);
    return 1;
}

static int lock_path(const char *root, char *out, struct err *e)
{
    return path_fmt(out, e, "%s.lock", root);
}

/* ---- old ones ---- */

/* Its lock is touched by whoever takes it. */
static void drop_old(const char *top, const char *name, time_t before)
{
    struct spooldir d AUTO(spooldir_close) = SPOOLDIR_INIT;
    struct err why = ERR_INIT;
    char path[PATH_MAX];
    struct stat st;

    if (strlen(name) != NAME + strlen(".lock") ||
        !hex_is((struct str){ name, NAME }, NAME) ||
        strcmp(name + NAME, ".lock") != 0 ||
        path_fmt(d.root, &why, "%s/%.16s", top, name) != 0 ||
        lock_path(d.root, path, &why) != 0 || lstat(path, &st) != 0 ||
        st.st_mtime >= before || try_lock(&d.lock, path, 0, &why) != 0)
        return;
    if (spooldir_remove(&d, &why) != 0)
        log_debug("%s", why.msg);
}

static void close_dir(DIR **d)
{
    if (*d != NULL)
        closedir(*d);
}

static void drop_all_old(const char *top)
{
    time_t before = time(NULL) - SPOOLDIR_DAYS * 86400;
    DIR *d AUTO(close_dir) = opendir(top);
    struct dirent *x;

    while (d != NULL && (x = readdir(d)) != NULL)
        drop_old(top, x->d_name, before);
}

/* ---- this one ---- */

static int find_root(char top[PATH_MAX], struct spooldir *out,
    const char *shown, const struct repo *r, const char *commit, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(4096);
    char cache[PATH_MAX];
    struct digest name;

    if (!env_path("XDG_CACHE_HOME", cache) &&
        path_fmt(cache, e, "%s/.cache", env_home()) != 0)
        return -1;
    buf_printf(&text, "%s\n%s\n%s\n", shown, r->folder, commit);
    if (buf_check(&text, e) != 0 ||
        hash_bytes(HASH_SHA256, text.p, text.len, &name, e) != 0 ||
        path_fmt(top, e, "%s/mlfetch/spool", cache) != 0 ||
        dir_make(top, e) != 0)
        return -1;
    return path_fmt(out->root, e, "%s/%.16s", top, name.hex);
}

int spooldir_open(struct spooldir *out, const char *shown, const struct repo *r,
    const char *commit, struct err *e)
{
    char top[PATH_MAX], path[PATH_MAX];
    int rc = 1;

    if (find_root(top, out, shown, r, commit, e) != 0 ||
        lock_path(out->root, path, e) != 0)
        return -1;
    for (int tries = 0; tries < TRIES && rc == 1; tries++)
        rc = try_lock(&out->lock, path, O_CREAT, e);
    if (rc < 0)
        return -1;
    if (rc > 0) {
        err_set(e, ERR_BUSY, "another process brings %s@%s into this volume",
            r->id, commit);
        return err_hint(e, "wait for it, then do it again");
    }
    if (futimens(out->lock, NULL) != 0)
        return err_sys(e, "%s", path);
    drop_all_old(top);
    return 0;
}

int spooldir_remove(const struct spooldir *d, struct err *e)
{
    char path[PATH_MAX];

    if (aside_remove(d->root, e) != 0 || lock_path(d->root, path, e) != 0)
        return -1;
    return unlink(path) == 0 ? 0 : err_sys(e, "%s", path);
}

void spooldir_close(struct spooldir *d)
{
    fd_close(&d->lock);
}
