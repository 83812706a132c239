#include "bucket/content.h"

#include <stdio.h>

#include "base/cancel.h"
#include "bucket/crew.h"

struct proving {
    struct bucket *b;
    struct content_proof *v;
    struct progress *progress;
    int (*unread)(void *arg, uint64_t i, const struct err *why, struct err *e);
    void *arg;
    pthread_mutex_t lock; /* of unread */
};

struct feed {
    struct hash sha256, oid;
    uint64_t bytes;
    struct progress_item *item;
};

static void feed_free(struct feed *f)
{
    hash_free(&f->sha256);
    hash_free(&f->oid);
}

static int feed(void *arg, const void *bytes, size_t len, struct err *e)
{
    struct feed *f = arg;

    hash_add(&f->sha256, bytes, len);
    if (f->oid.ctx != NULL)
        hash_add(&f->oid, bytes, len);
    f->bytes += len;
    progress_add(f->item, len);
    return cancel_check(e);
}

static enum content_state judge(const struct content_proof *p, struct feed *f)
{
    struct digest sha256, oid = { .hex = "" };

    hash_end(&f->sha256, &sha256);
    if (p->oid != NULL)
        hash_end(&f->oid, &oid);
    if (!digest_eq(&sha256, p->sha256))
        return CONTENT_WRONG;
    return f->bytes == p->size && (p->oid == NULL || digest_eq(&oid, p->oid))
               ? CONTENT_RIGHT
               : CONTENT_OTHER;
}

static int read_once(struct content_proof *p, struct s3 *s, const char *key,
    struct progress_item *item, struct err *e)
{
    struct feed f AUTO(
        feed_free) = { .sha256 = HASH_INIT, .oid = HASH_INIT, .item = item };
    struct s3_get g = { .key = key, .body = feed, .arg = &f };
    struct s3_info info = { .found = false };

    if (hash_begin(&f.sha256, HASH_SHA256, p->size, e) != 0 ||
        (p->oid != NULL &&
            hash_begin(&f.oid, HASH_GIT_SHA1, p->size, e) != 0) ||
        s3_get(s, &g, &info, e) != 0)
        return -1;
    p->written_s = info.modified_s;
    snprintf(p->etag, sizeof(p->etag), "%.*s", CONTENT_ETAG_MAX - 1, info.etag);
    p->state = info.found ? judge(p, &f) : CONTENT_GONE;
    return 0;
}

/* Where the store is gone each of the others would take as long. */
static int cannot_read(
    struct proving *w, uint64_t i, const struct err *why, struct err *e)
{
    int rc;

    if (why->kind == ERR_NET || why->kind == ERR_CANCELLED ||
        why->kind == ERR_NOMEM) {
        *e = *why;
        return -1;
    }
    pthread_mutex_lock(&w->lock);
    rc = w->unread(w->arg, i, why, e);
    pthread_mutex_unlock(&w->lock);
    return rc;
}

static int prove(void *arg, size_t i, struct s3 *s, struct err *e)
{
    struct proving *w = arg;
    struct content_proof *p = &w->v[i];
    struct progress_item *item = progress_item(w->progress, p->shown, p->size);
    char key[S3_KEY_MAX + 1];
    struct err why = ERR_INIT;

    if (content_key(w->b, p->kind, p->sha256, key, e) != 0)
        return -1;
    if (read_once(p, s, key, item, &why) == 0 &&
        (p->state != CONTENT_WRONG || read_once(p, s, key, NULL, &why) == 0)) {
        progress_done(item);
        return 0;
    }
    p->state = CONTENT_UNREAD;
    return cannot_read(w, i, &why, e);
}

int content_prove(struct bucket *b, struct content_proof *v, uint64_t n,
    enum progress_mode progress,
    int (*unread)(void *arg, uint64_t i, const struct err *why, struct err *e),
    void *arg, struct err *e)
{
    struct progress *bars AUTO(progress_close_auto) = NULL;
    struct pool *pool AUTO(pool_close_auto) = pool_open(BUCKET_JOBS, e);
    struct proving w = { .b = b,
        .v = v,
        .unread = unread,
        .arg = arg,
        .lock = PTHREAD_MUTEX_INITIALIZER };
    uint64_t total = 0;

    for (uint64_t i = 0; i < n; i++)
        total += v[i].size;
    if (pool == NULL)
        return -1;
    bars = progress_open(progress, "checking", total, e);
    if (bars == NULL)
        return -1;
    w.progress = bars;
    return crew_run(b, pool, n, prove, &w, e);
}
