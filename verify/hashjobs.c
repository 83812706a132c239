#include "verify/hashjobs.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/cancel.h"
#include "base/file.h"
#include "verify/crc32.h"

enum { CHUNK = 1 << 20 };

struct run {
    struct hash_job **order; /* longest first */
    atomic_bool no_memory;   /* for a job's why */
    struct progress *progress;
    struct crc32 crc;
};

void hash_jobs_free(struct hash_jobs *j)
{
    for (size_t i = 0; i < j->n; i++)
        free(j->v[i].why);
    free(j->v);
    *j = (struct hash_jobs)HASH_JOBS_INIT;
}

int hash_jobs_add(
    struct hash_jobs *j, const struct hash_job *job, struct err *e)
{
    size_t cap = j->cap == 0 ? 64 : 2 * j->cap;

    if (j->n == j->cap) {
        struct hash_job *v = realloc(j->v, cap * sizeof(*v));

        if (v == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
        j->v = v;
        j->cap = cap;
    }
    j->v[j->n++] = *job;
    return 0;
}

static int do_job(const struct run *run, struct hash_job *job,
    struct progress_item *item, struct err *e)
{
    struct hash h AUTO(hash_free) = HASH_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(CHUNK);
    int fd AUTO(fd_close) = file_open(job->path, NULL, e);
    uint64_t at = 0;

    if (fd < 0 || hash_begin(&h, job->kind, job->len, e) != 0)
        return -1;
    if (buf_room(&b, CHUNK) == NULL)
        return buf_check(&b, e);
    while (at < job->len) {
        size_t n = size_min(CHUNK, job->len - at);

        if (cancel_check(e) != 0 ||
            file_read_at(fd, b.p, n, job->offset + at, job->path, e) != 0)
            return -1;
        if (job->crc)
            job->crc_out = crc32_add(&run->crc, job->crc_out, b.p, n);
        else
            hash_add(&h, b.p, n);
        progress_add(item, n);
        at += n;
    }
    hash_end(&h, &job->out);
    return 0;
}

static void job_at(void *ctx, size_t i)
{
    struct run *run = ctx;
    struct hash_job *job = run->order[i];
    struct progress_item *item = NULL;
    struct err e = ERR_INIT;

    if (job->name != NULL)
        item = progress_item(run->progress, job->name, job->len);
    if (do_job(run, job, item, &e) != 0 && e.kind != ERR_CANCELLED) {
        job->why = malloc(sizeof(e));
        if (job->why != NULL)
            *job->why = e;
        else
            atomic_store(&run->no_memory, true);
    }
    progress_done(item);
}

static int longest_first(const void *a, const void *b)
{
    const struct hash_job *x = *(struct hash_job *const *)a;
    const struct hash_job *y = *(struct hash_job *const *)b;

    if (x->len != y->len)
        return x->len > y->len ? -1 : 1;
    return x < y ? -1 : x > y;
}

static void free_order(struct hash_job ***order)
{
    free(*order);
}

int hash_jobs_run(struct hash_jobs *j, struct pool *pool,
    enum progress_mode mode, struct err *e)
{
    struct hash_job **order AUTO(free_order) =
        calloc(j->n + 1, sizeof(struct hash_job *));
    struct progress *progress AUTO(progress_close_auto) = NULL;
    uint64_t total = 0;
    struct run run = { .no_memory = false };

    if (order == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < j->n; i++) {
        order[i] = &j->v[i];
        if (j->v[i].name != NULL)
            total += j->v[i].len;
    }
    qsort(order, j->n, sizeof(struct hash_job *), longest_first);
    progress = progress_open(mode, "checking", total, e);
    if (progress == NULL)
        return -1;
    run.order = order;
    run.progress = progress;
    crc32_init(&run.crc);
    pool_run(pool, j->n, job_at, &run);
    if (atomic_load(&run.no_memory))
        return err_set(e, ERR_NOMEM, "out of memory");
    return cancel_check(e);
}
