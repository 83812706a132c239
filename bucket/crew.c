#include "bucket/crew.h"

#include <stdatomic.h>

struct crew {
    struct bucket *b;
    int (*work)(void *arg, size_t i, struct s3 *s, struct err *e);
    void *arg;
    pthread_mutex_t lock;
    struct err why;
    atomic_bool failed;
};

static void fail(struct crew *c, const struct err *why)
{
    pthread_mutex_lock(&c->lock);
    if (c->why.kind == ERR_NONE)
        c->why = *why;
    pthread_mutex_unlock(&c->lock);
    atomic_store(&c->failed, true);
}

static void work_one(void *ctx, size_t i)
{
    struct crew *c = ctx;
    struct err why = ERR_INIT;
    struct s3 *s = NULL;

    if (atomic_load(&c->failed))
        return;
    if (c->b != NULL)
        s = bucket_borrow(c->b, &why);
    if (why.kind != ERR_NONE || c->work(c->arg, i, s, &why) != 0)
        fail(c, &why);
    if (c->b != NULL)
        bucket_return(c->b, s);
}

/*
 * A new client is made after b->s3, which work may use (a turn is renewed with
 * it): all are made before that.
 */
static int hire(struct bucket *b, size_t n, struct err *e)
{
    struct s3 *v[BUCKET_JOBS];
    size_t count = 0;
    int rc;

    n = size_min(n, BUCKET_JOBS);
    while (count < n && (v[count] = bucket_borrow(b, e)) != NULL)
        count++;
    rc = count == n ? 0 : -1;
    while (count > 0)
        bucket_return(b, v[--count]);
    return rc;
}

int crew_run(struct bucket *b, struct pool *pool, size_t n,
    int (*work)(void *arg, size_t i, struct s3 *s, struct err *e), void *arg,
    struct err *e)
{
    struct crew c = { .b = b,
        .work = work,
        .arg = arg,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .why = ERR_INIT };

    if (b != NULL && pool != NULL &&
        hire(b, size_min(n, pool_size(pool)), e) != 0)
        return -1;
    if (pool != NULL)
        pool_run(pool, n, work_one, &c);
    else
        for (size_t i = 0; i < n; i++)
            work_one(&c, i);
    if (c.why.kind == ERR_NONE)
        return 0;
    *e = c.why;
    return -1;
}
