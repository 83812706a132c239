/*
 * What idle lanes are given to do: the segments of the files under way, the
 * next file of the plan, and, when nothing is left to ask for, a share of what
 * another lane has before it.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "fetch/transfer_internal.h"

/* How often another process's lock is asked for. */
enum { ASK_MS = 50 };

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
    return download_open(d, o, t->intake, f, lock, e);
}

/*
 * A segment of a file under way, the oldest file first. -1: NOMEM, 0: none,
 * 1: one of *d is in *out.
 */
static int take(
    struct transfer *t, struct download **d, struct segment *out, struct err *e)
{
    uint64_t now = clock_ms();

    for (size_t i = 0; i < t->n_active; i++) {
        uint64_t piece;
        int rc;

        *d = t->active[i];
        if ((*d)->location == NULL && now < t->hub_hold_ms)
            continue;
        piece = tuner_piece(&t->tuner, download_todo(*d), TUNER_MEMORY);
        rc = download_take(*d, now, piece, out, e);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* 1: the lane is at work, 0: there is no work, -1: *e. */
static int feed_lane(struct transfer *t, struct lane *l, struct err *e)
{
    struct segment seg;
    struct download *d;
    int rc = take(t, &d, &seg, e);

    while (rc == 0 && t->next < t->plan->n_fetch &&
           t->n_active < t->max_active && clock_ms() >= t->hub_hold_ms) {
        rc = activate(t, e);
        if (rc != 0)
            return rc < 0 ? -1 : 0;
        rc = take(t, &d, &seg, e);
    }
    if (rc <= 0)
        return rc;
    if (lane_begin(l, d, seg, e) != 0 || lane_send(l, t->http, e) != 0)
        return -1;
    t->busy++;
    return 1;
}

/* A lane that others wait for, though it brings nothing; or NULL. */
static struct lane *find_silent(struct transfer *t)
{
    uint64_t now = clock_ms();

    for (unsigned i = 0; i < t->jobs; i++) {
        struct lane *l = &t->lanes[i];

        if (l->d != NULL && l->d->resolved && !l->d->stream && !l->paused &&
            tuner_silent(&t->tuner, now - l->heard_ms, l->seg.attempts))
            return l;
    }
    return NULL;
}

/* The lane that would be the last to end; NULL: no help is worth it. */
static struct lane *find_last(struct transfer *t, uint64_t *at)
{
    uint64_t now = clock_ns();
    struct lane *last = NULL;
    double longest = 0;

    for (unsigned i = 0; i < t->jobs; i++) {
        struct lane *l = &t->lanes[i];
        uint64_t ns = now - l->sent_ns, share;
        double left;

        if (l->d == NULL || l->d->stream || !l->checked || l->paused)
            continue;
        left = (double)(l->seg.to - l->seg.from) * (double)ns /
               (double)(l->brought + 1);
        share = tuner_share(
            &t->tuner, l->seg.from, l->seg.to, l->brought, ns / 1000000);
        if (share == l->seg.to || left <= longest)
            continue;
        longest = left;
        last = l;
        *at = share;
    }
    return last;
}

/*
 * Lanes are idle, and nothing is left to ask for: the lane that would be the
 * last to end gives some of its segment away, and one that is silent, all of
 * it. 1, 0: there is none, or -1: *e.
 */
static int relieve(struct transfer *t, struct err *e)
{
    struct lane *l = find_silent(t);
    uint64_t at;

    if (l != NULL) {
        http_stop(t->http, &l->call);
        t->bytes += l->brought;
        t->busy--;
        return lane_rest(l, 0, e) != 0 ? -1 : 1;
    }
    l = find_last(t, &at);
    if (l == NULL)
        return 0;
    return lane_share(l, at, e) != 0 ? -1 : 1;
}

/* Is another lane worth it? Not if only a new connection could carry it. */
static bool worth(const struct transfer *t)
{
    uint64_t all = t->plan->fetch_bytes;

    return t->busy < t->peak ||
           tuner_dial(&t->tuner, all - size_min(all, t->brought));
}

/*
 * Does a reader stand before bytes that no lane is at? Where nobody needs any
 * more for now, no byte comes, and that is not the server's fault.
 */
static bool urgent(struct transfer *t)
{
    bool now = false;

    for (size_t i = 0; i < t->n_active && t->opts->watch != NULL; i++)
        if (!download_wanted(t->active[i], &now) && t->busy == 0)
            retry_good(&t->retry, clock_ms());
    return now;
}

int transfer_feed(struct transfer *t, struct err *e)
{
    unsigned full = 0, was = t->busy;
    bool ahead = urgent(t);
    int rc = 1;

    t->busy = 0;
    for (unsigned i = 0; i < t->jobs; i++) {
        const struct lane *l = &t->lanes[i];

        t->busy += l->d != NULL;
        full += l->d != NULL &&
                !(l->brought > 0 &&
                    tuner_ending(&t->tuner, l->seg.to - l->seg.from));
    }
    for (unsigned i = 0; i < t->jobs && rc > 0; i++) {
        if (full >= t->tuner.want && !ahead)
            break;
        if (t->lanes[i].d != NULL || (!worth(t) && !ahead))
            continue;
        ahead = ahead && full < t->tuner.want;
        rc = feed_lane(t, &t->lanes[i], e);
        if (rc == 0 && t->next == t->plan->n_fetch && t->pace.rate == 0) {
            rc = relieve(t, e);
            if (rc > 0)
                rc = feed_lane(t, &t->lanes[i], e);
        }
        full += rc > 0;
    }
    t->peak = (unsigned)size_max(t->peak, t->busy);
    if (t->busy != was)
        intake_lanes(t->intake, (unsigned)size_max(1, t->busy));
    return rc < 0 ? -1 : 0;
}
