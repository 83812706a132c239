/*
 * The loop of a transfer: one thread, all connections. Each turn hands
 * segments to idle lanes, lets the network run, judges what is over, and
 * names the files that are complete. The bytes go through intake.h.
 */
#include "fetch/transfer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/scope.h"
#include "fetch/transfer_internal.h"

enum {
    TURN_MS = 100,
    /* While it is not known how far away the server is. */
    TURN_SOON_MS = 2,
    TELL_WAIT_S = 2,
    /* All the memory for bytes under way: 40 MiB. */
    BLOCKS = 160,
    /* Enough to leave the hasher its processor, see give_way. */
    MODEST = 5,
    SPARE_MS = 250,
    /* While somebody reads: so soon is shown what is in memory. */
    TURN_WATCHED_MS = WATCH_FLUSH_MS,
    /* Lanes besides, for readers that are far ahead of all others. */
    LANES_AHEAD = 2,
    /* A file that was read in part, and is not any more, is left. */
    LINGER_MS = 5000,
    /* Open files that are not counted one by one. */
    DESCRIPTORS = 32
};

static void transfer_free(struct transfer *t)
{
    watch_drive(t->opts->watch, NULL);
    for (unsigned i = 0; t->lanes != NULL && i < t->jobs; i++) {
        lane_leave(&t->lanes[i], t->http);
        lane_free(&t->lanes[i]);
    }
    for (size_t i = 0; i < t->n_active; i++) {
        download_close(t->active[i]);
        free(t->active[i]);
    }
    batch_free(&t->batch);
    intake_close(t->intake);
    free((void *)t->active);
    free(t->lanes);
}

static void wake(void *arg)
{
    http_wake(arg);
}

/*
 * So much at a time that descriptors do not run out: two for a connection,
 * four for a file on its way, three for one that waits for its name.
 */
static void share_descriptors(struct transfer *t)
{
    struct rlimit r = { .rlim_cur = 0 };
    size_t spare;

    getrlimit(RLIMIT_NOFILE, &r);
    spare = r.rlim_cur > DESCRIPTORS ? r.rlim_cur - DESCRIPTORS : 0;
    t->jobs = (unsigned)size_min(t->jobs, size_max(1, spare / 8));
    spare -= size_min(spare, 2 * (size_t)t->jobs);
    t->max_active = size_min(2 * (size_t)t->jobs + 2, size_max(1, spare / 8));
    t->batch.most = size_max(1, spare / 6);
}

