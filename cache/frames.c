/* What packing and unpacking have in common, and packing. */
#include "cache/frames.h"
#include "cache/frames_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cancel.h"

enum { STAGES = 3, BATCH_MIN = 8, LEAD = 2 /* items before the frames */ };

int work_open(struct work *w, struct frames *f, struct err *e)
{
    w->f = f;
    w->threads = f->threads != 0 ? f->threads : pool_cores();
    if (w->threads > FRAMES_THREADS_MAX)
        w->threads = FRAMES_THREADS_MAX;
    w->size = size_max(BATCH_MIN, 2 * w->threads);
    w->zst = calloc(w->size, sizeof(*w->zst));
    for (size_t s = 0; s < STAGES; s++)
        w->batch[s].v = calloc(w->size, sizeof(*w->batch[s].v));
    if (w->zst == NULL || w->batch[0].v == NULL || w->batch[1].v == NULL ||
        w->batch[2].v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    w->pool = pool_open(w->threads, e);
    return w->pool != NULL ? 0 : -1;
}

struct frame *work_frame(struct work *w, struct batch *b)
{
    struct frame *f = &b->v[b->n];

    if (f->bytes == NULL)
        f->bytes = malloc(ZST_FRAME + ZST_PACKED);
    if (f->bytes == NULL) {
        err_set(&w->first_e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    f->packed = f->bytes + ZST_FRAME;
    return f;
}

void work_close(struct work *w)
{
    pool_close(w->pool);
    for (size_t i = 0; w->zst != NULL && i < w->size; i++)
        zst_free(&w->zst[i]);
    for (size_t s = 0; s < STAGES; s++) {
        for (size_t i = 0; w->batch[s].v != NULL && i < w->size; i++)
            free(w->batch[s].v[i].bytes);
        free(w->batch[s].v);
    }
    free(w->zst);
    buf_free(&w->lines);
    *w = (struct work)WORK_INIT;
}

struct batch *work_at(struct work *w, size_t stage)
{
    return &w->batch[(w->turn + STAGES - stage) % STAGES];
}

struct round {
    struct work *w;
    void (*first)(struct work *);
    void (*middle)(struct work *, struct frame *, struct zst *);
    void (*last)(struct work *);
};

static void item(void *ctx, size_t i)
{
    struct round *r = ctx;
    struct work *w = r->w;

    if (i == 0)
        r->last(w);
    else if (i == 1)
        r->first(w);
    else
        r->middle(w, &work_at(w, 1)->v[i - LEAD], &w->zst[i - LEAD]);
}

/* The three stages once; then all batches move on. */
static int work_round(struct work *w, void (*first)(struct work *),
    void (*middle)(struct work *, struct frame *, struct zst *),
    void (*last)(struct work *), struct err *e)
{
    struct round r = { w, first, middle, last };
    struct batch *b = work_at(w, 1);

    /* What was read before the interrupt is still taken. */
    if (w->first_e.kind == ERR_NONE && cancel_check(e) != 0)
        return -1;
    pool_run(w->pool, LEAD + b->n, item, &r);
    if (w->last_e.kind != ERR_NONE) {
        *e = w->last_e;
        return -1;
    }
    for (size_t i = 0; i < b->n; i++)
        if (b->v[i].e.kind != ERR_NONE) {
            *e = b->v[i].e;
            return -1;
        }
    w->turn = (w->turn + 1) % STAGES;
    return 0;
}

int work_run(struct work *w, void (*first)(struct work *),
    void (*middle)(struct work *, struct frame *, struct zst *),
    void (*last)(struct work *), struct err *e)
{
    do {
        if (work_round(w, first, middle, last, e) != 0)
            return -1;
    } while (
        !work_at(w, 1)->last || work_at(w, 1)->n > 0 || work_at(w, 2)->n > 0);
    if (w->first_e.kind == ERR_NONE)
        return 0;
    *e = w->first_e;
    return -1;
}

/* ---- packing ---- */

static void make(struct work *w)
{
    struct batch *b = work_at(w, 0), *before = work_at(w, 1);

    b->n = 0;
    b->last = before->last;
    while (!b->last && b->n < w->size) {
        struct frame *f = work_frame(w, b);

        b->last = f == NULL || w->f->make(w->f->ctx, f->bytes, ZST_FRAME, &f->n,
                                   &w->first_e) != 0;
        if (b->last)
            return;
        b->last = f->n < ZST_FRAME;
        b->n += f->n > 0;
    }
}

static void pack(struct work *w, struct frame *f, struct zst *z)
{
    zst_pack(z, w->f->level, f->bytes, f->n, f->packed, &f->packed_n, &f->e);
}

static int put(struct work *w, const void *bytes, size_t n, struct err *e)
{
    const char *p = bytes;

    while (n > 0) {
        ssize_t rc = write(w->f->fd, p, n);

        if (rc < 0 && errno == EINTR)
            continue;
        if (rc <= 0)
            return err_sys(e, "%s: writing at byte %llu", w->f->name,
                (unsigned long long)w->f->packed);
        p += rc;
        n -= (size_t)rc;
        w->f->packed += (uint64_t)rc;
    }
    return 0;
}

static void write_all(struct work *w)
{
    struct batch *b = work_at(w, 2);

    for (size_t i = 0; i < b->n; i++) {
        if (put(w, b->v[i].packed, b->v[i].packed_n, &w->last_e) != 0)
            return;
        zst_note(&w->lines, b->v[i].packed_n, b->v[i].n);
        w->f->bytes += b->v[i].n;
    }
}

int frames_pack(struct frames *f, struct err *e)
{
    struct work w AUTO(work_close) = WORK_INIT;
    struct buf table AUTO(buf_free) = BUF_INIT((size_t)2 << 30);

    f->bytes = f->packed = 0;
    if (work_open(&w, f, e) != 0 || work_run(&w, make, pack, write_all, e) != 0)
        return -1;
    if (zst_table(&table, &w.lines, e) != 0)
        return -1;
    return put(&w, table.p, table.len, e);
}
