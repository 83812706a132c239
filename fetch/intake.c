/*
 * Four threads and one lock. The lock is held to look at queues and to move
 * blocks between them, never while bytes are copied, hashed, written or
 * read. A sink that a thread works on outside of the lock is busy.
 */
#include "fetch/intake.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum {
    /* Blocks that only the reader may have: without it nothing moves. */
    RESERVE = 4,
    /* How far it reads ahead of the hasher. */
    AHEAD = 8 * BLOCK_BYTES,
    SAVE_MS = 1000, /* what a loss of power may cost */
    SCRIBE_MS = 100
};

enum role { WRITER, HASHER, READER, SCRIBE, ROLES };

struct intake {
    struct intake_opts opts;
    pthread_t threads[ROLES];
    unsigned n_threads;
    pthread_mutex_t lock;
    pthread_cond_t work[ROLES]; /* there may be something to do */
    pthread_cond_t idle;        /* a sink is less busy */
    bool stop;
    bool starved; /* the owner waits for a block */
    bool hungry;  /* the reader does */
    struct slab slab;
    struct block *queue; /* to be written, in order of arrival */
    struct block **queue_end;
    size_t unwritten; /* blocks in the queue, or being written */
    struct sink *sinks;
};

/* ---- under the lock ---- */

static void wake(struct intake *in)
{
    in->opts.wake(in->opts.arg);
}

static void fail(struct sink *s, const struct err *e)
{
    if (s->err.kind == ERR_NONE)
        s->err = *e;
    wake(s->in);
}

/* Something moved: who was refused a block may try again. */
static void moved(struct intake *in)
{
    if (in->hungry)
        pthread_cond_signal(&in->work[READER]);
    in->hungry = false;
    if (in->starved)
        wake(in);
    in->starved = false;
}

static void release(struct intake *in, struct block *b)
{
    if (--b->refs == 0) {
        slab_give(&in->slab, b);
        moved(in);
    }
}

static void hold(struct sink *s)
{
    s->busy++;
}

static void let_go(struct sink *s)
{
    s->busy--;
    if (s->ended)
        pthread_cond_broadcast(&s->in->idle);
}

/*
 * A block whatever it costs: the last one of a file that waits for bytes
 * which are not in memory. Where the hasher can go on, it will give some.
 */
static struct block *take_block(struct intake *in, size_t reserve)
{
    if (in->slab.n_idle > reserve)
        return slab_take(&in->slab);
    for (struct sink *s = in->sinks; s != NULL; s = s->next) {
        struct block *b;

        if (window_run(&s->window, s->taken) > s->taken)
            continue;
        b = window_evict(&s->window, s->taken);
        if (b != NULL) {
            release(in, b);
            return slab_take(&in->slab);
        }
    }
    return NULL;
}

/* So few blocks wait for the disk that a kill costs less than it may. */
static bool may_queue(const struct intake *in)
{
    unsigned lanes = in->opts.lanes;

    return in->unwritten < size_max(2, lanes + lanes / 2);
}

static void submit(struct sink *s, struct block *b)
{
    struct intake *in = s->in;
    struct err e = ERR_INIT;

    b->refs = 2;
    b->next = NULL;
    *in->queue_end = b;
    in->queue_end = &b->next;
    in->unwritten++;
    s->queued++;
    if (window_add(&s->window, b, &e) != 0) {
        b->refs--;
        fail(s, &e);
    }
    if (in->unwritten == 1)
        pthread_cond_signal(&in->work[WRITER]);
    if (b->from == s->taken)
        pthread_cond_signal(&in->work[HASHER]);
}

/* The next bytes that the hasher will miss, if they are on disk. */
static bool find_lag(struct sink *s, uint64_t *from, uint64_t *to)
{
    const struct ranges *have = &s->partial->have;
    uint64_t at = window_run(&s->window, s->taken);
    uint64_t end = ranges_end(have, at);

    if (s->ended || s->err.kind != ERR_NONE || at == end ||
        at - s->taken >= AHEAD)
        return false;
    *from = at;
    *to = window_next(&s->window, at, size_min(end, block_end(at)));
    return true;
}

