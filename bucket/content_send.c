/*
 * Files of this machine become content of a bucket: all are read once for
 * their digests, then what is missing is sent.
 */
#include "bucket/content.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/file.h"
#include "bucket/crew.h"
#include "s3/multipart.h"

enum { CHUNK = 1 << 20 };

/* ---- digests ---- */

struct hashing {
    struct content_file *v;
    struct progress *progress;
};

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int changed(const struct content_file *f, struct err *e)
{
    return err_set(e, ERR_BUSY, "%s: changed while it was read", f->file);
}

/* The whole and its pieces, in one go. */
static int hash_pieces(const struct content_file *f, int fd,
    struct progress_item *item, struct err *e)
{
    struct hash all AUTO(hash_free) = HASH_INIT;
    struct hash piece AUTO(hash_free) = HASH_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(CHUNK);
    struct catalog_file *out = f->out;

    if (buf_room(&b, CHUNK) == NULL)
        return buf_check(&b, e);
    if (hash_begin(&all, HASH_SHA256, out->size, e) != 0)
        return -1;
    for (uint64_t at = 0; at < out->size;) {
        size_t n = size_min(CHUNK, out->size - at);

        if (at % CATALOG_PIECE == 0 && out->pieces != NULL &&
            hash_begin(&piece, HASH_SHA256, 0, e) != 0)
            return -1;
        if (cancel_check(e) != 0 || file_read_at(fd, b.p, n, at, f->file, e))
            return -1;
        hash_add(&all, b.p, n);
        if (out->pieces != NULL)
            hash_add(&piece, b.p, n);
        at += n;
        progress_add(item, n);
        if (out->pieces != NULL && (at % CATALOG_PIECE == 0 || at == out->size))
            hash_end(&piece, &out->pieces[(at - 1) / CATALOG_PIECE]);
    }
    hash_end(&all, &out->sha256);
    return 0;
}

static int hash_file(
    struct hashing *h, const struct content_file *f, struct err *e)
{
    int fd AUTO(fd_close) = file_open(f->file, NULL, e);
    struct stat before, after;
    struct progress_item *item;
    int rc;

    if (fd < 0)
        return -1;
    if (fstat(fd, &before) != 0)
        return err_sys(e, "%s", f->file);
    if ((uint64_t)before.st_size != f->out->size)
        return changed(f, e);
    item = progress_item(h->progress, f->shown, f->out->size);
    progress_state(item, "reading");
    rc = hash_pieces(f, fd, item, e);
    if (rc == 0 && fstat(fd, &after) != 0)
        rc = err_sys(e, "%s", f->file);
    if (rc != 0)
        return e->kind == ERR_CORRUPT ? changed(f, e) : -1;
    progress_done(item);
    return same_file(&before, &after) ? 0 : changed(f, e);
}

static int hash_one(void *arg, size_t i, struct s3 *nobody, struct err *e)
{
    struct hashing *h = arg;

    (void)nobody;
    return hash_file(h, &h->v[i], e);
}

int content_hash(struct content_file *v, uint64_t n, struct progress *progress,
    struct arena *arena, struct err *e)
{
    struct hashing h = { .v = v, .progress = progress };
    struct pool *pool AUTO(pool_close_auto) = NULL;

    for (uint64_t i = 0; i < n; i++) {
        struct catalog_file *f = v[i].out;
        uint64_t pieces = catalog_pieces(f->size);

        f->pieces = NULL;
        if (pieces == 0)
            continue;
        f->pieces = arena_alloc(arena, pieces, sizeof(*f->pieces), e);
        if (f->pieces == NULL)
            return -1;
    }
    pool = pool_open(0, e);
    if (pool == NULL)
        return -1;
    return crew_run(NULL, pool, n, hash_one, &h, e);
}

/* ---- sending ---- */

struct sending {
    struct bucket *b;
    struct content_file *v;
    uint64_t n;
    struct progress *progress;
    /* Of the long file that is under way. */
    struct content_file *now;
    int fd;
    const char *key;
    char upload[S3_UPLOAD_MAX];
    uint64_t part_bytes;
    struct s3_part *parts;
    struct progress_item *item;
};

static void count(void *item, int64_t n)
{
    if (n >= 0)
        progress_add(item, (uint64_t)n);
    else
        progress_undo(item, (uint64_t)-n);
}

/* A digest that does not fit what is sent says that the file has changed. */
static int why_refused(
    const struct content_file *f, const struct err *why, struct err *e)
{
    if (why->kind == ERR_CORRUPT)
        return changed(f, e);
    if (e->kind == ERR_NONE)
        *e = *why;
    return -1;
}

static int send_short(
    struct sending *w, struct content_file *f, struct s3 *s, struct err *e)
{
    int fd AUTO(fd_close) = file_open(f->file, NULL, e);
    struct s3_body body = {
        .fd = fd, .len = f->out->size, .sha256 = &f->out->sha256, .sent = count
    };
    struct err why = ERR_INIT;
    char key[S3_KEY_MAX + 1];

