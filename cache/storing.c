/*
 * A file of the user's becomes content in the store: read, hashed, written,
 * synced, and read back. Only then may a name lead to it.
 */
#include "cache/storing.h"
#include "cache/volume_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/mode.h"

#include "base/cancel.h"
#include "base/hex.h"
#include "base/human.h"
#include "base/path.h"

/* ---- the batch ---- */

void storing_open(struct storing *s, const struct volume *v)
{
    s->v = v;
    s->n = 0;
    s->bytes = 0;
    memset(s->shards, 0, sizeof(s->shards));
}

void storing_free(struct storing *s)
{
    for (size_t i = 0; i < s->n; i++)
        file_new_abandon(&s->batch[i].f);
    s->n = 0;
}

int storing_touch(struct storing *s, const struct digest *sha256, struct err *e)
{
    uint8_t shard;

    if (!hex_decode(&shard, 1, (struct str){ sha256->hex, 2 }))
        return err_set(e, ERR_BUG, "'%s' is no digest", sha256->hex);
    s->shards[shard] = true;
    return 0;
}

/* Its mode comes first: to change it later is something more to sync. */
static int make_durable(const struct storing_item *it, struct err *e)
{
    progress_state(it->progress, "checking");
    if (file_mode(it->f.fd, mode_masked(0444)) != 0 || fsync(it->f.fd) != 0)
        return err_sys(e, "%s: making it durable", it->f.tmp);
    return 0;
}

/* What is on the disk now, past the page cache where that can be asked. */
static int read_back(
    const struct storing *s, const struct storing_item *it, struct err *e)
{
    struct digest now;

    posix_fadvise(it->f.fd, 0, 0, POSIX_FADV_DONTNEED);
    if (file_hash(it->f.tmp, HASH_SHA256, &now, NULL, NULL, e) != 0)
        return -1;
    progress_state(it->progress, "");
    if (digest_eq(&now, &it->sha256))
        return 0;
    err_set(e, ERR_CORRUPT, "%s: what was written for %s reads back otherwise",
        s->v->root, it->shown);
    return err_hint(e, "the disk or the memory of this machine is failing");
}

static int place(struct storing_item *it, struct err *e)
{
    char dir[PATH_MAX];

    path_dir(dir, sizeof(dir), it->f.path);
    if (dir_make(dir, e) != 0 || file_move(it->f.tmp, it->f.path, e) != 0)
        return -1;
    fd_close(&it->f.fd);
    progress_done(it->progress);
    return 0;
}

static int flush(struct storing *s, struct err *e)
{
    for (size_t i = 0; i < s->n; i++)
        if (make_durable(&s->batch[i], e) != 0)
            return -1;
    for (size_t i = 0; i < s->n; i++)
        if (cancel_check(e) != 0 || read_back(s, &s->batch[i], e) != 0)
            return -1;
    for (size_t i = 0; i < s->n; i++)
        if (place(&s->batch[i], e) != 0)
            return -1;
    s->n = 0;
    s->bytes = 0;
    return 0;
}

/* Does it come already? */
static bool is_coming(const struct storing *s, const struct digest *sha256)
{
    for (size_t i = 0; i < s->n; i++)
        if (digest_eq(&s->batch[i].sha256, sha256))
            return true;
    return false;
}

int storing_end(struct storing *s, struct err *e)
{
    char path[PATH_MAX], dir[PATH_MAX], up[PATH_MAX] = "";

    if (flush(s, e) != 0)
        return -1;
    for (unsigned i = 0; i < STORING_SHARDS; i++) {
        struct digest any = { .kind = HASH_SHA256 };

        if (!s->shards[i])
            continue;
        hex_encode(any.hex, &(uint8_t){ (uint8_t)i }, 1);
        if (volume_stored(s->v, &any, path, e) != 0)
            return -1;
        path_dir(dir, sizeof(dir), path);
        path_dir(up, sizeof(up), dir);
        if (dir_sync(dir, e) != 0)
            return -1;
    }
    return up[0] != '\0' ? dir_sync(up, e) : 0;
}

/* ---- one file ---- */

/* What is smaller is hashed before it is copied: to read it again costs
 * little, as it is in memory by then. */
enum { COPY_CHUNK = 1 << 20, LOOK_MAX = 64 << 20 };

struct put {
    const struct volume *v;
    const char *file;
    const char *shown;
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
 * nothing. Returns 1 when the store has, or gets, the content, 0, or -1 with
 * *e.
 */
static int held_already(const struct storing *s, const struct put *p,
    bool likely, struct digest *out, struct err *e)
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
    if (is_coming(s, out) || store_has(p, out))
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

/* The bytes go to tmp/, and from there, with those of others, to the name that
 * their digest gives. */
static int copy_in(struct storing *s, const struct put *p, struct digest *out,
    bool *copied, struct err *e)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    char tmp[PATH_MAX];

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
    if (is_coming(s, out) || store_has(p, out))
        return 0;
    if (volume_stored(p->v, out, f.path, e) != 0)
        return -1;
    *copied = true;
    s->batch[s->n++] = (struct storing_item){
        .f = f, .sha256 = *out, .shown = p->shown, .progress = p->item
    };
    f.fd = -1;
    s->bytes += put_size(p);
    return s->n < STORING_BATCH && s->bytes < STORING_BATCH_BYTES ? 0
                                                                  : flush(s, e);
}

static int store(struct storing *s, const struct put *p, bool likely,
    struct volume_entry *out, bool *copied, struct err *e)
{
    int rc;

    *copied = false;
    *out = (struct volume_entry){ .size = put_size(p), .mtime = time(NULL) };
    rc = held_already(s, p, likely, &out->sha256, e);
    if (rc < 0 || (rc == 0 && copy_in(s, p, &out->sha256, copied, e) != 0))
        return -1;
    if (!*copied)
        progress_done(p->item);
    return storing_touch(s, &out->sha256, e);
}

int storing_put(struct storing *s, const char *file, const char *shown,
    bool likely, struct progress *progress, struct volume_entry *out,
    bool *copied, struct err *e)
{
    struct put p = { .v = s->v, .file = file, .shown = shown, .fd = -1 };
    int rc = open_source(&p, e);

    if (rc == 0) {
        p.item = progress_item(progress, shown, put_size(&p));
        rc = store(s, &p, likely, out, copied, e);
    }
    fd_close(&p.fd);
    return rc;
}
