/*
 * The loop of a transfer: one thread, all connections. Each turn hands
 * segments to idle lanes, lets the network run, judges what is over, feeds
 * digests that lag behind from disk, and keeps the journals up to date.
 */
#include "fetch/transfer.h"

#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "fetch/lane.h"

enum {
    TURN_MS = 100,
    HASH_CHUNK = 1 << 20, /* read back and hashed per file and turn */
    /* What a loss of power may cost; what a kill may cost: partial_note. */
    SAVE_MS = 1000,
    /* How often another process's lock is asked for. */
    ASK_MS = 50,
    TELL_WAIT_S = 2
};

struct transfer {
    const struct transfer_opts *opts;
    const struct plan *plan;
    struct http *http;
    size_t next; /* file of the plan whose turn is next */
    struct download **active;
    size_t n_active;
    size_t max_active;
    struct lane *lanes; /* opts->jobs of them */
    struct retry retry;
    uint64_t hub_hold_ms; /* the Hub asked for silence until then */
    uint64_t ask_ms;      /* another process has the next file's lock */
    uint64_t bytes;
    void *room; /* HASH_CHUNK bytes */
};

static void transfer_free(struct transfer *t)
{
    for (unsigned i = 0; t->lanes != NULL && i < t->opts->jobs; i++) {
        http_stop(t->http, &t->lanes[i].call);
        lane_free(&t->lanes[i]);
    }
    for (size_t i = 0; i < t->n_active; i++) {
        download_close(t->active[i]);
        free(t->active[i]);
    }
    free((void *)t->active);
    free(t->lanes);
    free(t->room);
}

