/*
 * A file of the user's becomes content in the store: read, hashed, written,
 * synced, and read back. Only then may a name lead to it.
 */
#include "cache/volume.h"
#include "cache/volume_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "cache/apply.h"
#include "cache/edit.h"
#include "cache/lease.h"
#include "cache/mode.h"

#include "base/cancel.h"
#include "base/file.h"
#include "base/human.h"
#include "base/path.h"

/* What is smaller is hashed before it is copied: to read it again costs
 * little, as it is in memory by then. */
enum { COPY_CHUNK = 1 << 20, LOOK_MAX = 64 << 20 };

struct put {
    const struct volume *v;
    const char *file;
    int fd;
    struct stat st; /* of the file when it was opened */
    struct progress_item *item;
};

static uint64_t put_size(const struct put *p)
{
    return (uint64_t)p->st.st_size;
}

static void count(void *item, uint64_t bytes)
{
    progress_add(item, bytes);
}

static int open_source(struct put *p, struct err *e)
{
    p->fd = file_open(p->file, NULL, e);
    if (p->fd < 0)
        return -1;
    if (fstat(p->fd, &p->st) != 0)
        return err_sys(e, "%s", p->file);
    return 0;
}

static int check_unchanged(const struct put *p, struct err *e)
{
    struct stat now;

    if (fstat(p->fd, &now) != 0)
        return err_sys(e, "%s", p->file);
    if (now.st_size == p->st.st_size &&
        now.st_mtim.tv_sec == p->st.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == p->st.st_mtim.tv_nsec)
        return 0;
    return err_set(e, ERR_BUSY, "%s: changed while it was read", p->file);
}

/* Has the store this content, and is it sound? */
static bool store_has(const struct put *p, const struct digest *sha256)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    struct digest now;
    struct stat st;

    return volume_stored(p->v, sha256, path, &ignored) == 0 &&
           stat(path, &st) == 0 && (uint64_t)st.st_size == put_size(p) &&
           file_hash(path, HASH_SHA256, &now, NULL, NULL, &ignored) == 0 &&
           digest_eq(&now, sha256);
}

static int no_space(const struct put *p, uint64_t free_bytes, struct err *e)
{
    char need[HUMAN_MAX], lack[HUMAN_MAX];

    err_set(e, ERR_NOSPACE, "%s: %s needs %s, %s more than is free", p->v->root,
        p->file, human_size(need, put_size(p)),
        human_size(lack, put_size(p) - free_bytes));
    return err_hint(e, "make room there, or put it into another volume");
}

/*
 * Look before copying where a copy would fail or is likely to be for
 * nothing. Returns 1 when the store has the content, 0, or -1 with *e.
 */
static int held_already(
    const struct put *p, bool likely, struct digest *out, struct err *e)
{
    uint64_t free_bytes;
    bool fits;

    if (dir_free_space(p->v->root, &free_bytes, e) != 0)
        return -1;
    fits = free_bytes >= put_size(p);
    if (fits && !likely && put_size(p) > LOOK_MAX)
        return 0;
    if (file_hash(p->file, HASH_SHA256, out, count, p->item, e) != 0)
        return -1;
    if (store_has(p, out))
        return check_unchanged(p, e) == 0 ? 1 : -1;
    progress_undo(p->item, put_size(p));
    return fits ? 0 : no_space(p, free_bytes, e);
}

/* A source that ends early has been cut since it was opened. */
static int read_source(
    const struct put *p, void *out, size_t n, uint64_t at, struct err *e)
{
    struct err why = ERR_INIT;

    if (file_read_at(p->fd, out, n, at, p->file, &why) == 0)
        return 0;
    if (why.kind == ERR_CORRUPT && check_unchanged(p, e) != 0)
        return -1;
    *e = why;
    return -1;
}

static int copy_hashed(
    const struct put *p, int to, struct digest *out, struct err *e)
{
    struct hash h AUTO(hash_free) = HASH_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(COPY_CHUNK);
    uint64_t size = put_size(p), at = 0;

    if (buf_room(&b, COPY_CHUNK) == NULL)
        return buf_check(&b, e);
    if (hash_begin(&h, HASH_SHA256, size, e) != 0)
        return -1;
    while (at < size) {
        size_t n = size_min(COPY_CHUNK, size - at);
        if (cancel_check(e) != 0 || read_source(p, b.p, n, at, e) != 0)
            return -1;
        hash_add(&h, b.p, n);
        if (file_write_at(to, b.p, n, at, p->v->root, e) != 0)
            return -1;
        at += n;
        progress_add(p->item, n);
    }
    hash_end(&h, out);
    return check_unchanged(p, e);
}

