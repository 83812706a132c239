#include "cache/landing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "cache/aside.h"
#include "cache/holder.h"
#include "cache/honest.h"
#include "cache/mode.h"

#include "base/path.h"

enum { COPY_CHUNK = 1 << 20, TRIES_MAX = 100 };

static const char folder_name[] = "ml-import.tmp";

/* The longest front of path that is there. */
static void find_root(const char *path, char *out)
{
    char up[PATH_MAX];

    snprintf(out, PATH_MAX, "%s", path);
    while (access(out, F_OK) != 0 && strchr(out, '/') != NULL) {
        path_dir(up, sizeof(up), out);
        if (strcmp(up, out) == 0)
            return;
        memcpy(out, up, sizeof(up));
    }
}

int landing_open(
    struct landing *l, const struct place *p, bool dry_run, struct err *e)
{
    l->place = p;
    l->dry_run = dry_run;
    if ((p->has_volume
                ? path_fmt(l->dir, e, "%s/tmp/%s", p->volume.root, folder_name)
                : path_fmt(l->dir, e, "%s/.locks/%s", p->hub.root,
                      folder_name)) != 0)
        return -1;
    find_root(l->dir, l->root);
    return 0;
}

/* What killed runs did not come to the end of; for who has it alone. */
static void sweep(const struct landing *l)
{
    DIR *d AUTO(dir_close) = opendir(l->dir);
    struct dirent *entry;

    while (d != NULL && (entry = readdir(d)) != NULL)
        if (str_ends(str_of(entry->d_name), ".tmp"))
            unlinkat(dirfd(d), entry->d_name, 0);
}

/* Made and locked with others; a collector may take it away in between. */
static int enter(struct landing *l, struct err *e)
{
    for (int tries = 0; l->lock < 0 && tries < TRIES_MAX; tries++) {
        if (dir_make(l->dir, e) != 0)
            return -1;
        l->lock = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (l->lock < 0 && errno != ENOENT)
            return err_sys(e, "%s", l->dir);
        if (l->lock >= 0 && flock(l->lock, LOCK_EX | LOCK_NB) == 0 &&
            honest_lock(l->lock))
            sweep(l);
        if (l->lock >= 0)
            flock(l->lock, LOCK_SH);
        if (l->lock >= 0 && !holder_file(l->lock, l->dir))
            fd_close(&l->lock);
    }
    return l->lock >= 0
               ? 0
               : err_set(e, ERR_BUSY, "%s: is removed again and again", l->dir);
}

int landing_path(
    const struct landing *l, const struct digest *d, char *out, struct err *e)
{
    return path_join(out, l->dir, d->hex, e);
}

/* Opened if it is a file of this size. */
static int open_sized(const char *path, uint64_t size)
{
    struct err ignored = ERR_INIT;
    uint64_t found;
    int fd = file_open(path, &found, &ignored);

    if (fd >= 0 && found != size)
        fd_close(&fd);
    return fd;
}

bool landing_has(const struct landing *l, const struct digest *d, uint64_t size)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    int fd AUTO(fd_close) = -1;

    if (landing_path(l, d, path, &ignored) == 0)
        fd = open_sized(path, size);
    return fd >= 0;
}

/* ---- writing ---- */

static struct file_new *now(struct landing *l)
{
    return &l->batch[l->n - 1];
}

int landing_sync(struct landing *l, struct err *e)
{
    size_t n = l->n;

    l->n = 0;
    l->batch_bytes = 0;
    return file_new_commit_all(l->batch, n, mode_masked(0444), e);
}

/* What came so far was the same as in the old file; the digest is from now on
 * that of what is written, should the file have changed since. */
static int copy_front(struct landing *l, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(COPY_CHUNK);
    uint64_t done = 0;

    if (l->at == 0)
        return 0;
    if (buf_room(&b, COPY_CHUNK) == NULL)
        return buf_check(&b, e);
    hash_free(&l->hash);
    if (hash_begin(&l->hash, l->digest.kind, l->size, e) != 0)
        return -1;
    while (done < l->at) {
        size_t n = size_min(COPY_CHUNK, l->at - done);

        if (file_read_at(l->old, b.p, n, done, l->old_path, e) != 0 ||
            file_write_at(now(l)->fd, b.p, n, done, now(l)->path, e) != 0)
            return -1;
        hash_add(&l->hash, (uint8_t *)b.p, n);
        done += n;
    }
    return 0;
}

