/*
 * Content of a bucket becomes a file, or goes into a pipe: nothing of it
 * counts before its digest was found.
 */
#include "bucket/content.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/file.h"
#include "base/log.h"
#include "bucket/crew.h"

/* What one request asks for, of what is written to a file. */
#define STRETCH ((uint64_t)32 << 20)

enum { CHUNK = 1 << 20 };

struct fetching {
    struct bucket *b;
    const struct catalog_file *f;
    const char *key;
    int fd;
    const char *fd_name;
    struct progress_item *item;
    pthread_mutex_t lock;
    /* Hashed in order, by whoever has brought what comes next. */
    struct hash hash;
    bool hashing;
    uint64_t next;
    bool *done;
};

static int gone(const struct fetching *w, struct err *e)
{
    err_set(e, ERR_CORRUPT, "%s: the bytes of '%.*s' are gone (%s)",
        w->b->shown, STR_ARG(w->f->name), w->f->sha256.hex);
    return err_hint(e,
        "put it again; mlcache verify --volume %s tells what "
        "else is missing",
        w->b->shown);
}

static int wrong(const struct fetching *w, struct err *e)
{
    err_set(e, ERR_CORRUPT,
        "%s: the bytes of '%.*s' are wrong: they are not %s", w->b->shown,
        STR_ARG(w->f->name), w->f->sha256.hex);
    return err_hint(e,
        "mlcache verify --volume %s sets them aside; then put "
        "it again",
        w->b->shown);
}

/* ---- to a file ---- */

struct stretch {
    struct fetching *w;
    uint64_t at, end;
};

static int land(void *arg, const void *bytes, size_t len, struct err *e)
{
    struct stretch *s = arg;

    if (len > s->end - s->at)
        return wrong(s->w, e);
    if (cancel_check(e) != 0 ||
        file_write_at(s->w->fd, bytes, len, s->at, s->w->fd_name, e) != 0)
        return -1;
    s->at += len;
    progress_add(s->w->item, len);
    return 0;
}

static int bring(struct fetching *w, size_t i, struct s3 *s3, struct err *e)
{
    uint64_t at = (uint64_t)i * STRETCH;
    uint64_t end = size_min(w->f->size, at + STRETCH);
    struct stretch s = { .w = w, .at = at, .end = end };
    struct s3_info info = { .found = false };
    struct s3_get g = { .key = w->key,
        .ranged = w->f->size > STRETCH,
        .from = at,
        .to = end,
        .body = land,
        .arg = &s };

    if (s3_get(s3, &g, &info, e) != 0)
        return -1;
    if (!info.found)
        return gone(w, e);
    return info.size == w->f->size && s.at == end ? 0 : wrong(w, e);
}

/* Read again what lies in the file: it is in memory still. */
static int hash_stretch(struct fetching *w, uint64_t i, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(CHUNK);
    uint64_t at = i * STRETCH, end = size_min(w->f->size, at + STRETCH);

    if (buf_room(&b, CHUNK) == NULL)
        return buf_check(&b, e);
    while (at < end) {
        size_t n = size_min(CHUNK, end - at);

        if (file_read_at(w->fd, b.p, n, at, w->fd_name, e) != 0)
            return -1;
        hash_add(&w->hash, b.p, n);
        at += n;
    }
    return 0;
}

/* One at a time hashes; who comes meanwhile leaves it to that one. */
static int hash_on(struct fetching *w, uint64_t n, size_t i, struct err *e)
{
    int rc = 0;

    pthread_mutex_lock(&w->lock);
    w->done[i] = true;
    if (w->hashing) {
        pthread_mutex_unlock(&w->lock);
        return 0;
    }
    w->hashing = true;
    while (rc == 0 && w->next < n && w->done[w->next]) {
        uint64_t now = w->next;

        pthread_mutex_unlock(&w->lock);
        rc = hash_stretch(w, now, e);
        pthread_mutex_lock(&w->lock);
        w->next++;
    }
    w->hashing = false;
    pthread_mutex_unlock(&w->lock);
    return rc;
}

static uint64_t stretches(const struct fetching *w)
{
    return w->f->size == 0 ? 1 : (w->f->size - 1) / STRETCH + 1;
}

static int bring_one(void *arg, size_t i, struct s3 *s, struct err *e)
{
    struct fetching *w = arg;

    return bring(w, i, s, e) != 0 ? -1 : hash_on(w, stretches(w), i, e);
}

