#include "convert/pipeline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cancel.h"
#include "convert/block.h"
#include "convert/verdict.h"

enum {
    BATCH = 8,     /* blocks at a time; two batches are in memory */
    PAGE = 4096,   /* of buffers and direct writes */
    SIDE_ITEMS = 3 /* of a step, before its blocks */
};

/* One block in the making, and its error. */
struct slot {
    uint8_t *bytes;
    uint8_t *scratch;
    uint64_t at, len;
    struct err e;
};

struct batch {
    struct slot slots[BATCH];
    size_t n;
};

/* Digests of the tensors, fed with the file's bytes in order. */
struct tensor_hasher {
    struct hash hash;
    uint64_t i; /* the tensor being hashed; begun when hash.ctx is set */
    struct err e;
};

struct pipeline {
    struct block_job job;
    struct sources *sources;
    struct progress_item *progress;
    struct pipeline_result *out;
    const char *name;
    int fd;
    atomic_bool direct; /* fd takes whole pages past the page cache */
    bool doomed;        /* something overflowed that must not: only count */
    uint8_t *memory;
    struct batch batch[2]; /* made in this step, made in the last one */
    struct batch *now, *last;
    uint64_t at;    /* of the file, where the next batch begins */
    uint64_t rest;  /* bytes of this file and those after it */
    uint64_t share; /* of the sources to hash in a step [bytes] */
    struct hash file_hash;
    struct tensor_hasher hasher;
    struct err side; /* of hashing the sources */
};

static int open_memory(struct pipeline *l, struct err *e)
{
    uint64_t blocks =
        (l->job.layout->file_size + BLOCK_BYTES - 1) / BLOCK_BYTES;
    size_t n = size_min(blocks, BATCH), each = 2 * BLOCK_BYTES + BLOCK_SCRATCH;
    uint8_t *p = aligned_alloc(PAGE, n * each);

    if (p == NULL)
        return err_set(e, ERR_NOMEM, "out of memory for %zu blocks", n);
    l->memory = p;
    for (size_t i = 0; i < n; i++, p += each) {
        l->batch[0].slots[i].bytes = p;
        l->batch[1].slots[i].bytes = p + BLOCK_BYTES;
        l->batch[0].slots[i].scratch = p + (size_t)2 * BLOCK_BYTES;
        l->batch[1].slots[i].scratch = p + (size_t)2 * BLOCK_BYTES;
    }
    l->now = &l->batch[0];
    l->last = &l->batch[1];
    blocks = (l->rest + BLOCK_BYTES - 1) / BLOCK_BYTES;
    l->share = l->sources->unread / ((blocks + BATCH - 1) / BATCH) + 1;
    return 0;
}

static int open_file(struct pipeline *l, struct err *e)
{
    uint64_t size = l->job.layout->file_size;
    int flags = fcntl(l->fd, F_GETFL);

    if (fallocate(l->fd, 0, 0, (off_t)size) != 0 && errno != EOPNOTSUPP &&
        errno != ENOSYS && errno != EINTR)
        return err_sys(e, "%s: making room", l->name);
    /* Page-cache writes cost more than all the rest; not every file system
     * does without. */
    l->direct = flags >= 0 && fcntl(l->fd, F_SETFL, flags | O_DIRECT) == 0;
    return 0;
}

static void leave_direct(struct pipeline *l)
{
    fcntl(l->fd, F_SETFL, fcntl(l->fd, F_GETFL) & ~O_DIRECT);
    l->direct = false;
}

static int write_slot(struct pipeline *l, struct slot *s)
{
    uint64_t len = s->len;

    if (l->direct) {
        /* The last block: whole pages now, cut to size at the end. */
        len = size_align(len, PAGE);
        memset(s->bytes + s->len, 0, len - s->len);
        if (file_write_at(l->fd, s->bytes, len, s->at, l->name, &s->e) == 0)
            return 0;
        if (s->e.sys != EINVAL)
            return -1;
        err_clear(&s->e);
        leave_direct(l);
    }
    return file_write_at(l->fd, s->bytes, s->len, s->at, l->name, &s->e);
}

static void make_block(struct pipeline *l, struct slot *s)
{
    if (block_fill(&l->job, s->at, s->len, s->bytes, s->scratch, &s->e) != 0)
        return;
    if (!l->doomed && write_slot(l, s) != 0)
        return;
    progress_add(l->progress, s->len);
}

static void hash_file(struct pipeline *l)
{
    for (size_t i = 0; i < l->last->n; i++)
        hash_add(&l->file_hash, l->last->slots[i].bytes, l->last->slots[i].len);
}

/* Finish every tensor that ends at or before at; begin the next one. */
static int turn_tensor(struct pipeline *l, uint64_t at)
{
    const struct layout *p = l->job.layout;
    struct tensor_hasher *h = &l->hasher;

    while (h->i < p->n) {
        const struct tensor *t = &p->out[h->i];

        if (t->offset > at)
            return 0;
        if (h->hash.ctx == NULL &&
            hash_begin(&h->hash, HASH_SHA256, 0, &h->e) != 0)
            return -1;
        if (t->offset + tensor_bytes(t) > at)
            return 0;
        hash_end(&h->hash, &l->out->tensors[h->i++]);
    }
    return 0;
}