/* Nobody is woken for nothing: there are 4096 blocks in a gigabyte. */
static void tell_reader(struct sink *s)
{
    uint64_t from, to;

    if (find_lag(s, &from, &to))
        pthread_cond_signal(&s->in->work[READER]);
}

/* ---- the writer ---- */

static struct block *dequeue(struct intake *in)
{
    struct block *b = in->queue;

    in->queue = b->next;
    if (in->queue == NULL)
        in->queue_end = &in->queue;
    return b;
}

static void written(struct sink *s, struct block *b, struct err *e)
{
    struct partial *p = s->partial;

    if (e->kind == ERR_NONE && !s->dropped && s->err.kind == ERR_NONE)
        b->written = partial_took(p, b->from, b->to, e) == 0;
    if (e->kind != ERR_NONE)
        fail(s, e);
}

static void write_next(struct intake *in)
{
    struct block *b = dequeue(in);
    struct sink *s = b->sink;
    bool good = !s->dropped && s->err.kind == ERR_NONE;
    size_t behind = (size_t)in->opts.lanes * (BLOCK_BYTES / 2);
    struct err e = ERR_INIT;

    hold(s);
    pthread_mutex_unlock(&in->lock);
    if (good)
        partial_put(s->partial, block_at(b, b->from), b->from, b->to, &e);
    pthread_mutex_lock(&in->lock);
    written(s, b, &e);
    in->unwritten--;
    s->queued--;
    release(in, b);
    moved(in);
    tell_reader(s);
    if (s->hashed == s->partial->size && s->queued == 0)
        wake(in);
    pthread_mutex_unlock(&in->lock);
    /* Nobody else changes what it reads. */
    if (good && e.kind == ERR_NONE)
        partial_note(s->partial, behind);
    pthread_mutex_lock(&in->lock);
    let_go(s);
}

static void writer(struct intake *in)
{
    while (in->queue != NULL || !in->stop) {
        if (in->queue != NULL)
            write_next(in);
        else
            pthread_cond_wait(&in->work[WRITER], &in->lock);
    }
}

/* ---- the hasher ---- */

static bool hash_next(struct intake *in)
{
    struct sink *s = in->sinks;
    struct block *b = NULL;

    for (; s != NULL; s = s->next)
        if (!s->ended && s->err.kind == ERR_NONE &&
            (b = window_pop(&s->window, s->taken)) != NULL)
            break;
    if (b == NULL)
        return false;
    s->taken = b->to;
    hold(s);
    tell_reader(s);
    pthread_mutex_unlock(&in->lock);
    hash_add(&s->hash, block_at(b, b->from), b->to - b->from);
    pthread_mutex_lock(&in->lock);
    s->hashed = b->to;
    release(in, b);
    if (s->hashed == s->partial->size)
        wake(in);
    let_go(s);
    return true;
}

static void hasher(struct intake *in)
{
    while (!in->stop)
        if (!hash_next(in))
            pthread_cond_wait(&in->work[HASHER], &in->lock);
}

/* ---- the reader ---- */

static bool read_next(struct intake *in)
{
    struct sink *s = in->sinks;
    struct err e = ERR_INIT;
    uint64_t from = 0, to = 0;
    struct block *b;

    while (s != NULL && !find_lag(s, &from, &to))
        s = s->next;
    b = s != NULL ? take_block(in, 0) : NULL;
    in->hungry = s != NULL && b == NULL;
    if (b == NULL)
        return false;
    *b = (struct block){ .room = b->room,
        .from = from,
        .to = to,
        .sink = s,
        .refs = 1,
        .written = true };
    hold(s);
    pthread_mutex_unlock(&in->lock);
    partial_get(s->partial, b->room, from, to, &e);
    pthread_mutex_lock(&in->lock);
    if (e.kind != ERR_NONE || s->ended || window_add(&s->window, b, &e) != 0)
        release(in, b);
    if (e.kind != ERR_NONE)
        fail(s, &e);
    pthread_cond_signal(&in->work[HASHER]);
    let_go(s);
    return true;
}

static void reader(struct intake *in)
{
    while (!in->stop)
        if (!read_next(in))
            pthread_cond_wait(&in->work[READER], &in->lock);
}

/* ---- the scribe ---- */

