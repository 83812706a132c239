#include "serve/traffic.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"

enum {
    ESTABLISHED = 1, /* of the kernel's states */
    LEFT_MS = 1000
};

enum phase { PHASE_HEAD, PHASE_WORK, PHASE_SEND };

struct passage {
    struct passage *next, **at;
    int fd;
    char peer[TRAFFIC_PEER_MAX];
    enum phase phase;
    bool held_up;
    bool shut;
    bool left;
    uint64_t since_ms; /* of the phase */
    uint64_t acked;    /* when looked at last */
    uint64_t start;    /* acked when the answer began */
    uint64_t mark, mark_ms;
    double rate;
    char name[TRAFFIC_NAME_MAX];
    uint64_t size;
};

struct traffic {
    pthread_mutex_t lock;
    struct passage *first;
    struct tally tally;
    uint64_t begun_ms, ticked_ms, timeout_ms;
    uint64_t second; /* bytes since the last tick */
    unsigned at;     /* in the history: the next */
};

const char *const traffic_kind_names[] = { [ROUTE_BAD] = "bad",
    [ROUTE_NOWHERE] = "outside",
    [ROUTE_OTHER] = "other",
    [ROUTE_METHOD] = "method",
    [ROUTE_NO_REPO] = "no_repo",
    [ROUTE_NO_REVISION] = "no_revision",
    [ROUTE_RESOLVE] = "resolve",
    [ROUTE_INFO] = "info",
    [ROUTE_TREE] = "tree",
    [ROUTE_REFS] = "refs",
    [ROUTE_PATHS_INFO] = "paths_info",
    [ROUTE_COMMITS] = "commits",
    [ROUTE_AUTH_CHECK] = "auth_check",
    [ROUTE_XET] = "xet",
    [ROUTE_WHOAMI] = "whoami",
    [ROUTE_TELEMETRY] = "telemetry",
    [ROUTE_HEALTH] = "health",
    [ROUTE_METRICS] = "metrics",
    [ROUTE_PAGE] = "page" };

const unsigned traffic_codes[] = { 200, 204, 206, 304, 400, 401, 403, 404, 405,
    411, 413, 416, 429, 500, 501, 503, 504, 0 };

struct traffic *traffic_open(unsigned timeout_s, struct err *e)
{
    struct traffic *t = calloc(1, sizeof(*t));

    if (t == NULL) {
        err_set(e, ERR_NOMEM, "no memory for the counters");
        return NULL;
    }
    pthread_mutex_init(&t->lock, NULL);
    t->begun_ms = t->ticked_ms = clock_ms();
    t->timeout_ms = (uint64_t)timeout_s * 1000;
    return t;
}

void traffic_close(struct traffic *t)
{
    if (t == NULL)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t);
}

const char *passage_peer(const struct passage *p)
{
    return p->peer;
}

struct passage *traffic_come(struct traffic *t, int fd, const char *peer)
{
    struct passage *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    p->fd = fd;
    snprintf(p->peer, sizeof(p->peer), "%s", peer);
    p->since_ms = clock_ms();
    pthread_mutex_lock(&t->lock);
    p->next = t->first;
    p->at = &t->first;
    if (p->next != NULL)
        p->next->at = &p->next;
    t->first = p;
    t->tally.connections++;
    t->tally.connections_total++;
    pthread_mutex_unlock(&t->lock);
    return p;
}

