#include "convert/pipeline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cancel.h"
#include "convert/block.h"
#include "convert/tensor_hash.h"
#include "formats/panel.h"

enum {
    SLOTS = 16,           /* blocks in memory */
    MAKERS = 8,           /* of them being made at once, at most */
    WRITERS = 2,          /* being written; these threads only wait */
    PAGE = 4096,          /* of buffers and direct writes */
    SOURCE_STEP = 1 << 20 /* hashed of the sources in one go */
};

/* What can be done next. The first ones are done to each block once made. */
enum task { WRITE, HASH_FILE, HASH_TENSORS, LANES, MAKE = LANES, HASH_SOURCE };

/* One task on all blocks in turn: at most so many of them at once. */
struct lane {
    unsigned most, busy;
    uint64_t next; /* block that is to be taken */
};

struct slot {
    uint8_t *bytes;
    uint64_t at, len;
    bool made;
    unsigned left; /* tasks until another block may take its place */
};

struct job {
    enum task task;
    uint64_t block;
    uint8_t *scratch; /* MAKE: lent */
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
    atomic_bool doomed; /* values forbid the conversion: only count */
    uint8_t *memory;
    struct hash file_hash;         /* HASH_FILE's */
    struct tensor_hash tensors;    /* HASH_TENSORS' */
    uint64_t n_blocks;             /* of the file */
    uint64_t rest;                 /* bytes of this file and those after it */
    uint64_t share;                /* of the sources for each block [bytes] */
    unsigned n_slots, n_computing; /* at most */

    pthread_mutex_t lock; /* holds what follows, and the sources */
    pthread_cond_t change;
    struct slot slots[SLOTS]; /* block k in slots[k % n_slots] */
    struct lane lanes[LANES];
    uint8_t *scratch[MAKERS]; /* those that are free */
    unsigned n_scratch;
    uint64_t begun;     /* blocks that are made or in the making */
    uint64_t oldest;    /* block that is not finished */
    unsigned computing; /* threads that need a core */
    bool on_source;     /* one of them hashes the sources */
    uint64_t source_at; /* bytes of them hashed on the way */
    uint64_t failed;    /* block of the first error in the file */
    struct err e;
};

struct pool *pipeline_pool(unsigned threads, struct err *e)
{
    return pool_open((threads > 0 ? threads : pool_cores()) + WRITERS, e);
}

static struct slot *slot_of(struct pipeline *l, uint64_t block)
{
    return &l->slots[block % l->n_slots];
}

/* ---- the tasks, each outside the lock ---- */

static void leave_direct(struct pipeline *l)
{
    fcntl(l->fd, F_SETFL, fcntl(l->fd, F_GETFL) & ~O_DIRECT);
    l->direct = false;
}

static int write_block(struct pipeline *l, struct slot *s, struct err *e)
{
    uint64_t len = s->len;

    if (l->direct) {
        /* The last block: whole pages now, cut to size at the end. */
        len = size_align(len, PAGE);
        memset(s->bytes + s->len, 0, len - s->len);
        if (file_write_at(l->fd, s->bytes, len, s->at, l->name, e) == 0)
            return 0;
        if (e->sys != EINVAL)
            return -1;
        err_clear(e);
        leave_direct(l);
    }
    return file_write_at(l->fd, s->bytes, s->len, s->at, l->name, e);
}

static int make_block(struct pipeline *l, const struct job *j, struct err *e)
{
    struct slot *s = slot_of(l, j->block);

    if (block_fill(&l->job, s->at, s->len, s->bytes, j->scratch, e) != 0)
        return -1;
    progress_add(l->progress, s->len);
    return 0;
}

static void do_task(struct pipeline *l, struct job *j)
{
    struct slot *s = slot_of(l, j->block);

    if (j->task < LANES && l->doomed)
        return;
    switch (j->task) {
    case WRITE:
        write_block(l, s, &j->e);
        break;
    case HASH_FILE:
        hash_add(&l->file_hash, s->bytes, s->len);
        break;
    case HASH_TENSORS:
        tensor_hash_add(&l->tensors, s->at, s->bytes, s->len, &j->e);
        break;
    case MAKE:
        make_block(l, j, &j->e);
        break;
    case HASH_SOURCE:
        sources_step(l->sources, SOURCE_STEP, &j->e);
        break;
    }
}

/* ---- who does what, under the lock ---- */

static bool is_over(const struct pipeline *l)
{
    bool last = l->rest <= l->job.layout->file_size;
    /* Whoever is on the sources is the only one to look at them. */
    bool left = l->on_source || sources_left(l->sources);

    return l->e.kind != ERR_NONE ||
           (l->oldest == l->n_blocks && !(last && left));
}

static bool take_lane(struct pipeline *l, enum task task, struct job *j)
{
    struct lane *lane = &l->lanes[task];

    if (lane->busy == lane->most || lane->next == l->begun ||
        !slot_of(l, lane->next)->made)
        return false;
    lane->busy++;
    *j = (struct job){ .task = task, .block = lane->next++ };
    return true;
}

static bool take_make(struct pipeline *l, struct job *j)
{
    uint64_t k = l->begun;
    struct slot *s = slot_of(l, k);

    if (k == l->n_blocks || k - l->oldest == l->n_slots || l->n_scratch == 0)
        return false;
    s->at = k * BLOCK_BYTES;
    s->len = size_min(BLOCK_BYTES, l->job.layout->file_size - s->at);
    s->made = false;
    s->left = 1;
    for (size_t i = 0; i < LANES; i++)
        s->left += l->lanes[i].most > 0;
    l->begun++;
    *j = (struct job){
        .task = MAKE, .block = k, .scratch = l->scratch[--l->n_scratch]
    };
    return true;
}

