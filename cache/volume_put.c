/*
 * A file of the user's becomes content in the store, then a name, then an
 * entry in the view. A kill between any two steps leaves a sound volume.
 */
#include "cache/volume.h"
#include "cache/volume_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "cache/lease.h"
#include "cache/mode.h"

#include "base/cancel.h"
#include "base/file.h"
#include "base/human.h"
#include "base/log.h"
#include "base/path.h"

enum { COPY_CHUNK = 1 << 20 };

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

/* names/: the file of x and the folder of x.json/... would be one. */
static int check_paths(const struct volume *v, const char *name, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;

    if (volume_named(v, str_of(name), path, e) != 0)
        return -1;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return err_set(e, ERR_REFUSED,
            "'%s': '%s.json' is a folder in this volume", name, name);
    for (const char *p = strchr(name, '/'); p != NULL; p = strchr(p + 1, '/')) {
        int n = (int)(p - name);
        if (path_fmt(path, e, "%s/names/%.*s", v->root, n, name) != 0)
            return -1;
        if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
            return err_set(e, ERR_REFUSED,
                "'%s': '%.*s' cannot be a folder beside the file '%.*s'", name,
                n, name, n - (int)strlen(".json"), name);
    }
    return 0;
}

/* A name cannot be a file and a folder at once. */
static int check_name(const struct volume *v, const char *name,
    struct arena *arena, struct err *e)
{
    struct volume_entry entry, *list = NULL;
    uint64_t n = 0;

    if (check_paths(v, name, e) != 0)
        return -1;
    for (const char *p = strchr(name, '/'); p != NULL; p = strchr(p + 1, '/')) {
        struct err ignored = ERR_INIT;
        struct str front = { name, (size_t)(p - name) };
        if (volume_entry_read(v, front, arena, &entry, &ignored) == 0)
            return err_set(e, ERR_REFUSED,
                "'%s': '%.*s' is a file in this volume", name, STR_ARG(front));
    }
    if (volume_below(v, name, arena, &list, &n, e) != 0)
        return -1;
    if (n > 0)
        return err_set(e, ERR_REFUSED,
            "'%s' is a folder in this volume: it has '%.*s'", name,
            STR_ARG(list[0].name));
    return 0;
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
static int held_already(const struct put *p, const char *name,
    struct arena *arena, struct digest *out, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct volume_entry old;
    uint64_t free_bytes;
    bool fits, again;

    if (dir_free_space(p->v->root, &free_bytes, e) != 0)
        return -1;
    fits = free_bytes >= put_size(p);
    again = volume_entry_read(p->v, str_of(name), arena, &old, &ignored) == 0 &&
            old.size == put_size(p);
    if (fits && !again)
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

/*
 * Whoever stored it may not have come to syncing the folders that lead to
 * it, and never may.
 */
static int store_sync(
    const struct put *p, const struct digest *sha256, struct err *e)
{
    char path[PATH_MAX], dir[PATH_MAX], up[PATH_MAX];

    if (volume_stored(p->v, sha256, path, e) != 0)
        return -1;
    path_dir(dir, sizeof(dir), path);
    path_dir(up, sizeof(up), dir);
    return dir_sync(dir, e) != 0 ? -1 : dir_sync(up, e);
}

/* The bytes go to tmp/, and from there to the name their digest gives. */
static int store_put(const struct put *p, struct digest *out, struct err *e)
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
    if (store_has(p, out))
        return store_sync(p, out, e);
    if (cancel_check(e) != 0 || volume_stored(p->v, out, path, e) != 0)
        return -1;
    path_dir(dir, sizeof(dir), path);
    if (dir_make(dir, e) != 0)
        return -1;
    snprintf(f.path, sizeof(f.path), "%s", path);
    return file_new_commit(&f, mode_masked(0444), e);
}

/* From the view's entry to the store: "../" for files/ and every folder. */
static int view_target(
    const struct volume_entry *entry, char *out, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(PATH_MAX - 1);

    for (size_t i = 0; i < entry->name.len; i++)
        if (entry->name.p[i] == '/')
            buf_puts(&b, "../");
    buf_printf(
        &b, "../store/sha256/%.2s/%s", entry->sha256.hex, entry->sha256.hex);
    if (buf_check(&b, e) != 0)
        return -1;
    memcpy(out, b.p, b.len + 1);
    return 0;
}

static int show(
    const struct volume *v, const struct volume_entry *entry, struct err *e)
{
    char stored[PATH_MAX], path[PATH_MAX], dir[PATH_MAX], tmp[PATH_MAX];
    char target[PATH_MAX], link_tmp[PATH_MAX];
    int rc;

    if (volume_path(v, entry, stored, e) != 0 ||
        path_fmt(path, e, "%s/files/%.*s", v->root, STR_ARG(entry->name)) != 0)
        return -1;
    path_dir(dir, sizeof(dir), path);
    if (dir_make(dir, e) != 0 || volume_tmp(v, tmp, e) != 0 ||
        file_temp_name(link_tmp, tmp, path, e) != 0)
        return -1;
    if (link(stored, link_tmp) != 0 &&
        (view_target(entry, target, e) != 0 || symlink(target, link_tmp) != 0))
        return err_sys(e, "cannot link %s", path);
    rc = file_publish(link_tmp, path, e);
    /* A rename onto another name of the same file leaves both. */
    unlink(link_tmp);
    return rc;
}

static int put_open(struct put *p, const char *name, struct arena *arena,
    struct volume_entry *out, struct err *e)
{
    int rc;

