#include "cache/frames.h"
#include "cache/frames_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cancel.h"

/* Bytes of the file that were read and not yet used. */
struct input {
    uint8_t *p; /* of 2 * ZST_PACKED bytes */
    size_t from, to;
    bool end;     /* no more come */
    bool partial; /* the frame before was not full */
    uint64_t at;  /* of p[from] in the file */
};

struct unpacking {
    struct work work; /* first: a stage finds the rest by it */
    struct input in;
};

enum { INPUT_SIZE = 2 * ZST_PACKED, POLL_MS = 200 };

static struct unpacking *all_of(struct work *w)
{
    return (struct unpacking *)w;
}

/* More bytes behind those that are there; at the end of the file none. */
static int fill(struct work *w, struct input *in, struct err *e)
{
    struct pollfd wait = { .fd = w->f->fd, .events = POLLIN };
    int ready;
    ssize_t n;

    /* Of a pipe: whoever interrupts need not wait for its other end. */
    while (
        (ready = poll(&wait, 1, POLL_MS)) == 0 || (ready < 0 && errno == EINTR))
        if (cancel_check(e) != 0)
            return -1;
    memmove(in->p, in->p + in->from, in->to - in->from);
    in->to -= in->from;
    in->from = 0;
    do {
        n = read(w->f->fd, in->p + in->to, INPUT_SIZE - in->to);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(e, "%s: reading at byte %llu", w->f->name,
            (unsigned long long)(in->at + in->to));
    in->end = n == 0;
    in->to += (size_t)n;
    w->f->packed += (size_t)n;
    return 0;
}

static int cut_off(struct work *w, const struct input *in, struct err *e)
{
    w->f->cut = true;
    return err_set(e, ERR_CORRUPT,
        "%s: ends at byte %llu, in the middle of an archive", w->f->name,
        (unsigned long long)(in->at + (in->to - in->from)));
}

/* Until one whole frame, or the table's beginning, is there. */
static int look(
    struct work *w, struct input *in, size_t *n, size_t *bytes, struct err *e)
{
    for (;;) {
        int kind = zst_look(in->p + in->from, in->to - in->from, n, bytes, e);

        if (kind < 0)
            return err_ctx(
                e, "%s: byte %llu", w->f->name, (unsigned long long)in->at);
        if (kind != ZST_MORE)
            return kind;
        if (in->end)
            return cut_off(w, in, e);
        if (fill(w, in, e) != 0)
            return -1;
    }
}

/* The table must be the one that we would write, and the end. */
static int check_table(struct work *w, struct input *in, struct err *e)
{
    struct buf table AUTO(buf_free) = BUF_INIT((size_t)2 << 30);

    if (zst_table(&table, &w->lines, e) != 0)
        return -1;
    for (size_t at = 0; at < table.len;) {
        size_t n = size_min(in->to - in->from, table.len - at);
        size_t same = 0;

        while (
            same < n && in->p[in->from + same] == (uint8_t)table.p[at + same])
            same++;
        in->from += same;
        in->at += same;
        at += same;
        if (same < n)
            return err_set(e, ERR_REFUSED,
                "%s: byte %llu: the table at the end is not that of the "
                "frames",
                w->f->name, (unsigned long long)in->at);
        if (at < table.len && in->end)
            return cut_off(w, in, e);
        if (at < table.len && fill(w, in, e) != 0)
            return -1;
    }
    if (in->from == in->to && !in->end && fill(w, in, e) != 0)
        return -1;
    if (in->from == in->to)
        return 0;
    return err_set(e, ERR_REFUSED, "%s: byte %llu: something behind its end",
        w->f->name, (unsigned long long)in->at);
}

/* The frames are a function of what is in them: all but the last are full. */
static int check_full(
    struct work *w, struct input *in, size_t bytes, struct err *e)
{
    bool wrong = in->partial || bytes == 0;

    in->partial = bytes < ZST_FRAME;
    return !wrong ? 0
                  : err_set(e, ERR_REFUSED, "%s: byte %llu: a frame that %s",
                        w->f->name, (unsigned long long)in->at,
                        bytes == 0 ? "has nothing in it"
                                   : "follows one that is not full");
}

static void read_batch(struct work *w)
{
    struct batch *b = work_at(w, 0), *before = work_at(w, 1);
    struct input *in = &all_of(w)->in;

    b->n = 0;
    b->last = before->last;
    while (!b->last && b->n < w->size) {
        struct frame *f = work_frame(w, b);
        int kind =
            f == NULL ? -1 : look(w, in, &f->packed_n, &f->n, &w->first_e);

        b->last = kind != ZST_DATA || check_full(w, in, f->n, &w->first_e) != 0;
        if (kind == ZST_TABLE)
            check_table(w, in, &w->first_e);
        if (b->last)
            return;
        memcpy(f->packed, in->p + in->from, f->packed_n);
        f->at = in->at;
        in->from += f->packed_n;
        in->at += f->packed_n;
        zst_note(&w->lines, f->packed_n, f->n);
        b->n++;
    }
}

static void unpack(struct work *w, struct frame *f, struct zst *z)
{
    if (zst_unpack(z, f->packed, f->packed_n, f->bytes, f->n, &f->e) != 0)
        err_ctx(&f->e, "%s: byte %llu", w->f->name, (unsigned long long)f->at);
}

static void take(struct work *w)
{
    struct batch *b = work_at(w, 2);

    for (size_t i = 0; i < b->n; i++) {
        if (w->f->take(w->f->ctx, b->v[i].bytes, b->v[i].n, &w->last_e) != 0)
            return;
        w->f->bytes += b->v[i].n;
    }
}

static void close_all(struct unpacking *u)
{
    work_close(&u->work);
    free(u->in.p);
    u->in.p = NULL;
}

int frames_unpack(struct frames *f, struct err *e)
{
    struct unpacking u AUTO(close_all) = { .work = WORK_INIT };
    struct work *w = &u.work;

    f->bytes = f->packed = 0;
    f->cut = false;
    u.in.p = malloc(INPUT_SIZE);
    if (u.in.p == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (work_open(w, f, e) != 0)
        return -1;
    return work_run(w, read_batch, unpack, take, e);
}
