#include "fetch/heldcheck.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/path.h"
#include "base/pool.h"

enum { THREADS_MAX = 8 };

/* One file to be hashed. */
struct job {
    const struct heldcheck *check;
    struct plan_file *file;
    struct progress *bars;
    struct progress_item *item;
    bool damaged;
    struct err err;
};

static int path_of(const struct job *j, char *out, struct err *e)
{
    const struct heldcheck *c = j->check;
    const struct tree_file *f = j->file->file;
    char snapshot[PATH_MAX];

    if (j->file->state == PLAN_LINK)
        return hubdir_blob(c->dir, c->repo, tree_etag(f), out, e);
    if (hubdir_snapshot(c->dir, c->repo, c->commit, snapshot, e) != 0)
        return -1;
    return path_fmt(out, e, "%s/%.*s", snapshot, STR_ARG(f->path));
}

static void add(void *item, uint64_t bytes)
{
    progress_add(item, bytes);
}

static void hash_one(void *arg, size_t i)
{
    struct job *j = (struct job *)arg + i;
    const struct digest *want = tree_etag(j->file->file);
    struct str name = j->file->file->path;
    char path[PATH_MAX], shown[1025];
    struct digest got;

    if (path_of(j, path, &j->err) != 0)
        return;
    snprintf(shown, sizeof(shown), "%.*s", STR_ARG(name));
    j->item = progress_item(j->bars, shown, j->file->file->size);
    if (file_hash(path, (int)want->kind, &got, add, j->item, &j->err) != 0)
        return;
    progress_done(j->item);
    j->damaged = !digest_eq(&got, want);
}

static int hash_all(const struct heldcheck *c, struct job *jobs, size_t n,
    uint64_t bytes, struct err *e)
{
    unsigned threads = (unsigned)size_min(pool_cores(), THREADS_MAX);
    struct pool *pool AUTO(pool_close_auto) =
        pool_open((unsigned)size_min(threads, n), e);
    struct progress *bars AUTO(progress_close_auto) = NULL;

    if (pool == NULL)
        return -1;
    bars = progress_open(c->progress, "checking", bytes, e);
    if (bars == NULL)
        return -1;
    for (size_t i = 0; i < n; i++)
        jobs[i].bars = bars;
    pool_run(pool, n, hash_one, jobs);
    return 0;
}

/* What the jobs found, into the plan's files. */
static int collect(
    struct job *jobs, size_t n, const struct plan_file **damaged, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (jobs[i].err.kind == ERR_CORRUPT)
            jobs[i].damaged = true; /* cut while it was read */
        else if (jobs[i].err.kind != ERR_NONE) {
            *e = jobs[i].err;
            return -1;
        }
        if (!jobs[i].damaged)
            continue;
        jobs[i].file->state = PLAN_FETCH;
        jobs[i].file->again = true;
        if (*damaged == NULL)
            *damaged = jobs[i].file;
    }
    return 0;
}

int heldcheck_run(const struct heldcheck *c, struct plan_file *files, size_t n,
    const struct plan_file **damaged, struct err *e)
{
    struct job *jobs = calloc(n + 1, sizeof(*jobs));
    uint64_t bytes = 0;
    size_t used = 0;
    int rc = 0;

    *damaged = NULL;
    if (jobs == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        if (files[i].state == PLAN_FETCH)
            continue;
        jobs[used++] = (struct job){ .check = c, .file = &files[i] };
        bytes += files[i].file->size;
    }
    if (used > 0)
        rc = hash_all(c, jobs, used, bytes, e);
    if (rc == 0)
        rc = collect(jobs, used, damaged, e);
    free(jobs);
    return rc;
}