static bool take_source(struct pipeline *l, bool only_if_late, struct job *j)
{
    if (l->on_source || !sources_left(l->sources) ||
        (only_if_late && l->source_at >= l->share * l->begun))
        return false;
    l->on_source = true;
    *j = (struct job){ .task = HASH_SOURCE, .block = UINT64_MAX };
    return true;
}

/*
 * Each chain of digests is as long as all the rest together, so they come
 * first; the sources keep the pace of the output, for the sake of who watches
 * the progress.
 */
static bool take(struct pipeline *l, struct job *j)
{
    if (take_lane(l, WRITE, j))
        return true;
    if (l->computing == l->n_computing ||
        !(take_source(l, true, j) || take_lane(l, HASH_FILE, j) ||
            take_lane(l, HASH_TENSORS, j) || take_make(l, j) ||
            take_source(l, false, j)))
        return false;
    l->computing++;
    return true;
}

/* The error of the first block in the file, whichever thread met it. */
static void note_error(struct pipeline *l, const struct job *j)
{
    struct err e = j->e;

    if (e.kind == ERR_NONE)
        cancel_check(&e);
    if (e.kind == ERR_NONE)
        return;
    if (l->e.kind == ERR_NONE || j->block < l->failed) {
        l->e = e;
        l->failed = j->block;
    }
}

static void give(struct pipeline *l, struct job *j)
{
    struct slot *s = slot_of(l, j->block);

    note_error(l, j);
    if (j->task != WRITE)
        l->computing--;
    if (j->task == HASH_SOURCE) {
        l->on_source = false;
        l->source_at += SOURCE_STEP;
    } else {
        s->left--;
        if (j->task == MAKE) {
            s->made = true;
            l->scratch[l->n_scratch++] = j->scratch;
            if (l->job.refused)
                l->doomed = true;
        } else {
            l->lanes[j->task].busy--;
        }
        while (l->oldest < l->begun && slot_of(l, l->oldest)->left == 0)
            l->oldest++;
    }
    pthread_cond_broadcast(&l->change);
}

static void work(void *ctx, size_t i)
{
    struct pipeline *l = ctx;
    struct job j;

    (void)i;
    pthread_mutex_lock(&l->lock);
    while (!is_over(l)) {
        if (!take(l, &j)) {
            pthread_cond_wait(&l->change, &l->lock);
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        do_task(l, &j);
        pthread_mutex_lock(&l->lock);
        give(l, &j);
    }
    pthread_mutex_unlock(&l->lock);
}

/* ---- beginning and end ---- */

static int open_memory(struct pipeline *l, struct err *e)
{
    /*
     * Blocks side by side touch one panel more than they are: with none left
     * a view is gathered in crumbs, at many times the cost.
     */
    unsigned most = l->job.c->panels != NULL ? PANEL_MAX - 1 : MAKERS;
    unsigned makers = (unsigned)size_min(l->n_computing, most);
    uint8_t *p;

    l->n_slots = (unsigned)size_min(l->n_blocks, SLOTS);
    p = aligned_alloc(PAGE,
        (size_t)l->n_slots * BLOCK_BYTES + (size_t)makers * BLOCK_SCRATCH);
    if (p == NULL)
        return err_set(e, ERR_NOMEM, "out of memory for %u blocks", l->n_slots);
    l->memory = p;
    for (unsigned i = 0; i < l->n_slots; i++, p += BLOCK_BYTES)
        l->slots[i].bytes = p;
    for (; l->n_scratch < makers; p += BLOCK_SCRATCH)
        l->scratch[l->n_scratch++] = p;
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

static int open_lanes(struct pipeline *l, struct err *e)
{
    if (l->doomed)
        return 0;
    l->lanes[WRITE].most = WRITERS;
    if (l->out->tensors != NULL)
        l->lanes[HASH_TENSORS].most = 1;
    if (l->out->unhashed)
        return 0;
    l->lanes[HASH_FILE].most = 1;
    return hash_begin(&l->file_hash, HASH_SHA256, 0, e);
}

static int finish(struct pipeline *l, struct err *e)
{
    if (l->e.kind != ERR_NONE) {
        *e = l->e;
        return -1;
    }
    l->out->refused = l->doomed;
    if (l->doomed)
        return 0;
    if (!l->out->unhashed)
        hash_end(&l->file_hash, &l->out->file);
    if (l->direct)
        leave_direct(l);
    if (ftruncate(l->fd, (off_t)l->job.layout->file_size) != 0)
        return err_sys(e, "%s: cutting it to size", l->name);
    return 0;
}

static uint64_t blocks_of(uint64_t bytes)
{
    return (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
}

static unsigned computing(const struct pool *pool)
{
    unsigned n = pool_size(pool);

    return n > WRITERS ? n - WRITERS : 1;
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
        .doomed = out->refused,
        .tensors = { .layout = p, .out = out->tensors },
        .n_blocks = blocks_of(p->file_size),
        .rest = rest,
        .share = sources->unread / blocks_of(rest) + 1,
        .n_computing = computing(pool) };
    int rc;

    pthread_mutex_init(&l.job.lock, NULL);
    pthread_mutex_init(&l.lock, NULL);
    pthread_cond_init(&l.change, NULL);
    rc = open_memory(&l, e);
    if (rc == 0)
        rc = open_file(&l, e);
    if (rc == 0)
        rc = open_lanes(&l, e);
    if (rc == 0) {
        pool_run(pool, pool_size(pool), work, &l);
        rc = finish(&l, e);
    }
    hash_free(&l.file_hash);
    tensor_hash_free(&l.tensors);
    free(l.memory);
    pthread_cond_destroy(&l.change);
    pthread_mutex_destroy(&l.lock);
    pthread_mutex_destroy(&l.job.lock);
    return rc;
}