static int transfer_init(struct transfer *t, struct err *e)
{
    struct intake_opts io = { .blocks = t->opts->blocks > 0 ? t->opts->blocks
                                                            : BLOCKS,
        .lanes = 1,
        .wake = wake };
    uint64_t now = clock_ms();
    unsigned most;

    t->http = hub_http(t->opts->hub, e);
    if (t->http == NULL)
        return -1;
    io.arg = t->http;
    t->intake = intake_open(&io, e);
    if (t->intake == NULL)
        return -1;
    t->jobs = t->opts->jobs > 0 ? t->opts->jobs : TUNER_MOST;
    most = t->jobs;
    if (t->opts->watch != NULL)
        t->jobs += LANES_AHEAD;
    share_descriptors(t);
    t->active = calloc(t->max_active, sizeof(*t->active));
    t->lanes = calloc(t->jobs, sizeof(*t->lanes));
    if (t->active == NULL || t->lanes == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    t->tuner = tuner_begin((unsigned)size_min(t->jobs, most), now);
    t->pace = pace_begin(t->opts->limit_rate, now);
    t->retry = retry_begin(
        t->opts->first_s > 0 ? t->opts->first_s : t->opts->hub->retry_s, now);
    for (unsigned i = 0; i < t->jobs; i++) {
        t->lanes[i] = (struct lane)LANE_INIT;
        t->lanes[i].retry = &t->retry;
        t->lanes[i].pace = &t->pace;
    }
    watch_drive(t->opts->watch, t->http);
    return 0;
}

static struct download *take_out(struct transfer *t, size_t i)
{
    struct download *d = t->active[i];

    memmove((void *)(t->active + i), (void *)(t->active + i + 1),
        (--t->n_active - i) * sizeof(*t->active));
    return d;
}

static int give_up(
    const struct transfer *t, const struct lane *l, struct err *e)
{
    *e = l->err;
    if (e->kind == ERR_NET && l->wait_s == 0) {
        err_ctx(e, "no new byte for %llu s",
            (unsigned long long)((clock_ms() - t->retry.good_ms) / 1000));
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
    if (l->brought == 0 && t->busy > 1)
        tuner_refused(&t->tuner, now, t->busy - 1);
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

/*
 * A server that ignores ranges sends the whole file over one lane: the
 * others leave it. What they had not fetched is in that lane's segment.
 */
static void leave_streams(struct transfer *t)
{
    for (unsigned i = 0; i < t->jobs; i++) {
        struct lane *l = &t->lanes[i];
        bool alone = true;

        if (l->d == NULL || !l->d->stream || l->d->lanes == 1)
            continue;
        for (unsigned j = 0; j < i; j++)
            alone = alone && t->lanes[j].d != l->d;
        if (!l->streams || !alone) {
            t->bytes += l->brought;
            lane_leave(l, t->http);
        }
    }
}

/* Until it is known: how far away are the files? */
static void measure(struct transfer *t)
{
    uint64_t us;

    t->dials = false;
    for (unsigned i = 0; i < t->jobs && !t->measured; i++) {
        const struct lane *l = &t->lanes[i];
        enum http_way way =
            l->d != NULL ? http_way(&l->call, &us) : HTTP_WAY_UNKNOWN;

        t->measured = way == HTTP_WAY_KNOWN;
        if (way == HTTP_WAY_UNKNOWN || (way == HTTP_WAY_LONGER && l->at_hub))
            continue;
        t->dials = way == HTTP_WAY_LONGER;
        if (t->measured || us >= TUNER_FAR_US)
            tuner_rtt(&t->tuner, us);
    }
}

/* Lanes that had to wait for memory, or for the rate, go on. */
static void resume(struct transfer *t)
{
    bool room = intake_room(t->intake);

    for (unsigned i = 0; i < t->jobs; i++)
        if (t->lanes[i].d != NULL && t->lanes[i].paused && room &&
            pace_wait_ms(&t->pace, clock_ms()) == 0)
            lane_resume(&t->lanes[i]);
}

/*
 * One core hashes, which takes as long as all of it may. Receiving what then
 * has to wait would only take that core's time, and so would a server on
 * this machine, which runs where its client does. There is no way back, but
 * the thread ends with the transfer.
 */
static void give_way(struct transfer *t)
{
    if (t->modest || !intake_behind(t->intake))
        return;
    t->modest = true;
    errno = 0;
    if (getpriority(PRIO_PROCESS, (id_t)gettid()) < MODEST && errno == 0)
        setpriority(PRIO_PROCESS, (id_t)gettid(), MODEST);
}

static void tune(struct transfer *t)
{
    uint64_t bytes = t->bytes, now = clock_ms();
    bool full = t->busy >= t->tuner.want && t->pace.rate == 0;

    for (unsigned i = 0; i < t->jobs; i++) {
        const struct lane *l = &t->lanes[i];

        bytes += l->d != NULL ? l->brought : 0;
        full = full && !(l->d != NULL && l->paused);
    }
    t->brought = bytes;
    if (bytes > 0)
        t->retry.limit_ms = t->opts->hub->retry_s * 1000;
    if (now - t->spare.at_ns / 1000000 >= SPARE_MS)
        t->has_spare = spare_look(&t->spare);
    tuner_look(&t->tuner, now, bytes, full, t->has_spare);
}

static int run_network(struct transfer *t, unsigned ms, struct err *e)
{
    struct http_call *c = http_wait(t->http, ms);

    for (; c != NULL; c = http_wait(t->http, 0))
        if (judge(t, c->arg, e) != 0)
            return -1;
    leave_streams(t);
    resume(t);
    give_way(t);
    tune(t);
    if (!t->measured)
        measure(t);
    return 0;
}

static int publish(struct transfer *t, size_t i, struct err *e)
{
    struct download *d = t->active[i];

    retry_good(&t->retry, clock_ms());
    if (d->held || d->file->file->size <= BATCH_FILE_MAX) {
        batch_add(&t->batch, take_out(t, i), clock_ms());
        return batch_due(&t->batch, clock_ms()) ? batch_flush(&t->batch, e) : 0;
    }
    if (download_finish(d, e) != 0)
        return -1;
    download_close(take_out(t, i));
    free(d);
    return 0;
}

/* The last byte is there and hashed. Wrong once is tried again. */
static int complete(struct transfer *t, size_t i, struct err *e)
{
    struct download *d = t->active[i];

    if (download_seal(d, e) == 0) {
        watch_right(t->opts->watch);
        return publish(t, i, e);
    }
    if (e->kind != ERR_CORRUPT)
        return -1;
    watch_doubt(t->opts->watch);
    partial_drop(&d->partial); /* of which nothing is left when they hear it */
    watch_wrong(t->opts->watch);
    if (d->mismatches++ == 0) {
        log_warn("%s; fetching it again", e->msg);
        err_clear(e);
        return download_restart(d, e);
    }
    return err_hint(e, "the server sent wrong bytes twice: nothing was kept "
                       "of them; try again later or from another network");
}

static int look_after(struct transfer *t, struct err *e)
{
    for (size_t i = t->n_active; i-- > 0;) {
        struct download *d = t->active[i];
        enum sink_state state = d->held ? SINK_DONE : sink_look(&d->sink, e);

        claim_keep(&d->claim, d->partial.fd, clock_ms());
        if (state == SINK_BROKEN ||
            (state == SINK_DONE && d->lanes == 0 && complete(t, i, e) != 0))
            return -1;
    }
    return batch_due(&t->batch, clock_ms()) ? batch_flush(&t->batch, e) : 0;
}

/* How long a turn may sleep: not while there is other work. */
static unsigned turn_ms(struct transfer *t)
{
    uint64_t usual = t->opts->watch != NULL ? TURN_WATCHED_MS : TURN_MS;
    uint64_t ms = t->dials && !t->measured ? TURN_SOON_MS : usual;
    uint64_t wait = pace_wait_ms(&t->pace, clock_ms());

    for (size_t i = 0; i < t->n_active; i++)
        if (t->active[i]->held)
            return 0;
    return (unsigned)size_min(ms, wait > 0 ? wait : ms);
}

/*
 * What its readers cause, and do not: shown early, room for all once one wants
 * it, and left when they left.
 */
static int look_at_readers(struct transfer *t, struct err *e)
{
    for (size_t i = 0; i < t->n_active; i++)
        if (t->active[i]->partial.thin && watch_whole(t->opts->watch) &&
            partial_reserve(&t->active[i]->partial, e) != 0)
            return -1;
    for (unsigned i = 0; i < t->jobs; i++)
        lane_show(&t->lanes[i]);
    return watch_spent(t->opts->watch, clock_ms(), LINGER_MS)
               ? err_set(e, ERR_CANCELLED, "nobody reads it any more")
               : 0;
}

static int run(struct transfer *t, struct err *e)
{
    while (t->next < t->plan->n_fetch || t->n_active > 0) {
        if (cancel_check(e) != 0 || look_at_readers(t, e) != 0 ||
            transfer_feed(t, e) != 0 || run_network(t, turn_ms(t), e) != 0 ||
            look_after(t, e) != 0)
            return -1;
    }
    return 0;
}

/* What goes to its thread and comes back. */
struct job {
    const struct transfer_opts *opts;
    const struct plan *plan;
    struct scope *scope;
    uint64_t bytes;
    struct err e;
};

static void *run_job(void *arg)
{
    struct job *j = arg;
    struct transfer t AUTO(
        transfer_free) = { .opts = j->opts, .plan = j->plan };

    scope_enter(j->scope);
    pthread_setname_np(pthread_self(), "ml-network");
    if (transfer_init(&t, &j->e) != 0)
        return NULL;
    if (run(&t, &j->e) != 0 && j->e.kind == ERR_CANCELLED)
        err_hint(&j->e, "what was fetched is kept: run the same command "
                        "again to go on");
    /* Whatever ended it: these are complete. */
    batch_flush(&t.batch, &j->e);
    for (unsigned i = 0; i < t.jobs; i++)
        if (t.lanes[i].d != NULL)
            t.bytes += t.lanes[i].brought;
    j->bytes = t.bytes;
    return NULL;
}

int transfer_run(const struct transfer_opts *opts, const struct plan *plan,
    uint64_t *out_bytes, struct err *e)
{
    struct job job = {
        .opts = opts, .plan = plan, .scope = scope_now(), .e = ERR_INIT
    };
    pthread_t thread;

    *out_bytes = 0;
    if (plan->n_fetch == 0)
        return 0;
    errno = pthread_create(&thread, NULL, run_job, &job);
    if (errno != 0)
        return err_sys(e, "cannot start a thread");
    pthread_join(thread, NULL);
    *out_bytes = job.bytes;
    if (job.e.kind != ERR_NONE)
        *e = job.e;
    return job.e.kind == ERR_NONE ? 0 : -1;
}
