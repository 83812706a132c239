#include "bucket/content.h"

#include <stdio.h>
#include <string.h>

#include "base/cancel.h"
#include "base/log.h"
#include "bucket/crew.h"

enum { URL_VALID_S = 3600 };

int content_key(const struct bucket *b, enum content_kind kind,
    const struct digest *sha256, char *out, struct err *e)
{
    return bucket_key(b, out, e, "%s/sha256/%.2s/%.2s/%s",
        kind == CONTENT_BLOB ? "blobs" : "manifests", sha256->hex,
        sha256->hex + 2, sha256->hex);
}

int content_there(struct bucket *b, struct s3 *s, enum content_kind kind,
    const struct digest *sha256, uint64_t size, bool *out, struct err *e)
{
    char key[S3_KEY_MAX + 1];
    struct s3_info info = { .found = false };

    if (content_key(b, kind, sha256, key, e) != 0 ||
        s3_head(s, key, &info, e) != 0)
        return -1;
    *out = info.found && info.size == size;
    if (info.found && !*out)
        log_warn(
            "%s: content %s has %llu bytes, not %llu: as if it were not there",
            b->shown, sha256->hex, (unsigned long long)info.size,
            (unsigned long long)size);
    return 0;
}

struct holding {
    struct bucket *b;
    struct catalog_file *const *v;
};

static int look_at(void *arg, size_t i, struct s3 *s, struct err *e)
{
    const struct holding *h = arg;
    struct catalog_file *f = h->v[i];

    return cancel_check(e) != 0 ? -1
                                : content_there(h->b, s, CONTENT_BLOB,
                                      &f->sha256, f->size, &f->held, e);
}

int content_held(
    struct bucket *b, struct catalog_file *const *v, uint64_t n, struct err *e)
{
    struct pool *pool AUTO(pool_close_auto) = NULL;
    struct holding h = { b, v };

    if (n == 0)
        return 0;
    pool = pool_open(BUCKET_JOBS, e);
    return pool == NULL ? -1 : crew_run(b, pool, n, look_at, &h, e);
}

int content_url(struct bucket *b, const struct digest *sha256, struct buf *out,
    struct err *e)
{
    char key[S3_KEY_MAX + 1];

    return content_key(b, CONTENT_BLOB, sha256, key, e) != 0
               ? -1
               : s3_url(b->s3, key, URL_VALID_S, out, e);
}

int content_add(struct bucket *b, enum content_kind kind, struct str text,
    struct digest *out, struct err *e)
{
    struct s3_body body = {
        .bytes = text.p, .fd = -1, .len = text.len, .sha256 = out
    };
    char key[S3_KEY_MAX + 1];

    if (hash_bytes(HASH_SHA256, text.p, text.len, out, e) != 0 ||
        content_key(b, kind, out, key, e) != 0)
        return -1;
    return s3_put(b->s3, key, &body, NULL, NULL, NULL, e);
}

int content_read(struct bucket *b, enum content_kind kind,
    const struct digest *sha256, uint64_t size, struct buf *out, struct err *e)
{
    char key[S3_KEY_MAX + 1];
    struct digest now;

    if (content_key(b, kind, sha256, key, e) != 0)
        return -1;
    for (int tries = 0; tries < 2; tries++) {
        int rc = bucket_read(b->s3, key, out, NULL, e);

        /* Longer than it should be. */
        if (rc < 0 && out->bad == ERR_REFUSED) {
            err_clear(e);
            break;
        }
        if (rc < 0)
            return -1;
        if (rc > 0)
            break;
        if (hash_bytes(HASH_SHA256, out->p, out->len, &now, e) != 0)
            return -1;
        if (out->len == size && digest_eq(&now, sha256))
            return 0;
    }
    err_set(e, ERR_CORRUPT, "%s: content %s is damaged or gone", b->shown,
        sha256->hex);
    return err_hint(
        e, "mlcache verify --volume %s tells what else is", b->shown);
}
