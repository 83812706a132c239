/*
 * The four threads. The lock is held to look at queues and to move blocks
 * between them, never while bytes are copied, hashed, written or read. A
 * sink that a thread works on outside of the lock is busy.
 */
#include "fetch/intake_internal.h"

#include "base/clock.h"
#include "base/slice.h"

enum {
    /* Blocks that only the reader may have: without it nothing moves. */
    RESERVE = 4,
    /*
     * How far it reads ahead of the hasher, of all the memory, for the file
     * that is hashed: the disk and the scheduler let it wait.
     */
    AHEAD_PART = 4,
    /* For the others; and what is lent is there at once, and more memory. */
    LEAST_AHEAD_PART = 16,
    /* What the hasher takes at once: each time it may have to wait. */
    GULP = 8,
    SAVE_MS = 1000, /* what a loss of power may cost */
    /* And a kill: 1 MiB per lane, with what TLS holds. */
    KILL_BYTES = 960 << 10,
    NOTE_BYTES = BLOCK_BYTES, /* of them, without being noted */
    SCRIBE_NS = 100000000,
    LINGER_NS = 300000 /* for blocks that go on where the first one ends */
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

static uint64_t all_memory(const struct intake *in)
{
    return in->slab.n * (uint64_t)BLOCK_BYTES;
}

/*
 * Behind that byte the blocks of a file may be given up: it waits for bytes
 * which are not in memory, or will do so for long. UINT64_MAX: the hasher
 * can go on, and will give some.
 */
static uint64_t spare_from(struct intake *in, const struct sink *s)
{
    uint64_t run = window_run(&s->window, s->taken);
    uint64_t end = ranges_end(&s->partial->have, run);

    in->behind = in->behind || end - s->taken >= all_memory(in) / 4;
    return run == s->taken || end - run >= all_memory(in) ? run : UINT64_MAX;
}

/* Bytes that are written, but in no journal; *most: the file with the most. */
static uint64_t unnoted(const struct intake *in, struct sink **most)
{
    uint64_t sum = 0;

    *most = NULL;
    for (struct sink *s = in->sinks; s != NULL; s = s->next) {
        if (s->partial->journal[0] == '\0')
            continue;
        sum += s->partial->unnoted;
        if (*most == NULL || s->partial->unnoted > (*most)->partial->unnoted)
            *most = s;
    }
    return sum;
}

/* A kill costs what waits for the disk, too: does it allow one more block? */
static bool may_queue(const struct intake *in)
{
    uint64_t waits = (in->in_hand + 1 + in->unwritten) * (uint64_t)BLOCK_BYTES;
    struct sink *most;

    return in->unwritten == 0 ||
           waits + unnoted(in, &most) <= in->opts.lanes * (uint64_t)KILL_BYTES;
}

/* Would the owner get a block now? */
static bool has_block(struct intake *in)
{
    bool has = in->slab.n_idle > RESERVE;

    for (struct sink *s = in->sinks; s != NULL && !has; s = s->next)
        has = window_spares(&s->window, spare_from(in, s));
    return has && may_queue(in);
}

/* Something moved: who was refused a block may try again. */
static void moved(struct intake *in)
{
    if (in->hungry)
        pthread_cond_signal(&in->work[READER]);
    in->hungry = false;
    if (!in->starved || !has_block(in))
        return;
    in->starved = false;
    wake(in);
}

void intake_release(struct intake *in, struct block *b)
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

/* A block whatever it costs: the last one that may be given up. */
static struct block *take_block(struct intake *in, size_t reserve)
{
    if (in->slab.n_idle > reserve)
        return slab_take(&in->slab);
    for (struct sink *s = in->sinks; s != NULL; s = s->next) {
        struct block *b = window_evict(&s->window, spare_from(in, s));

        if (b == NULL)
            continue;
        b->refs = 0;
        slab_give(&in->slab, b);
        return slab_take(&in->slab);
    }
    return NULL;
}

struct block *intake_take(struct intake *in)
{
    struct block *b = may_queue(in) ? take_block(in, RESERVE) : NULL;

    if (b != NULL) {
        in->in_hand++;
    } else {
        in->starved = true;
        pthread_cond_signal(&in->work[WRITER]);
    }
    return b;
}

static bool is_whole(const struct block *b)
{
    return b->to - b->from == BLOCK_BYTES;
}

/*
 * How many blocks are written at once, if the others go on where b ends. Not
 * more than there are lanes: none of them is noted before all are written.
 */
static size_t row_length(const struct intake *in, const struct block *b)
{
    return is_whole(b) ? size_min(in->opts.lanes, partial_row(b->sink->partial))
                       : 1;
}

void intake_submit(struct sink *s, struct block *b)
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
    if (in->unwritten == 1 || in->unwritten == row_length(in, b))
        pthread_cond_signal(&in->work[WRITER]);
    if (b->from == s->taken)
        pthread_cond_signal(&in->work[HASHER]);
}

static uint64_t ahead(const struct sink *s)
{
    bool far = s == s->in->sinks && !s->lent;

    return all_memory(s->in) / (far ? AHEAD_PART : LEAST_AHEAD_PART);
}