static int begin_writing(struct landing *l, struct err *e)
{
    char path[PATH_MAX];

    if (l->n == LANDING_BATCH || l->batch_bytes >= LANDING_BATCH_BYTES)
        if (landing_sync(l, e) != 0)
            return -1;
    if (enter(l, e) != 0 || landing_path(l, &l->digest, path, e) != 0)
        return -1;
    l->batch[l->n] = (struct file_new)FILE_NEW_INIT;
    if (file_new_begin_in(&l->batch[l->n], l->dir, path, e) != 0)
        return -1;
    l->n++;
    l->batch_bytes += l->size;
    l->writing = true;
    if (l->size > 0 && fallocate(now(l)->fd, 0, 0, (off_t)l->size) != 0 &&
        (errno == ENOSPC || errno == EDQUOT))
        return err_sys(e, "%s: making room", path);
    return copy_front(l, e);
}

int landing_begin(struct landing *l, const struct digest *d, uint64_t size,
    const char *held, struct err *e)
{
    l->digest = *d;
    l->size = size;
    l->at = 0;
    l->writing = false;
    if (hash_begin(&l->hash, d->kind, size, e) != 0)
        return -1;
    l->old_is = LANDED_HELD;
    snprintf(l->old_path, sizeof(l->old_path), "%s", held);
    l->old = open_sized(held, size);
    if (l->old < 0 && landing_path(l, d, l->old_path, e) == 0) {
        l->old_is = LANDED_KEPT;
        l->old = open_sized(l->old_path, size);
    }
    if (e->kind != ERR_NONE)
        return -1;
    return l->old < 0 && !l->dry_run ? begin_writing(l, e) : 0;
}

/* Has the old file these bytes next? */
static bool same_there(const struct landing *l, const uint8_t *bytes, size_t n)
{
    struct err ignored = ERR_INIT;
    uint8_t there[16 << 10];

    for (size_t done = 0; done < n;) {
        size_t part = size_min(sizeof(there), n - done);

        if (file_read_at(l->old, there, part, l->at + done, l->old_path,
                &ignored) != 0 ||
            memcmp(there, bytes + done, part) != 0)
            return false;
        done += part;
    }
    return true;
}

int landing_add(
    struct landing *l, const uint8_t *bytes, size_t n, struct err *e)
{
    if (l->old >= 0 && !same_there(l, bytes, n)) {
        if (!l->dry_run && begin_writing(l, e) != 0)
            return -1;
        fd_close(&l->old);
    }
    hash_add(&l->hash, bytes, n);
    if (l->writing &&
        file_write_at(now(l)->fd, bytes, n, l->at, now(l)->path, e) != 0)
        return -1;
    l->at += n;
    return 0;
}

static void drop_writing(struct landing *l)
{
    if (l->writing)
        file_new_abandon(&l->batch[--l->n]);
    l->writing = false;
}

int landing_end(struct landing *l, enum landed *out, struct err *e)
{
    struct digest found;

    hash_end(&l->hash, &found);
    *out = l->writing ? LANDED_FRESH : l->old >= 0 ? l->old_is : LANDED_SEEN;
    fd_close(&l->old);
    if (digest_eq(&found, &l->digest)) {
        l->writing = false;
        return 0;
    }
    drop_writing(l);
    return err_set(
        e, ERR_CORRUPT, "its digest is %s, not %s", found.hex, l->digest.hex);
}

void landing_keep(struct landing *l)
{
    struct err ignored = ERR_INIT;

    drop_writing(l);
    landing_sync(l, &ignored);
}

void landing_drop(const struct landing *l, const struct digest *d)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    if (landing_path(l, d, path, &ignored) == 0)
        unlink(path);
}

void landing_close(struct landing *l)
{
    char inside[PATH_MAX];
    struct err ignored = ERR_INIT;

    for (size_t i = 0; i < l->n; i++)
        file_new_abandon(&l->batch[i]);
    l->n = 0;
    hash_free(&l->hash);
    fd_close(&l->old);
    /* Empty folders go, and what was made for them, unless another import
     * is at work there. */
    if (l->lock >= 0 &&
        (flock(l->lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) &&
        path_join(inside, l->dir, "x", &ignored) == 0)
        aside_prune(inside, l->root);
    fd_close(&l->lock);
}
