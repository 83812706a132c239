/* The owner's side: threads begun and ended, sinks, bytes handed over. */
#include "fetch/intake_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"

/* ---- life ---- */

struct start {
    struct intake *in;
    enum role role;
    struct scope *scope;
};

static void *thread(void *arg)
{
    static const char *const names[ROLES] = { "ml-writer", "ml-hasher",
        "ml-reader", "ml-scribe" };
    struct start start = *(struct start *)arg;
    struct intake *in = start.in;

    free(arg);
    scope_enter(start.scope);
    pthread_setname_np(pthread_self(), names[start.role]);
    pthread_mutex_lock(&in->lock);
    intake_work(in, start.role);
    pthread_mutex_unlock(&in->lock);
    return NULL;
}

static int start_thread(struct intake *in, enum role role, struct err *e)
{
    struct start *start = malloc(sizeof(*start));

    if (start == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    *start = (struct start){ in, role, scope_now() };
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
    if (slab_open(&in->slab, opts->blocks, e) == 0)
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
    if (lanes < in->opts.lanes)
        pthread_cond_signal(&in->work[WRITER]);
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

bool intake_behind(struct intake *in)
{
    bool behind;

    pthread_mutex_lock(&in->lock);
    behind = in->behind;
    pthread_mutex_unlock(&in->lock);
    return behind;
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
    else
        b = intake_take(in);
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
        if (from != block_at(*b, *at))
            memcpy(block_at(*b, *at), from, stop - *at);
        *out_new += stop - *at;
        from += stop - *at;
        *at = (*b)->to = stop;
        if (stop == block_end((*b)->from) || stop == s->partial->size)
            sink_flush(s, b);
    }
    return SINK_ALL;
}

void *sink_room(struct sink *s, struct block **b, uint64_t at, size_t *len)
{
    uint64_t stop =
        ranges_next(&s->got, at, size_min(at + *len, block_end(at)));
    struct err e = ERR_INIT;

    if (stop == at || (*b != NULL && (*b)->to != at))
        return NULL;
    if (*b == NULL)
        *b = next_block(s, at, &e);
    if (*b != NULL)
        *len = stop - at;
    else if (e.kind == ERR_NONE)
        *len = 0;
    return *b != NULL ? block_at(*b, at) : NULL;
}

void sink_flush(struct sink *s, struct block **b)
{
    if (*b == NULL)
        return;
    pthread_mutex_lock(&s->in->lock);
    s->in->in_hand--;
    if ((*b)->from < (*b)->to) {
        intake_submit(s, *b);
    } else {
        (*b)->refs = 1;
        intake_release(s->in, *b);
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

void sink_end(struct sink *s)
{
    struct intake *in = s->in;
    struct sink **at;

    if (in == NULL)
        return;
    pthread_mutex_lock(&in->lock);
    s->ended = true;
    while (s->queued > 0 || s->busy > 0)
        pthread_cond_wait(&in->idle, &in->lock);
    for (at = &in->sinks; *at != s; at = &(*at)->next)
        ;
    *at = s->next;
    while (s->window.n > 0)
        intake_release(in, s->window.v[--s->window.n]);
    pthread_mutex_unlock(&in->lock);
    s->in = NULL;
}

void sink_free(struct sink *s)
{
    window_free(&s->window);
    hash_free(&s->hash);
    ranges_free(&s->got);
}