static struct sink *find_unsaved(struct intake *in, uint64_t now)
{
    for (struct sink *s = in->sinks; s != NULL; s = s->next)
        if (!s->ended && s->err.kind == ERR_NONE && s->partial->unsaved > 0 &&
            now - s->partial->saved_ms >= SAVE_MS)
            return s;
    return NULL;
}

/* What is claimed is what was written before the sync begins. */
static void save_next(struct intake *in, struct sink *s)
{
    struct partial *p = s->partial;
    struct ranges have AUTO(ranges_free) = RANGES_INIT;
    uint64_t unsaved = p->unsaved;
    struct err e = ERR_INIT;

    p->saved_ms = clock_ms();
    if (ranges_copy(&have, &p->have, &e) != 0) {
        fail(s, &e);
        return;
    }
    p->unsaved = 0;
    hold(s);
    pthread_mutex_unlock(&in->lock);
    partial_sync(p, &have, &e);
    pthread_mutex_lock(&in->lock);
    if (e.kind != ERR_NONE) {
        p->unsaved += unsaved;
        fail(s, &e);
    }
    let_go(s);
}

static void nap(struct intake *in)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += SCRIBE_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&in->work[SCRIBE], &in->lock, &until);
}

static void scribe(struct intake *in)
{
    while (!in->stop) {
        struct sink *s = find_unsaved(in, clock_ms());

        if (s != NULL)
            save_next(in, s);
        else
            nap(in);
    }
}

/* ---- life ---- */

struct start {
    struct intake *in;
    enum role role;
};

static void *thread(void *arg)
{
    static void (*const loops[ROLES])(
        struct intake *) = { writer, hasher, reader, scribe };
    static const char *const names[ROLES] = { "ml-writer", "ml-hasher",
        "ml-reader", "ml-scribe" };
    struct start start = *(struct start *)arg;
    struct intake *in = start.in;

    free(arg);
    pthread_setname_np(pthread_self(), names[start.role]);
    pthread_mutex_lock(&in->lock);
    loops[start.role](in);
    pthread_mutex_unlock(&in->lock);
    return NULL;
}

static int start_thread(struct intake *in, enum role role, struct err *e)
{
    struct start *start = malloc(sizeof(*start));

    if (start == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    *start = (struct start){ in, role };
    errno = pthread_create(&in->threads[role], NULL, thread, start);
    if (errno != 0) {
        free(start);
        return err_sys(e, "cannot start a thread");
    }
    in->n_threads++;
    return 0;
}

static void init_locks(struct intake *in)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&in->lock, NULL);
    pthread_cond_init(&in->idle, NULL);
    for (unsigned i = 0; i < ROLES; i++)
        pthread_cond_init(&in->work[i], &attr);
    pthread_condattr_destroy(&attr);
}

struct intake *intake_open(const struct intake_opts *opts, struct err *e)
{
    struct intake *in = calloc(1, sizeof(*in));

    if (in == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    in->opts = *opts;
    in->queue_end = &in->queue;
    init_locks(in);
    if (slab_open(&in->slab, opts->blocks + RESERVE, e) == 0)
        for (unsigned i = 0; i < ROLES; i++)
            if (start_thread(in, (enum role)i, e) != 0)
                break;
    if (e->kind == ERR_NONE)
        return in;
    intake_close(in);
    return NULL;
}

void intake_close(struct intake *in)
{
    if (in == NULL)
        return;
    pthread_mutex_lock(&in->lock);
    in->stop = true;
    for (unsigned i = 0; i < ROLES; i++)
        pthread_cond_broadcast(&in->work[i]);
    pthread_mutex_unlock(&in->lock);
    for (unsigned i = 0; i < in->n_threads; i++)
        pthread_join(in->threads[i], NULL);
    for (unsigned i = 0; i < ROLES; i++)
        pthread_cond_destroy(&in->work[i]);
    pthread_cond_destroy(&in->idle);
    pthread_mutex_destroy(&in->lock);
    slab_free(&in->slab);
    free(in);
}

void intake_lanes(struct intake *in, unsigned lanes)
{
    pthread_mutex_lock(&in->lock);
    in->opts.lanes = lanes;
    pthread_mutex_unlock(&in->lock);
}

bool intake_room(struct intake *in)
{
    bool room;

    pthread_mutex_lock(&in->lock);
    room = !in->starved;
    pthread_mutex_unlock(&in->lock);
    return room;
}

/* ---- the owner's side ---- */

int sink_begin(
    struct sink *s, struct intake *in, struct partial *p, struct err *e)
{
    struct sink **end = &in->sinks;