/* The next bytes from there on that the hasher will miss and the disk has. */
static bool find_lag(struct sink *s, uint64_t at, uint64_t *from, uint64_t *to)
{
    const struct ranges *have = &s->partial->have;
    uint64_t end;

    at = window_run(&s->window, at);
    end = ranges_end(have, at);
    if (s->ended || s->err.kind != ERR_NONE || at == end ||
        at - s->taken >= ahead(s))
        return false;
    *from = at;
    *to = window_next(&s->window, at, size_min(end, block_end(at)));
    return true;
}

/*
 * Nobody is woken for little: there are 4096 blocks in a gigabyte, and who
 * wakes somebody may lose the processor to him.
 */
static void tell_reader(struct sink *s)
{
    uint64_t from, to;

    if (find_lag(s, s->taken, &from, &to) && from - s->taken <= ahead(s) / 2)
        pthread_cond_signal(&s->in->work[READER]);
}

/* ---- the writer ---- */

/* Can it be written at once with the one before? */
static bool follows(const struct block *b, const struct block *last)
{
    return b->sink == last->sink && b->from == last->to && is_whole(b);
}

/* The first in the queue, and those of it that go on where it ends. */
static size_t dequeue(struct intake *in, struct block *row[PARTIAL_ROW])
{
    struct block **at = &in->queue;
    size_t n = 1, most = row_length(in, in->queue);

    row[0] = in->queue;
    in->queue = row[0]->next;
    while (*at != NULL)
        if (n < most && follows(*at, row[n - 1])) {
            row[n++] = *at;
            *at = (*at)->next;
        } else {
            at = &(*at)->next;
        }
    in->queue_end = at;
    return n;
}

/* Outside of the lock. Returns how many are on disk; fewer than n: *e. */
static size_t put(
    struct partial *p, struct block *const *row, size_t n, struct err *e)
{
    uint8_t *bytes[PARTIAL_ROW];

    for (size_t i = 0; i < n; i++)
        bytes[i] = block_at(row[i], row[i]->from);
    if (n > 1 && partial_put_row(p, bytes, n, row[0]->from))
        return n;
    for (size_t i = 0; i < n; i++)
        if (partial_put(p, bytes[i], row[i]->from, row[i]->to, e) != 0)
            return i;
    return n;
}

static void written(struct sink *s, struct block *b)
{
    struct err e = ERR_INIT;

    b->written = partial_took(s->partial, b->from, b->to, &e) == 0;
    if (!b->written)
        fail(s, &e);
}

/* All files share what a kill may cost: the one with the most is noted. */
static struct sink *find_unnoted(const struct intake *in)
{
    struct sink *most;

    return unnoted(in, &most) >= (uint64_t)in->opts.lanes * NOTE_BYTES ? most
                                                                       : NULL;
}

/* Nobody but the writer changes what is read here. */
static void note(struct intake *in, struct sink *s)
{
    hold(s);
    pthread_mutex_unlock(&in->lock);
    partial_note(s->partial, 1);
    pthread_mutex_lock(&in->lock);
    moved(in);
    let_go(s);
}

static void write_next(struct intake *in)
{
    struct block *row[PARTIAL_ROW];
    size_t n = dequeue(in, row);
    struct sink *s = row[0]->sink;
    bool good = s->err.kind == ERR_NONE;
    struct err e = ERR_INIT;
    size_t done = 0;

    hold(s);
    pthread_mutex_unlock(&in->lock);
    if (good)
        done = put(s->partial, row, n, &e);
    pthread_mutex_lock(&in->lock);
    for (size_t i = 0; i < n; i++) {
        if (i < done && s->err.kind == ERR_NONE)
            written(s, row[i]);
        in->unwritten--;
        s->queued--;
        intake_release(in, row[i]);
    }
    if (e.kind != ERR_NONE)
        fail(s, &e);
    moved(in);
    tell_reader(s);
    if (s->hashed == s->partial->size && s->queued == 0)
        wake(in);
    let_go(s);
}

/* Until there is work for the role, or so long. */
static void nap(struct intake *in, enum role role, long ns)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ns;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&in->work[role], &in->lock, &until);
}

static void writer(struct intake *in)
{
    slice_short(); /* little work, and connections wait for it */
    while (in->queue != NULL || !in->stop) {
        /* More than one, when fewer lanes leave less unnoted. */
        struct sink *most = find_unnoted(in);

        if (most != NULL) {
            note(in, most);
        } else if (in->queue != NULL) {
            if (in->unwritten < row_length(in, in->queue) && !in->starved)
                nap(in, WRITER, LINGER_NS);
            write_next(in);
        } else {
            pthread_cond_wait(&in->work[WRITER], &in->lock);
        }
    }
}

/* ---- the hasher ---- */

/* The next blocks of a file, as many as there are without a gap, or GULP. */
static unsigned gulp(struct sink *s, struct block *v[GULP])
{
    unsigned n = 0;

    while (!s->ended && s->err.kind == ERR_NONE && n < GULP &&
           (v[n] = window_pop(&s->window, s->taken)) != NULL)
        s->taken = v[n++]->to;
    return n;
}