int volume_stored_sync(
    const struct volume *v, const struct digest *sha256, struct err *e)
{
    char path[PATH_MAX], dir[PATH_MAX], up[PATH_MAX];

    if (volume_stored(v, sha256, path, e) != 0)
        return -1;
    path_dir(dir, sizeof(dir), path);
    path_dir(up, sizeof(up), dir);
    return dir_sync(dir, e) != 0 ? -1 : dir_sync(up, e);
}

/* What is on the disk now, past the page cache where that can be asked. */
static int read_back(const struct put *p, const struct file_new *f,
    const struct digest *sha256, struct err *e)
{
    struct digest now;

    if (fsync(f->fd) != 0)
        return err_sys(e, "%s: making it durable", f->tmp);
    progress_state(p->item, "checking");
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
    if (file_hash(f->tmp, HASH_SHA256, &now, NULL, NULL, e) != 0)
        return -1;
    progress_state(p->item, "");
    if (digest_eq(&now, sha256))
        return 0;
    err_set(e, ERR_CORRUPT, "%s: what was written for %s reads back otherwise",
        p->v->root, p->file);
    return err_hint(e, "the disk or the memory of this machine is failing");
}

/* The bytes go to tmp/, and from there to the name their digest gives. */
static int store_put(
    const struct put *p, struct digest *out, bool *copied, struct err *e)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    char tmp[PATH_MAX], path[PATH_MAX], dir[PATH_MAX];

    if (volume_tmp(p->v, tmp, e) != 0 ||
        file_new_begin_in(&f, tmp, "content", e) != 0)
        return -1;
    /* Held while we live: a sweep leaves it alone. */
    flock(f.fd, LOCK_EX | LOCK_NB);
    if (p->st.st_size > 0 && fallocate(f.fd, 0, 0, p->st.st_size) != 0 &&
        (errno == ENOSPC || errno == EDQUOT))
        return err_sys(e, "%s: making room for %s", p->v->root, p->file);
    if (copy_hashed(p, f.fd, out, e) != 0)
        return -1;
    *copied = !store_has(p, out);
    if (!*copied)
        return volume_stored_sync(p->v, out, e);
    if (cancel_check(e) != 0 || read_back(p, &f, out, e) != 0 ||
        volume_stored(p->v, out, path, e) != 0)
        return -1;
    path_dir(dir, sizeof(dir), path);
    if (dir_make(dir, e) != 0)
        return -1;
    snprintf(f.path, sizeof(f.path), "%s", path);
    return file_new_commit(&f, mode_masked(0444), e);
}

static int store(const struct put *p, bool likely, struct volume_entry *out,
    bool *copied, struct err *e)
{
    int rc;

    *copied = false;
    *out = (struct volume_entry){ .size = put_size(p), .mtime = time(NULL) };
    rc = held_already(p, likely, &out->sha256, e);
    if (rc == 0)
        return store_put(p, &out->sha256, copied, e);
    return rc < 0 ? -1 : volume_stored_sync(p->v, &out->sha256, e);
}

int volume_store(const struct volume *v, const char *file, const char *shown,
    bool likely, struct progress *progress, struct volume_entry *out,
    bool *copied, struct err *e)
{
    struct put p = { .v = v, .file = file, .fd = -1 };
    int rc;

    if (open_source(&p, e) != 0) {
        fd_close(&p.fd);
        return -1;
    }
    p.item = progress_item(progress, shown, put_size(&p));
    rc = store(&p, likely, out, copied, e);
    fd_close(&p.fd);
    if (rc == 0)
        progress_done(p.item);
    return rc;
}

int volume_put(const struct volume *v, const char *file, const char *name,
    struct progress *progress, struct volume_entry *out, struct arena *arena,
    struct err *e)
{
    struct edit ed AUTO(edit_close) = EDIT_INIT;
    struct lease lease AUTO(lease_free) = LEASE_INIT;
    char path[PATH_MAX];
    uint64_t step;
    bool copied;

    /* Content that is here, or comes, is not collected before it has a name. */
    if (volume_check(v, e) != 0 || lease_of_volume(v, path, e) != 0 ||
        lease_hold(&lease, path, true, e) != 0 ||
        edit_name_free(v, str_of(name), NULL, arena, e) != 0 ||
        volume_store(v, file, name, false, progress, out, &copied, e) != 0 ||
        edit_begin(&ed, v, "put", false, arena, e) != 0 ||
        edit_set(&ed, str_of(name), out, e) != 0 ||
        edit_commit(&ed, &step, e) != 0)
        return -1;
    out->name = arena_str(arena, str_of(name), e);
    if (out->name.p == NULL)
        return -1;
    apply_show(v, out);
    return 0;
}