/* What the other end has got since it was looked at last; locked. */
static void look(struct traffic *t, struct passage *p)
{
    struct tcp_info info = { .tcpi_bytes_acked = 0 };
    socklen_t n = sizeof(info);

    if (getsockopt(p->fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
        return;
    p->left = info.tcpi_state != ESTABLISHED;
    if (info.tcpi_bytes_acked <= p->acked)
        return;
    t->second += info.tcpi_bytes_acked - p->acked;
    t->tally.sent += info.tcpi_bytes_acked - p->acked;
    p->acked = info.tcpi_bytes_acked;
}

void traffic_go(struct traffic *t, struct passage *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&t->lock);
    look(t, p);
    *p->at = p->next;
    if (p->next != NULL)
        p->next->at = p->at;
    t->tally.connections--;
    pthread_mutex_unlock(&t->lock);
    free(p);
}

bool traffic_left(struct traffic *t, const struct passage *p)
{
    bool left;

    pthread_mutex_lock(&t->lock);
    left = p->left;
    pthread_mutex_unlock(&t->lock);
    return left;
}

static void enter(struct passage *p, enum phase phase)
{
    p->phase = phase;
    p->since_ms = clock_ms();
    p->held_up = false;
}

void traffic_begin(struct traffic *t, struct passage *p)
{
    pthread_mutex_lock(&t->lock);
    enter(p, PHASE_WORK);
    pthread_mutex_unlock(&t->lock);
}

void traffic_send(struct traffic *t, struct passage *p, const char *name,
    uint64_t size, enum response_from from)
{
    pthread_mutex_lock(&t->lock);
    look(t, p);
    enter(p, PHASE_SEND);
    p->start = p->mark = p->acked;
    p->mark_ms = p->since_ms;
    p->rate = 0;
    p->size = size;
    snprintf(p->name, sizeof(p->name), "%s", name);
    t->tally.hits += from == RESPONSE_HELD;
    t->tally.misses += from == RESPONSE_FETCHED;
    pthread_mutex_unlock(&t->lock);
}

void traffic_held_up(struct traffic *t, struct passage *p, bool yes)
{
    pthread_mutex_lock(&t->lock);
    if (p->held_up != yes) {
        p->held_up = yes;
        p->mark = p->acked;
        p->mark_ms = clock_ms();
    }
    pthread_mutex_unlock(&t->lock);
}

void traffic_end(struct traffic *t, struct passage *p, enum route_kind kind,
    unsigned status, bool whole)
{
    unsigned code = 0;

    while (code + 1 < TRAFFIC_CODES && traffic_codes[code] != status)
        code++;
    pthread_mutex_lock(&t->lock);
    t->tally.requests[kind][code]++;
    t->tally.requests_total++;
    t->tally.cut += !whole;
    if (p != NULL)
        enter(p, PHASE_HEAD);
    pthread_mutex_unlock(&t->lock);
}

/*
 * Who takes up room. Its thread sees the end of the connection, and closes:
 * the end that a client has sent it overlooks where that came with a request.
 */
static bool overstays(
    const struct traffic *t, const struct passage *p, uint64_t now)
{
    if (p->phase == PHASE_HEAD)
        return now - p->since_ms > (p->left ? LEFT_MS : t->timeout_ms);
    return p->phase == PHASE_SEND && !p->held_up &&
           now - p->mark_ms > t->timeout_ms &&
           p->acked - p->mark < t->timeout_ms / 1000 * TRAFFIC_SLOW;
}

static void tick_one(
    struct traffic *t, struct passage *p, uint64_t now, double seconds)
{
    uint64_t before = p->acked;

    look(t, p);
    p->rate = p->rate * 0.7 + (double)(p->acked - before) / seconds * 0.3;
    if (!p->shut && overstays(t, p, now)) {
        p->shut = true;
        t->tally.let_go++;
        shutdown(p->fd, SHUT_RDWR);
    }
    if (now - p->mark_ms > t->timeout_ms) {
        p->mark = p->acked;
        p->mark_ms = now;
    }
}

void traffic_tick(struct traffic *t)
{
    uint64_t now;
    double seconds;

    pthread_mutex_lock(&t->lock);
    now = clock_ms(); /* no passage is of a later time */
    seconds = (double)size_max(now - t->ticked_ms, 1) / 1000.0;
    for (struct passage *p = t->first; p != NULL; p = p->next)
        tick_one(t, p, now, seconds);
    t->ticked_ms = now;
    t->tally.rate = t->tally.rate * 0.7 + (double)t->second / seconds * 0.3;
    t->tally.history[t->at] = (uint64_t)((double)t->second / seconds);
    t->at = (t->at + 1) % TRAFFIC_HISTORY;
    t->second = 0;
    pthread_mutex_unlock(&t->lock);
}

unsigned traffic_busy(struct traffic *t)
{
    unsigned n = 0;

    pthread_mutex_lock(&t->lock);
    for (const struct passage *p = t->first; p != NULL; p = p->next)
        n += p->phase != PHASE_HEAD;
    pthread_mutex_unlock(&t->lock);
    return n;
}

unsigned traffic_shut(struct traffic *t)
{
    unsigned n = 0;

    pthread_mutex_lock(&t->lock);
    for (struct passage *p = t->first; p != NULL; p = p->next, n++)
        if (!p->shut) {
            p->shut = true;
            shutdown(p->fd, SHUT_RDWR);
        }
    pthread_mutex_unlock(&t->lock);
    return n;
}

/* Where it belongs among the largest, if it does. */
static void add_sending(struct tally *out, const struct passage *p)
{
    unsigned i = out->n_sending;

    out->sending_total++;
    while (i > 0 && out->sending[i - 1].size < p->size)
        i--;
    if (i == TRAFFIC_SENDING)
        return;
    if (out->n_sending < TRAFFIC_SENDING)
        out->n_sending++;
    memmove(&out->sending[i + 1], &out->sending[i],
        (out->n_sending - i - 1) * sizeof(out->sending[0]));
    out->sending[i] = (struct sending){
        .size = p->size,
        .sent = size_min(p->acked - p->start, p->size),
        .rate = p->rate,
    };
    memcpy(out->sending[i].peer, p->peer, sizeof(p->peer));
    memcpy(out->sending[i].name, p->name, sizeof(p->name));
}

void traffic_tally(struct traffic *t, struct tally *out)
{
    pthread_mutex_lock(&t->lock);
    *out = t->tally;
    for (unsigned i = 0; i < TRAFFIC_HISTORY; i++)
        out->history[i] = t->tally.history[(t->at + i) % TRAFFIC_HISTORY];
    for (const struct passage *p = t->first; p != NULL; p = p->next)
        if (p->phase == PHASE_SEND && p->name[0] != '\0')
            add_sending(out, p);
    out->up_s = (double)(clock_ms() - t->begun_ms) / 1000.0;
    pthread_mutex_unlock(&t->lock);
}