    *out = (struct volume_entry){ .size = put_size(p), .mtime = time(NULL) };
    out->name = arena_str(arena, str_of(name), e);
    if (out->name.p == NULL)
        return -1;
    rc = held_already(p, name, arena, &out->sha256, e);
    if (rc == 0)
        rc = store_put(p, &out->sha256, e);
    else if (rc > 0)
        rc = store_sync(p, &out->sha256, e);
    if (rc != 0)
        return -1;
    return volume_entry_write(p->v, out, e);
}

int volume_put(const struct volume *v, const char *file, const char *name,
    struct progress *progress, struct volume_entry *out, struct arena *arena,
    struct err *e)
{
    struct put p = { .v = v, .file = file, .fd = -1 };
    struct lease lease AUTO(lease_free) = LEASE_INIT;
    struct err view = ERR_INIT;
    char path[PATH_MAX];
    int rc;

    /* Content that is here, or comes, is not collected before it has a name. */
    if (volume_check(v, e) != 0 || lease_of_volume(v, path, e) != 0 ||
        lease_hold(&lease, path, true, e) != 0 ||
        check_name(v, name, arena, e) != 0)
        return -1;
    if (open_source(&p, e) != 0) {
        fd_close(&p.fd);
        return -1;
    }
    p.item = progress_item(progress, name, put_size(&p));
    rc = put_open(&p, name, arena, out, e);
    fd_close(&p.fd);
    if (rc != 0)
        return -1;
    if (show(v, out, &view) != 0)
        log_warn(
            "'%s' is stored, but not shown under files/: %s", name, view.msg);
    progress_done(p.item);
    return 0;
}

int volume_put_stored(const struct volume *v, const struct volume_entry *entry,
    struct arena *arena, struct err *e)
{
    const struct put p = { .v = v, .fd = -1 };
    struct err view = ERR_INIT;

    if (check_name(v, entry->name.p, arena, e) != 0 ||
        store_sync(&p, &entry->sha256, e) != 0 ||
        volume_entry_write(v, entry, e) != 0)
        return -1;
    if (show(v, entry, &view) != 0)
        log_warn("'%s' is stored, but not shown under files/: %s",
            entry->name.p, view.msg);
    return 0;
}