static bool hash_next(struct intake *in)
{
    struct sink *s = in->sinks;
    struct block *v[GULP];
    struct err e = ERR_INIT;
    unsigned n = 0;

    while (s != NULL && (n = gulp(s, v)) == 0)
        s = s->next;
    if (s == NULL)
        return false;
    hold(s);
    tell_reader(s);
    pthread_mutex_unlock(&in->lock);
    for (unsigned i = 0; i < n; i++)
        hash_add(&s->hash, block_bytes(v[i]), v[i]->to - v[i]->from);
    for (unsigned i = 0; i < n; i++)
        if (v[i]->lent != NULL)
            partial_forget(s->partial, v[i]->to, &e);
    pthread_mutex_lock(&in->lock);
    if (e.kind != ERR_NONE)
        fail(s, &e);
    s->hashed = s->taken;
    for (unsigned i = 0; i < n; i++)
        intake_release(in, v[i]);
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

/* Blocks for what a file misses next, one where the other ends. */
static size_t find_row(
    struct intake *in, struct sink *s, struct block *row[PARTIAL_ROW])
{
    uint64_t at = s->taken, from, to;
    size_t n = 0;

    while (n < PARTIAL_ROW && find_lag(s, at, &from, &to) &&
           (n == 0 || from == at)) {
        if ((row[n] = take_block(in, 0)) == NULL) {
            in->hungry = true;
            break;
        }
        *row[n] = (struct block){ .room = row[n]->room,
            .from = from,
            .to = at = to,
            .sink = s,
            .refs = 1,
            .written = true };
        n++;
    }
    return n;
}

/* Outside of the lock. */
static void get(
    struct partial *p, struct block *const *row, size_t n, struct err *e)
{
    uint64_t from = row[0]->from;
    const uint8_t *lent = partial_lend(p, from, row[n - 1]->to);
    uint8_t *rooms[PARTIAL_ROW];
    bool whole = n > 1;

    for (size_t i = 0; i < n; i++) {
        rooms[i] = row[i]->room;
        whole = whole && is_whole(row[i]);
        if (lent != NULL)
            row[i]->lent = lent + (row[i]->from - from);
    }
    if (lent != NULL || (whole && partial_get_row(p, rooms, n, from)))
        return;
    for (size_t i = 0; i < n; i++)
        if (partial_get(p, rooms[i], row[i]->from, row[i]->to, e) != 0)
            return;
}

static bool read_next(struct intake *in)
{
    struct block *row[PARTIAL_ROW];
    struct sink *s = in->sinks;
    struct err e = ERR_INIT;
    size_t n = 0;

    in->hungry = false;
    while (s != NULL && (n = find_row(in, s, row)) == 0 && !in->hungry)
        s = s->next;
    if (n == 0)
        return false;
    hold(s);
    pthread_mutex_unlock(&in->lock);
    get(s->partial, row, n, &e);
    pthread_mutex_lock(&in->lock);
    s->lent = row[0]->lent != NULL;
    for (size_t i = 0; i < n; i++)
        if (e.kind != ERR_NONE || s->ended ||
            window_add(&s->window, row[i], &e) != 0)
            intake_release(in, row[i]);
    if (e.kind != ERR_NONE)
        fail(s, &e);
    pthread_cond_signal(&in->work[HASHER]);
    let_go(s);
    return true;
}

static void reader(struct intake *in)
{
    slice_short(); /* and for this the hasher */
    while (!in->stop)
        if (!read_next(in))
            pthread_cond_wait(&in->work[READER], &in->lock);
}

/* ---- the scribe ---- */

/*
 * What is left came in less time than since the last save: the sync that ends
 * the file is as near as this one, and would wait for it.
 */
static bool ends_soon(const struct partial *p, uint64_t now)
{
    return p->size - ranges_sum(&p->have) < p->unsaved &&
           now - p->saved_ms < 2 * SAVE_MS;
}

/* The one that waits the longest: a slow disk must get to all of them. */
static struct sink *find_unsaved(struct intake *in, uint64_t now)
{
    struct sink *found = NULL;
    uint64_t oldest = now - size_min(now, SAVE_MS);

    for (struct sink *s = in->sinks; s != NULL; s = s->next) {
        const struct partial *p = s->partial;

        if (s->ended || s->err.kind != ERR_NONE || p->unsaved == 0 ||
            p->saved_ms > oldest || ends_soon(p, now))
            continue;
        found = s;
        oldest = p->saved_ms;
    }
    return found;
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

static void scribe(struct intake *in)
{
    while (!in->stop) {
        struct sink *s = find_unsaved(in, clock_ms());

        if (s != NULL)
            save_next(in, s);
        else
            nap(in, SCRIBE, SCRIBE_NS);
    }
}

void intake_work(struct intake *in, enum role role)
{
    static void (*const loops[ROLES])(
        struct intake *) = { writer, hasher, reader, scribe };

    loops[role](in);
}
