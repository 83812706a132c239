#include "bucket/proof.h"

#include <stdatomic.h>
#include <string.h>

#include "base/cancel.h"
#include "base/log.h"
#include "base/pool.h"

struct proving {
    struct proof *p;
    struct progress *progress;
    enum proof_kind *found; /* of each need */
    bool *wrong;
    int64_t *written_s; /* what was read of it, by the store's clock */
    pthread_mutex_t lock;
    struct err why;
    atomic_bool failed;
};

struct feed {
    struct hash hash;
    uint64_t bytes;
    struct progress_item *item;
};

static int feed(void *arg, const void *bytes, size_t len, struct err *e)
{
    struct feed *f = arg;

    hash_add(&f->hash, bytes, len);
    f->bytes += len;
    progress_add(f->item, len);
    return cancel_check(e);
}

/* 0: right, 1: wrong, 2: gone, -1 with *e. */
static int read_once(const struct need *n, struct s3 *s, const char *key,
    struct progress_item *item, int64_t *written_s, struct err *e)
{
    struct feed f = { .hash = HASH_INIT, .item = item };
    struct s3_get g = { .key = key, .body = feed, .arg = &f };
    struct s3_info info = { .found = false };
    struct digest now;
    int rc;

    if (hash_begin(&f.hash, HASH_SHA256, n->size, e) != 0)
        return -1;
    rc = s3_get(s, &g, &info, e);
    hash_end(&f.hash, &now);
    if (rc != 0)
        return -1;
    if (!info.found)
        return 2;
    *written_s = info.modified_s;
    return f.bytes == n->size && digest_eq(&now, &n->sha256) ? 0 : 1;
}

static int check(struct proving *w, size_t i, struct s3 *s, struct err *e)
{
    const struct need *n = &w->p->survey.v[i];
    struct progress_item *item = progress_item(
        w->progress, n->name.len > 0 ? n->name.p : n->sha256.hex, n->size);
    char key[S3_KEY_MAX + 1];
    int rc;

    if (content_key(w->p->b, n->kind, &n->sha256, key, e) != 0)
        return -1;
    rc = read_once(n, s, key, item, &w->written_s[i], e);
    if (rc == 1)
        rc = read_once(n, s, key, NULL, &w->written_s[i], e);
    if (rc < 0)
        return -1;
    progress_done(item);
    w->wrong[i] = rc > 0;
    w->found[i] = rc == 2 ? PROOF_MISSING : PROOF_DAMAGED;
    return 0;
}

static void check_one(void *ctx, size_t i)
{
    struct proving *w = ctx;
    struct err why = ERR_INIT;
    struct s3 *s;

    if (atomic_load(&w->failed))
        return;
    s = bucket_borrow(w->p->b, &why);
    if (s == NULL || check(w, i, s, &why) != 0) {
        pthread_mutex_lock(&w->lock);
        if (w->why.kind == ERR_NONE)
            w->why = why;
        pthread_mutex_unlock(&w->lock);
        atomic_store(&w->failed, true);
    }
    bucket_return(w->p->b, s);
}

static int check_all(struct proving *w, struct err *e)
{
    struct proof *p = w->p;
    struct pool *pool AUTO(pool_close_auto) = pool_open(BUCKET_JOBS, e);
    uint64_t total = 0;

    if (pool == NULL)
        return -1;
    for (uint64_t i = 0; i < p->survey.n; i++)
        total += p->survey.v[i].size;
    w->progress = progress_open(p->progress, "checking", total, e);
    if (w->progress == NULL)
        return -1;
    pool_run(pool, p->survey.n, check_one, w);
    progress_close(w->progress);
    if (w->why.kind != ERR_NONE) {
        *e = w->why;
        return -1;
    }
    p->checked = p->survey.n;
    p->checked_bytes = total;
    return 0;
}

/*
 * A copy under quarantine/, then it goes: it is only moved. All else was read
 * since it was found wrong: what somebody has sent again meanwhile stays.
 */
static int set_aside(
    struct proving *w, uint64_t i, struct str *moved, struct err *e)
{
    struct proof *p = w->p;
    const struct need *n = &p->survey.v[i];
    char key[S3_KEY_MAX + 1], to[S3_KEY_MAX + 1];
    struct s3_info now;

    if (content_key(p->b, n->kind, &n->sha256, key, e) != 0 ||
        bucket_key(p->b, to, e, "quarantine/%s", n->sha256.hex) != 0 ||
        s3_head(p->b->s3, key, &now, e) != 0)
        return -1;
    if (!now.found || now.modified_s != w->written_s[i])
        return 0;
    if (s3_copy(p->b->s3, key, to, e) != 0 || s3_delete(p->b->s3, key, e) != 0)
        return -1;
    *moved = arena_str(p->arena, str_of(to), e);
    return moved->p != NULL ? 0 : -1;
}

/* Who may only read there is told what is wrong all the same. */
static int try_aside(
    struct proving *w, uint64_t i, struct str *moved, struct err *e)
{
    struct err why = ERR_INIT;

    if (set_aside(w, i, moved, &why) == 0)
        return 0;
    if (why.kind == ERR_CANCELLED || why.kind == ERR_NOMEM) {
        *e = why;
        return -1;
    }
    log_warn("it stays where it is: %s", why.msg);
    return 0;
}

static int tell(struct proving *w, struct err *e)
{
    struct proof *p = w->p;
    const struct survey *s = &p->survey;

    p->wrong = arena_alloc(p->arena, s->n + s->n_bad, sizeof(*p->wrong), e);
    if (p->wrong == NULL)
        return -1;
    for (uint64_t i = 0; i < s->n_bad; i++)
        p->wrong[p->n_wrong++] = (struct proof_wrong){
            .kind = PROOF_REF, .ref = s->bad[i].ref, .why = s->bad[i].why
        };
    for (uint64_t i = 0; i < s->n; i++) {
        struct proof_wrong *x = &p->wrong[p->n_wrong];
        bool gone = w->found[i] == PROOF_MISSING;

        if (!w->wrong[i])
            continue;
        *x = (struct proof_wrong){ .kind = w->found[i],
            .need = &s->v[i],
            .ref = s->v[i].ref,
            .why = str_of(gone ? "it is not in the bucket"
                               : "its bytes are not what its name says") };
        if (!gone && s->v[i].size <= S3_PUT_BYTES_MAX &&
            try_aside(w, i, &x->moved, e) != 0)
            return -1;
        p->n_wrong++;
    }
    return 0;
}

int proof_run(struct proof *p, struct err *e)
{
    struct proving w = {
        .p = p, .lock = PTHREAD_MUTEX_INITIALIZER, .why = ERR_INIT
    };

    p->survey = (struct survey){ .arena = p->arena };
    if (bucket_need(p->b, e) != 0 ||
        survey_run(p->b, INT64_MAX, &p->survey, e) != 0)
        return -1;
    w.found = arena_alloc(p->arena, p->survey.n, sizeof(*w.found), e);
    w.wrong = arena_alloc(p->arena, p->survey.n, sizeof(*w.wrong), e);
    w.written_s = arena_alloc(p->arena, p->survey.n, sizeof(*w.written_s), e);
    if (w.found == NULL || w.wrong == NULL || w.written_s == NULL ||
        check_all(&w, e) != 0)
        return -1;
    return tell(&w, e);
}