static int transfer_init(struct transfer *t, struct err *e)
{
    unsigned jobs = t->opts->jobs;

    t->http = hub_http(t->opts->hub, e);
    if (t->http == NULL)
        return -1;
    t->max_active = 2 * (size_t)jobs + 2;
    t->active = calloc(t->max_active, sizeof(*t->active));
    t->lanes = calloc(jobs, sizeof(*t->lanes));
    t->room = malloc(HASH_CHUNK);
    if (t->active == NULL || t->lanes == NULL || t->room == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (unsigned i = 0; i < jobs; i++) {
        t->lanes[i] = (struct lane)LANE_INIT;
        t->lanes[i].retry = &t->retry;
    }
    t->retry = retry_begin(t->opts->hub->retry_s, clock_ms());
    return 0;
}

/*
 * Open the next file of the plan. While there are others, nothing waits for
 * its lock: the connections would stall. Returns 1 when it has to be later.
 */
static int activate(struct transfer *t, struct err *e)
{
    const struct transfer_opts *o = t->opts;
    const struct plan_file *f = &t->plan->files[t->next];
    struct download *d;
    int lock = -1;

    if (t->n_active > 0) {
        if (clock_ms() < t->ask_ms)
            return 1;
        if (hubdir_try_lock(o->dir, o->repo, tree_etag(f->file), &lock, e) != 0)
            return -1;
        t->ask_ms = lock < 0 ? clock_ms() + ASK_MS : 0;
        if (lock < 0)
            return 1;
    }
    d = calloc(1, sizeof(*d));
    if (d == NULL) {
        fd_close(&lock);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    t->next++;
    t->active[t->n_active++] = d;
    return download_open(d, o, f, lock, e);
}

static void retire(struct transfer *t, size_t i)
{
    download_close(t->active[i]);
    free(t->active[i]);
    memmove((void *)(t->active + i), (void *)(t->active + i + 1),
        (--t->n_active - i) * sizeof(*t->active));
}

/* A segment of a file under way, the oldest file first. */
static struct download *take(struct transfer *t, struct segment *out)
{
    uint64_t now = clock_ms();

    for (size_t i = 0; i < t->n_active; i++) {
        struct download *d = t->active[i];

        if (d->location == NULL && now < t->hub_hold_ms)
            continue;
        if (download_take(d, now, out))
            return d;
    }
    return NULL;
}

static int feed_lane(struct transfer *t, struct lane *l, struct err *e)
{
    struct segment seg;
    struct download *d = take(t, &seg);

    while (d == NULL && t->next < t->plan->n_fetch &&
           t->n_active < t->max_active && clock_ms() >= t->hub_hold_ms) {
        int rc = activate(t, e);

        if (rc != 0)
            return rc < 0 ? -1 : 0;
        d = take(t, &seg);
    }
    if (d == NULL)
        return 0;
    return lane_begin(l, d, seg, e) != 0 || lane_send(l, t->http, e) != 0 ? -1
                                                                          : 0;
}

static int feed(struct transfer *t, struct err *e)
{
    for (unsigned i = 0; i < t->opts->jobs; i++)
        if (t->lanes[i].d == NULL && feed_lane(t, &t->lanes[i], e) != 0)
            return -1;
    return 0;
}

static int give_up(
    const struct transfer *t, const struct lane *l, struct err *e)
{
    *e = l->err;
    if (e->kind == ERR_NET && l->wait_s == 0) {
        err_ctx(e, "no new byte for %llu s",
            (unsigned long long)(t->retry.limit_ms / 1000));
        err_hint(e, "what was fetched is kept: run the same command again to "
                    "go on");
    }
    return -1;
}

/* The attempt failed; the next one comes after a while, if at all. */
static int try_again(struct transfer *t, struct lane *l, struct err *e)
{
    uint64_t now = clock_ms();
    unsigned attempt = l->brought > 0 ? 1 : l->seg.attempts + 1;
    uint64_t ms = l->wait_s > 0 ? l->wait_s * 1000
                                : retry_backoff_ms(attempt, retry_dice());

    t->bytes += l->brought;
    /* Several lanes are told to wait at once: that is one wait. */
    if (l->wait_s > 0 && l->at_hub && now < t->hub_hold_ms)
        return lane_rest(l, t->hub_hold_ms, e);
    if (!retry_allowed(&t->retry, now, &ms, l->wait_s > 0))
        return give_up(t, l, e);
    if (l->wait_s > 0 && l->at_hub)
        t->hub_hold_ms = now + ms;
    if (l->wait_s >= TELL_WAIT_S)
        log_warn("%s: going on in %llu s", l->err.msg,
            (unsigned long long)l->wait_s);
    else
        log_debug("%s; trying again", l->err.msg);
    progress_state(l->d->item, l->wait_s > 0 ? "waiting" : "retrying");
    return lane_rest(l, now + ms, e);
}

static int judge(struct transfer *t, struct lane *l, struct err *e)
{
    switch (lane_over(l)) {
    case LANE_MOVED:
        return lane_send(l, t->http, e);
    case LANE_DONE:
        t->bytes += l->brought;
        return lane_rest(l, 0, e);
    case LANE_AGAIN:
        return try_again(t, l, e);
    case LANE_FAILED:
        *e = l->err;
        return -1;
    }
    return err_set(e, ERR_BUG, "a lane ended in no way that is known");
}

static void leave(struct transfer *t, struct lane *l)
{
    http_stop(t->http, &l->call);
    t->bytes += l->brought;
    l->d->lanes--;
    l->d = NULL;
}

/*
 * A server that ignores ranges sends the whole file over one lane: the
 * others leave it. What they had not fetched is in that lane's segment.
 */
static void leave_streams(struct transfer *t)
{
    for (unsigned i = 0; i < t->opts->jobs; i++) {
        struct lane *l = &t->lanes[i];
        bool alone = true;

        if (l->d == NULL || !l->d->stream || l->d->lanes == 1)
            continue;
        for (unsigned j = 0; j < i; j++)
            alone = alone && t->lanes[j].d != l->d;
        if (!l->streams || !alone)
            leave(t, l);
    }
}

static bool is_busy(const struct transfer *t)
{
    for (unsigned i = 0; i < t->opts->jobs; i++)
        if (t->lanes[i].d != NULL)
            return true;
    return false;
}

static int run_network(struct transfer *t, unsigned ms, struct err *e)
{
    struct http_call *c = http_wait(t->http, ms);

    for (; c != NULL; c = http_wait(t->http, 0))
        if (judge(t, c->arg, e) != 0)
            return -1;
    leave_streams(t);
    return 0;
}

/* The last byte is there and hashed. Wrong once is tried again. */
static int complete(struct transfer *t, size_t i, struct err *e)
{
    struct download *d = t->active[i];

    if (download_finish(d, e) == 0) {
        retire(t, i);
        retry_good(&t->retry, clock_ms());
        return 0;
    }
    if (e->kind != ERR_CORRUPT)
        return -1;
    if (d->mismatches++ == 0) {
        log_warn("%s; fetching it again", e->msg);
        err_clear(e);
        return download_restart(d, e);
    }
    partial_drop(&d->partial);
    return err_hint(e, "the server sent wrong bytes twice: nothing was kept "
                       "of them; try again later or from another network");
}

/* Returns whether digests lag behind, so that there is no time to sleep. */
static int look_after(struct transfer *t, bool *lags, struct err *e)
{
    uint64_t now = clock_ms();

    *lags = false;
    for (size_t i = t->n_active; i-- > 0;) {
        struct download *d = t->active[i];
        struct partial *p = &d->partial;

        claim_keep(&d->claim, p->fd, now);
        if (!d->held) {
            if (partial_hash(p, t->room, HASH_CHUNK, e) != 0)
                return -1;
            partial_note(p);
            if (p->unsaved > 0 && now - p->saved_ms >= SAVE_MS &&
                partial_save(p, e) != 0)
                return -1;
            *lags = *lags || partial_lags(p);
        }
        if ((d->held || (partial_done(p) && d->lanes == 0)) &&
            complete(t, i, e) != 0)
            return -1;
    }
    return 0;
}

/* How long a turn may sleep: not while there is other work. */
static unsigned turn_ms(const struct transfer *t, bool lags)
{
    bool waits = false;

    for (size_t i = 0; i < t->n_active; i++)
        waits = waits || t->active[i]->n_todo > 0;
    return lags || (!is_busy(t) && !waits) ? 0 : TURN_MS;
}

static int run(struct transfer *t, struct err *e)
{
    bool lags = false;

    while (t->next < t->plan->n_fetch || t->n_active > 0) {
        if (cancel_check(e) != 0 || feed(t, e) != 0 ||
            run_network(t, turn_ms(t, lags), e) != 0 ||
            look_after(t, &lags, e) != 0)
            return -1;
    }
    return 0;
}

int transfer_run(const struct transfer_opts *opts, const struct plan *plan,
    uint64_t *out_bytes, struct err *e)
{
    struct transfer t AUTO(transfer_free) = { .opts = opts, .plan = plan };

    *out_bytes = 0;
    if (plan->n_fetch == 0)
        return 0;
    if (transfer_init(&t, e) != 0)
        return -1;
    if (run(&t, e) != 0 && e->kind == ERR_CANCELLED)
        err_hint(e, "what was fetched is kept: run the same command again to "
                    "go on");
    for (unsigned i = 0; i < opts->jobs; i++)
        if (t.lanes[i].d != NULL)
            t.bytes += t.lanes[i].brought;
    *out_bytes = t.bytes;
    return e->kind == ERR_NONE ? 0 : -1;
}
