#include "fetch/watch.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "net/http.h"

void watch_init(struct watch *w, uint64_t size, uint64_t held_back)
{
    *w = (struct watch){ .size = size,
        .held_back = size_min(size, held_back),
        .whole = size == 0, /* no reader of it would lack a byte */
        .fds = { -1, -1 },
        .have = RANGES_INIT,
        .err = ERR_INIT,
        .left_ms = clock_ms() };
    pthread_mutex_init(&w->lock, NULL);
}

void watch_free(struct watch *w)
{
    for (unsigned i = 0; i < WATCH_ROUNDS; i++)
        fd_close(&w->fds[i]);
    ranges_free(&w->have);
    pthread_mutex_destroy(&w->lock);
}

/* ---- under the lock ---- */

/* What came before, it has read of another file. */
static bool misled(const struct watch *w, const struct watch_reader *r)
{
    return r->round != 0 && (r->round != w->round || w->wrong);
}

/* Up to here bytes are given out. */
static uint64_t limit(const struct watch *w)
{
    return w->right ? w->size : w->size - w->held_back;
}

static uint64_t there(const struct watch *w, const struct watch_reader *r)
{
    uint64_t end = size_min(ranges_end(&w->have, r->at), limit(w));

    return w->round > 0 && !w->wrong && end > r->at ? end - r->at : 0;
}

static bool has_word(const struct watch *w, const struct watch_reader *r)
{
    return w->over || misled(w, r) || there(w, r) > 0;
}

static void tell(struct watch_reader *r)
{
    r->waits = false;
    r->wake(r);
}

static void tell_all(struct watch *w)
{
    for (struct watch_reader *r = w->readers; r != NULL; r = r->next)
        if (r->waits && has_word(w, r))
            tell(r);
}

/* ---- readers ---- */

bool watch_join(struct watch *w, struct watch_reader *r)
{
    bool joined;

    pthread_mutex_lock(&w->lock);
    joined = !w->closing;
    if (joined) {
        r->round = 0;
        r->waits = false;
        r->next = w->readers;
        w->readers = r;
        w->whole = w->whole || r->to > w->size - w->held_back;
        if (w->http != NULL)
            http_wake(w->http);
    }
    pthread_mutex_unlock(&w->lock);
    return joined;
}

void watch_leave(struct watch *w, struct watch_reader *r)
{
    struct watch_reader **at = &w->readers;

    pthread_mutex_lock(&w->lock);
    while (*at != NULL && *at != r)
        at = &(*at)->next;
    if (*at != NULL)
        *at = r->next;
    if (w->readers == NULL)
        w->left_ms = clock_ms();
    pthread_mutex_unlock(&w->lock);
}

int64_t watch_look(struct watch *w, struct watch_reader *r, uint64_t at,
    int *fd, struct err *e)
{
    int64_t n = 0;

    pthread_mutex_lock(&w->lock);
    r->at = at;
    if (misled(w, r))
        n = err_set(
            e, ERR_CORRUPT, "what was read of it does not have its digest");
    else
        n = (int64_t)there(w, r);
    if (n == 0 && w->over) {
        *e = w->err;
        n = err_set(e, ERR_NET, "its transfer has ended");
    }
    if (n > 0) {
        r->round = w->round;
        *fd = w->fds[w->round - 1];
    }
    pthread_mutex_unlock(&w->lock);
    return n;
}

void watch_wait(struct watch *w, struct watch_reader *r, uint64_t at)
{
    pthread_mutex_lock(&w->lock);
    r->at = at;
    r->waits = true;
    if (has_word(w, r))
        tell(r);
    else if (w->http != NULL)
        http_wake(w->http);
    pthread_mutex_unlock(&w->lock);
}

void watch_unwait(struct watch *w, struct watch_reader *r)
{
    pthread_mutex_lock(&w->lock);
    r->waits = false;
    pthread_mutex_unlock(&w->lock);
}

bool watch_doubtful(struct watch *w)
{
    bool doubtful;

    pthread_mutex_lock(&w->lock);
    doubtful = w->round > 1 || w->wrong;
    pthread_mutex_unlock(&w->lock);
    return doubtful;
}

uint64_t watch_sum(struct watch *w)
{
    uint64_t sum;

    pthread_mutex_lock(&w->lock);
    sum = ranges_sum(&w->have);
    pthread_mutex_unlock(&w->lock);
    return sum;
}

/* ---- the transfer ---- */

static int new_round(struct watch *w, int fd, struct err *e)
{
    if (fd < 0)
        return err_sys(e, "cannot open it a second time");
    if (w->round == WATCH_ROUNDS) {
        close(fd);
        return err_set(e, ERR_BUG, "a file is fetched more often than watched");
    }
    w->fds[w->round++] = fd;
    ranges_free(&w->have);
    w->right = false;
    w->wrong = false;
    return 0;
}

