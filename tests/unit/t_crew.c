/* Several at work on a bucket: who has which client. */
#include <stdlib.h>

#include "bucket/crew.h"
#include "tests/unit/tap.h"

struct job {
    pthread_mutex_t lock;
    size_t begun;
};

static int work(void *arg, size_t i, struct s3 *s, struct err *e)
{
    struct job *j = arg;

    pthread_mutex_lock(&j->lock);
    j->begun++;
    pthread_mutex_unlock(&j->lock);
    return s != NULL && i < 100 ? 0 : err_set(e, ERR_BUSY, "no more");
}

int main(void)
{
    struct bucket b AUTO(bucket_close) = BUCKET_INIT;
    struct pool *pool AUTO(pool_close_auto) = NULL;
    struct err e = ERR_INIT;
    struct job j = { .lock = PTHREAD_MUTEX_INITIALIZER };

    setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1", 1);
    setenv("HOME", "/nonexistent", 1);
    is_int(bucket_open(&b, "s3://some-bucket/v", &e), 0, "a bucket");
    pool = pool_open(BUCKET_JOBS, &e);
    is_int(crew_run(&b, NULL, 3, work, &j, &e), 0, "one works alone");
    is_int((long long)b.n_spare, 1, "with one client");
    j.begun = 0;
    is_int(crew_run(&b, pool, 100, work, &j, &e), 0, "several work");
    is_int((long long)b.n_spare, BUCKET_JOBS,
        "all have a client, from the first work on: it may use b.s3");
    is_int((long long)j.begun, 100, "all of it is done");
    is_int(crew_run(&b, pool, 101, work, &j, &e), -1, "or not");
    return done();
}