/* 0: right; 1: wrong bytes; -1 with *e. */
static int fetch_once(struct fetching *w, struct err *e)
{
    uint64_t n = stretches(w);
    struct pool *pool AUTO(pool_close_auto) = NULL;
    struct digest now;

    memset(w->done, 0, n * sizeof(*w->done));
    w->next = 0;
    if (hash_begin(&w->hash, HASH_SHA256, w->f->size, e) != 0)
        return -1;
    if (n > 1)
        pool = pool_open(BUCKET_JOBS, e);
    if ((n > 1 && pool == NULL) ||
        crew_run(w->b, pool, n, bring_one, w, e) != 0)
        return -1;
    hash_end(&w->hash, &now);
    return digest_eq(&now, &w->f->sha256) ? 0 : 1;
}

static void free_done(bool **v)
{
    free(*v);
}

int content_fetch(struct bucket *b, const struct catalog_file *f, int fd,
    const char *fd_name, struct progress_item *item, struct err *e)
{
    struct fetching w = { .b = b,
        .f = f,
        .fd = fd,
        .fd_name = fd_name,
        .item = item,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .hash = HASH_INIT };
    bool *done AUTO(free_done) = NULL;
    char key[S3_KEY_MAX + 1];
    int rc = 1;

    if (content_key(b, CONTENT_BLOB, &f->sha256, key, e) != 0)
        return -1;
    done = calloc(stretches(&w), sizeof(*done));
    if (done == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    w.key = key;
    w.done = done;
    for (int tries = 0; tries < 2 && rc == 1; tries++) {
        if (tries > 0) {
            log_warn("%s: wrong bytes came for '%.*s'; asking once more",
                b->shown, STR_ARG(f->name));
            progress_undo(item, f->size);
        }
        rc = fetch_once(&w, e);
        hash_free(&w.hash);
    }
    return rc == 1 ? wrong(&w, e) : rc;
}

/* ---- to a pipe ---- */

static int write_all(
    int fd, const char *p, size_t len, const char *name, struct err *e)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR && cancel_check(e) == 0)
            continue;
        if (n < 0)
            return e->kind == ERR_NONE ? err_sys(e, "writing to %s", name) : -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int collect(void *arg, const void *bytes, size_t len, struct err *e)
{
    buf_put(arg, bytes, len);
    return cancel_check(e) != 0 ? -1 : buf_check(arg, e);
}

/* The bytes [at, at + len), which have this digest. */
static int read_piece(struct fetching *w, uint64_t at, uint64_t len,
    const struct digest *sha256, struct buf *out, struct err *e)
{
    struct s3_get g = { .key = w->key,
        .ranged = len < w->f->size,
        .from = at,
        .to = at + len,
        .body = collect,
        .arg = out };
    struct digest now;

    for (int tries = 0; tries < 2; tries++) {
        struct s3_info info = { .found = false };

        buf_clear(out);
        if (s3_get(w->b->s3, &g, &info, e) != 0) {
            if (out->bad != ERR_REFUSED)
                return -1;
            err_clear(e); /* longer than it should be */
            break;
        }
        if (!info.found)
            return gone(w, e);
        if (hash_bytes(HASH_SHA256, out->p, out->len, &now, e) != 0)
            return -1;
        if (out->len == len && digest_eq(&now, sha256))
            return 0;
    }
    return wrong(w, e);
}

int content_stream(struct bucket *b, const struct catalog_file *f, int fd,
    const char *fd_name, struct progress_item *item, struct err *e)
{
    struct fetching w = { .b = b, .f = f };
    struct buf piece AUTO(buf_free) = BUF_INIT(CATALOG_PIECE);
    struct hash all AUTO(hash_free) = HASH_INIT;
    char key[S3_KEY_MAX + 1];
    struct digest now;
    uint64_t at = 0;

    if (content_key(b, CONTENT_BLOB, &f->sha256, key, e) != 0 ||
        hash_begin(&all, HASH_SHA256, f->size, e) != 0)
        return -1;
    w.key = key;
    if (f->pieces == NULL && f->size > CATALOG_PIECE) {
        err_set(e, ERR_UNSUPPORTED,
            "%s: the catalog has no digests of the pieces of '%.*s': it cannot "
            "be checked on its way through a pipe",
            b->shown, STR_ARG(f->name));
        return err_hint(e, "get it to a file");
    }
    do {
        uint64_t len = size_min(CATALOG_PIECE, f->size - at);

        if (read_piece(&w, at, len,
                f->pieces != NULL ? &f->pieces[at / CATALOG_PIECE] : &f->sha256,
                &piece, e) != 0)
            return -1;
        hash_add(&all, piece.p, piece.len);
        /* Of the last piece nothing goes out before the whole is right. */
        if (at + len == f->size) {
            hash_end(&all, &now);
            if (!digest_eq(&now, &f->sha256))
                return wrong(&w, e);
        }
        if (write_all(fd, piece.p, piece.len, fd_name, e) != 0)
            return -1;
        progress_add(item, len);
        at += len;
    } while (at < f->size);
    return 0;
}