static void hash_tensors_of(struct pipeline *l, const struct slot *s)
{
    const struct layout *p = l->job.layout;
    uint64_t at = s->at, end = s->at + s->len;

    if (at < p->header.len)
        at = size_min(p->header.len, end);
    while (turn_tensor(l, at) == 0 && at < end && l->hasher.i < p->n) {
        const struct tensor *t = &p->out[l->hasher.i];
        uint64_t stop = size_min(end, t->offset + tensor_bytes(t));

        hash_add(&l->hasher.hash, s->bytes + (at - s->at), stop - at);
        at = stop;
    }
}

static void hash_tensors(struct pipeline *l)
{
    for (size_t i = 0; i < l->last->n && l->hasher.e.kind == ERR_NONE; i++)
        hash_tensors_of(l, &l->last->slots[i]);
}

/* Items of a step: the digests first, they take longest. */
static void step_item(void *ctx, size_t i)
{
    struct pipeline *l = ctx;

    if (i == 0)
        sources_step(l->sources, l->share, &l->side);
    else if (i == 1)
        hash_file(l);
    else if (i == 2)
        hash_tensors(l);
    else
        make_block(l, &l->now->slots[i - SIDE_ITEMS]);
}

static void next_batch(struct pipeline *l)
{
    uint64_t size = l->job.layout->file_size;
    struct batch *b = l->last;

    l->last = l->now;
    l->now = b;
    for (b->n = 0; b->n < BATCH && l->at < size; b->n++) {
        struct slot *s = &b->slots[b->n];

        s->at = l->at;
        s->len = size_min(BLOCK_BYTES, size - l->at);
        l->at += s->len;
    }
}

/* The error of the first block in the file, whichever thread met it. */
static int step_result(const struct pipeline *l, struct err *e)
{
    for (size_t i = 0; i < l->now->n && e->kind == ERR_NONE; i++)
        if (l->now->slots[i].e.kind != ERR_NONE)
            *e = l->now->slots[i].e;
    if (e->kind == ERR_NONE && l->hasher.e.kind != ERR_NONE)
        *e = l->hasher.e;
    if (e->kind == ERR_NONE && l->side.kind != ERR_NONE)
        *e = l->side;
    return e->kind == ERR_NONE ? cancel_check(e) : -1;
}

static bool is_refused(const struct pipeline *l)
{
    const struct block_job *j = &l->job;

    for (uint64_t i = 0; i < j->layout->n; i++)
        if (verdict_refuses(j->layout, i, j->recipe, &j->audits[i]))
            return true;
    return false;
}

static int run(struct pipeline *l, struct pool *pool, struct err *e)
{
    do {
        next_batch(l);
        pool_run(pool, SIDE_ITEMS + l->now->n, step_item, l);
        if (step_result(l, e) != 0)
            return -1;
        if (!l->doomed && is_refused(l)) {
            l->doomed = true;
            l->out->refused = true;
        }
        if (l->doomed)
            l->now->n = 0; /* nothing left to hash */
    } while (l->at < l->job.layout->file_size || l->now->n > 0);
    return 0;
}

static int finish(struct pipeline *l, struct err *e)
{
    if (l->doomed)
        return 0;
    hash_end(&l->file_hash, &l->out->file);
    if (turn_tensor(l, l->job.layout->file_size) != 0) {
        *e = l->hasher.e;
        return -1;
    }
    if (l->direct)
        leave_direct(l);
    if (ftruncate(l->fd, (off_t)l->job.layout->file_size) != 0)
        return err_sys(e, "%s: cutting it to size", l->name);
    if (l->rest > l->job.layout->file_size)
        return 0;
    return sources_step(l->sources, UINT64_MAX, e);
}

int pipeline_run(const struct checkpoint *c, const struct layout *p,
    const struct recipe *r, struct sources *sources, struct pool *pool, int fd,
    const char *name, uint64_t rest, struct progress_item *progress,
    struct pipeline_result *out, struct err *e)
{
    struct pipeline l = { .job = { .c = c,
                              .layout = p,
                              .recipe = r,
                              .audits = out->audits,
                              .spectra = out->spectra },
        .sources = sources,
        .progress = progress,
        .out = out,
        .name = name,
        .fd = fd,
        .rest = rest,
        .doomed = out->refused };
    int rc;

    pthread_mutex_init(&l.job.lock, NULL);
    rc = open_memory(&l, e);
    if (rc == 0)
        rc = open_file(&l, e);
    if (rc == 0)
        rc = hash_begin(&l.file_hash, HASH_SHA256, 0, e);
    if (rc == 0)
        rc = run(&l, pool, e);
    if (rc == 0)
        rc = finish(&l, e);
    hash_free(&l.file_hash);
    hash_free(&l.hasher.hash);
    free(l.memory);
    pthread_mutex_destroy(&l.job.lock);
    return rc;
}