    *s = (struct sink)SINK_INIT;
    s->partial = p;
    if (ranges_copy(&s->got, &p->have, e) != 0 ||
        hash_begin(&s->hash, p->want.kind, p->size, e) != 0)
        return -1;
    s->in = in;
    pthread_mutex_lock(&in->lock);
    while (*end != NULL)
        end = &(*end)->next;
    *end = s;
    pthread_cond_signal(&in->work[READER]);
    pthread_mutex_unlock(&in->lock);
    return 0;
}

/* NULL: none now, or, with *e, the sink is broken. */
static struct block *next_block(struct sink *s, uint64_t at, struct err *e)
{
    struct intake *in = s->in;
    struct block *b = NULL;

    pthread_mutex_lock(&in->lock);
    if (s->err.kind != ERR_NONE)
        *e = s->err;
    else if (may_queue(in))
        b = take_block(in, RESERVE);
    if (b == NULL)
        in->starved = true;
    pthread_mutex_unlock(&in->lock);
    if (b != NULL)
        *b = (struct block){ .room = b->room, .from = at, .to = at, .sink = s };
    return b;
}

enum sink_took sink_put(struct sink *s, struct block **b, uint64_t *at,
    const void *bytes, size_t len, uint64_t *out_new, struct err *e)
{
    const uint8_t *from = bytes;
    uint64_t end = *at + len;

    while (*at < end) {
        uint64_t held = size_min(end, ranges_end(&s->got, *at));
        uint64_t stop;

        if (held > *at) {
            sink_flush(s, b);
            from += held - *at;
            *at = held;
            continue;
        }
        if (*b == NULL && (*b = next_block(s, *at, e)) == NULL)
            return e->kind == ERR_NONE ? SINK_FULL : SINK_FAILED;
        stop = ranges_next(&s->got, *at, size_min(end, block_end(*at)));
        if (ranges_add(&s->got, *at, stop, e) != 0)
            return SINK_FAILED;
        memcpy(block_at(*b, *at), from, stop - *at);
        *out_new += stop - *at;
        from += stop - *at;
        *at = (*b)->to = stop;
        if (stop == block_end((*b)->from) || stop == s->partial->size)
            sink_flush(s, b);
    }
    return SINK_ALL;
}

void sink_flush(struct sink *s, struct block **b)
{
    if (*b == NULL)
        return;
    pthread_mutex_lock(&s->in->lock);
    if ((*b)->from < (*b)->to) {
        submit(s, *b);
    } else {
        (*b)->refs = 1;
        release(s->in, *b);
    }
    pthread_mutex_unlock(&s->in->lock);
    *b = NULL;
}

enum sink_state sink_look(struct sink *s, struct err *e)
{
    enum sink_state state = SINK_OPEN;

    pthread_mutex_lock(&s->in->lock);
    if (s->err.kind != ERR_NONE) {
        *e = s->err;
        state = SINK_BROKEN;
    } else if (s->hashed == s->partial->size && s->queued == 0) {
        state = SINK_DONE;
    }
    pthread_mutex_unlock(&s->in->lock);
    return state;
}

void sink_digest(struct sink *s, struct digest *out)
{
    hash_end(&s->hash, out);
}

void sink_end(struct sink *s, bool drop)
{
    struct intake *in = s->in;
    struct sink **at;

    if (in == NULL)
        return;
    pthread_mutex_lock(&in->lock);
    s->ended = true;
    s->dropped = drop;
    while (s->queued > 0 || s->busy > 0)
        pthread_cond_wait(&in->idle, &in->lock);
    for (at = &in->sinks; *at != s; at = &(*at)->next)
        ;
    *at = s->next;
    while (s->window.n > 0)
        release(in, s->window.v[--s->window.n]);
    pthread_mutex_unlock(&in->lock);
    s->in = NULL;
}

void sink_free(struct sink *s)
{
    window_free(&s->window);
    hash_free(&s->hash);
    ranges_free(&s->got);
}