    if (fd < 0 || content_key(w->b, CONTENT_BLOB, &f->out->sha256, key, e) != 0)
        return -1;
    body.arg = progress_item(w->progress, f->shown, f->out->size);
    if (s3_put(s, key, &body, NULL, NULL, NULL, &why) != 0)
        return why_refused(f, &why, e);
    progress_done(body.arg);
    return 0;
}

static int look_and_send(
    struct sending *w, struct content_file *f, struct s3 *s, struct err *e)
{
    struct catalog_file *out = f->out;
    bool there;

    if (cancel_check(e) != 0 || content_there(w->b, s, CONTENT_BLOB,
                                    &out->sha256, out->size, &there, e) != 0)
        return -1;
    out->held = true;
    f->copied = !there;
    if (there) {
        struct progress_item *item =
            progress_item(w->progress, f->shown, out->size);

        progress_held(item, out->size);
        progress_done(item);
        return 0;
    }
    return out->size <= CATALOG_PIECE ? send_short(w, f, s, e) : 0;
}

static int send_one(void *arg, size_t i, struct s3 *s, struct err *e)
{
    struct sending *w = arg;

    return look_and_send(w, &w->v[i], s, e);
}

static int send_part(void *arg, size_t i, struct s3 *s, struct err *e)
{
    struct sending *w = arg;
    const struct catalog_file *out = w->now->out;
    uint64_t at = (uint64_t)i * w->part_bytes;
    struct s3_body body = { .fd = w->fd,
        .offset = at,
        .len = size_min(w->part_bytes, out->size - at),
        .sha256 = w->part_bytes == CATALOG_PIECE ? &out->pieces[i] : NULL,
        .sent = count,
        .arg = w->item };
    struct err why = ERR_INIT;

    if (cancel_check(e) != 0)
        return -1;
    if (s3_multipart_send(s, w->key, w->upload, (unsigned)i + 1, &body,
            &w->parts[i], &why) == 0)
        return 0;
    return why_refused(w->now, &why, e);
}

static uint64_t part_size(uint64_t size)
{
    uint64_t pieces = catalog_pieces(size);

    return (pieces + S3_PARTS_MAX - 1) / S3_PARTS_MAX * CATALOG_PIECE;
}

/* All parts are there: they become one object, of the right size. */
static int finish(struct sending *w, size_t n, struct err *e)
{
    const struct catalog_file *out = w->now->out;
    bool there;

    if (s3_multipart_end(w->b->s3, w->key, w->upload, w->parts, n, e) != 0 ||
        content_there(w->b, w->b->s3, CONTENT_BLOB, &out->sha256, out->size,
            &there, e) != 0)
        return -1;
    if (there)
        return 0;
    return err_set(e, ERR_CORRUPT, "%s: the store put %s together wrongly",
        w->b->shown, w->now->file);
}

static void free_parts(struct s3_part **v)
{
    free(*v);
}

static int send_parts(
    struct sending *w, struct pool *pool, size_t n, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct stat before, after;

    if (fstat(w->fd, &before) != 0)
        return err_sys(e, "%s", w->now->file);
    if (s3_multipart_begin(w->b->s3, w->key, w->upload, e) != 0)
        return -1;
    if (crew_run(w->b, pool, n, send_part, w, e) == 0 &&
        fstat(w->fd, &after) != 0)
        err_sys(e, "%s", w->now->file);
    if (e->kind == ERR_NONE && !same_file(&before, &after))
        changed(w->now, e);
    if (e->kind == ERR_NONE && finish(w, n, e) == 0)
        return 0;
    s3_multipart_abort(w->b->s3, w->key, w->upload, &ignored);
    return -1;
}

static int send_long(
    struct sending *w, struct pool *pool, struct content_file *f, struct err *e)
{
    struct s3_part *parts AUTO(free_parts) = NULL;
    int fd AUTO(fd_close) = file_open(f->file, NULL, e);
    char key[S3_KEY_MAX + 1];
    uint64_t bytes = part_size(f->out->size);
    size_t n = (size_t)((f->out->size - 1) / bytes + 1);

    if (fd < 0 || content_key(w->b, CONTENT_BLOB, &f->out->sha256, key, e) != 0)
        return -1;
    parts = calloc(n, sizeof(*parts));
    if (parts == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    w->now = f;
    w->fd = fd;
    w->key = key;
    w->part_bytes = bytes;
    w->parts = parts;
    w->item = progress_item(w->progress, f->shown, f->out->size);
    if (send_parts(w, pool, n, e) != 0)
        return -1;
    progress_done(w->item);
    return 0;
}

int content_send(struct bucket *b, struct content_file *v, uint64_t n,
    struct progress *progress, struct err *e)
{
    struct sending w = { .b = b, .v = v, .n = n, .progress = progress };
    struct pool *pool AUTO(pool_close_auto) = pool_open(BUCKET_JOBS, e);

    if (pool == NULL)
        return -1;
    if (crew_run(b, pool, n, send_one, &w, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (v[i].copied && v[i].out->size > CATALOG_PIECE &&
            send_long(&w, pool, &v[i], e) != 0)
            return -1;
    return 0;
}