int watch_begin(struct watch *w, struct partial *p, struct err *e)
{
    int rc;

    pthread_mutex_lock(&w->lock);
    rc = new_round(w, fcntl(p->fd, F_DUPFD_CLOEXEC, 0), e);
    if (rc == 0)
        rc = ranges_copy(&w->have, &p->have, e);
    tell_all(w);
    pthread_mutex_unlock(&w->lock);
    return rc;
}

void watch_found(struct watch *w, int fd)
{
    struct err e = ERR_INIT;

    pthread_mutex_lock(&w->lock);
    if (new_round(w, fd, &e) == 0 && ranges_add(&w->have, 0, w->size, &e) == 0)
        w->right = true;
    pthread_mutex_unlock(&w->lock);
}

void watch_drive(struct watch *w, struct http *http)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->http = http;
    pthread_mutex_unlock(&w->lock);
}

void watch_came(struct watch *w, uint64_t from, uint64_t to)
{
    struct err e = ERR_INIT;

    pthread_mutex_lock(&w->lock);
    /* Without memory for it nobody hears of it before the end. */
    if (ranges_add(&w->have, from, to, &e) == 0)
        tell_all(w);
    pthread_mutex_unlock(&w->lock);
}

bool watch_whole(struct watch *w)
{
    bool whole;

    if (w == NULL)
        return true;
    pthread_mutex_lock(&w->lock);
    whole = w->whole;
    pthread_mutex_unlock(&w->lock);
    return whole;
}

void watch_right(struct watch *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->right = true;
    tell_all(w);
    pthread_mutex_unlock(&w->lock);
}

void watch_doubt(struct watch *w)
{
    if (w != NULL && w->misled != NULL)
        w->misled(w->arg);
}

void watch_wrong(struct watch *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->wrong = true;
    tell_all(w);
    pthread_mutex_unlock(&w->lock);
}

void watch_end(struct watch *w, const struct err *e)
{
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    w->over = true;
    w->err = *e;
    w->http = NULL;
    tell_all(w);
    pthread_mutex_unlock(&w->lock);
}

/* Where this reader comes to in the gap; false: it never does. */
static bool meets(const struct watch_reader *r, uint64_t from, uint64_t to,
    uint64_t *at, uint64_t *end)
{
    *at = size_max(from, r->at);
    *end = size_min(to, r->to);
    return *at < *end;
}

bool watch_next(struct watch *w, uint64_t *from, uint64_t *to, uint64_t *reach)
{
    uint64_t first = *from, end = *to, at, stop;
    bool found;

    *reach = UINT64_MAX;
    pthread_mutex_lock(&w->lock);
    found = w->whole;
    for (const struct watch_reader *r = w->readers; r != NULL; r = r->next) {
        if (!meets(r, first, end, &at, &stop) || at - r->at >= *reach)
            continue;
        found = true;
        *reach = at - r->at;
        *from = at;
        *to = w->whole ? end : stop;
    }
    pthread_mutex_unlock(&w->lock);
    return found;
}

bool watch_hungry(struct watch *w, uint64_t from, uint64_t to, uint64_t now_ms)
{
    bool hungry = false;

    pthread_mutex_lock(&w->lock);
    if (now_ms - w->flushed_ms >= WATCH_FLUSH_MS)
        for (const struct watch_reader *r = w->readers; r && !hungry;
             r = r->next)
            hungry =
                r->waits && r->at >= from && r->at < size_min(to, limit(w));
    if (hungry)
        w->flushed_ms = now_ms;
    pthread_mutex_unlock(&w->lock);
    return hungry;
}

/* Under the lock. Who has all he wants on disk needs no transfer for it. */
static bool needed(const struct watch *w)
{
    for (const struct watch_reader *r = w->readers; r != NULL; r = r->next)
        if (ranges_end(&w->have, r->at) < r->to)
            return true;
    return w->whole;
}

bool watch_spent(struct watch *w, uint64_t now_ms, uint64_t linger_ms)
{
    bool spent;

    if (w == NULL)
        return false;
    pthread_mutex_lock(&w->lock);
    if (needed(w))
        w->left_ms = now_ms;
    else if (now_ms >= w->left_ms + linger_ms) /* it may be later than now */
        w->closing = true;
    spent = w->closing;
    pthread_mutex_unlock(&w->lock);
    return spent;
}

void watch_stop(struct watch *w)
{
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    if (w->http != NULL)
        http_wake(w->http);
    pthread_mutex_unlock(&w->lock);
}

bool watch_stopped(struct watch *w)
{
    bool stopped;

    pthread_mutex_lock(&w->lock);
    stopped = w->closing;
    pthread_mutex_unlock(&w->lock);
    return stopped;
}
