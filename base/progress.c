/*
 * The display behind progress.h: counters that workers add to, and one
 * thread that looks at them. Bars are drawn by bars.c.
 */
#include "base/progress.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/human.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress_internal.h"
#include "base/scope.h"

enum {
    TTY_FIRST_MS = 300,
    TTY_EVERY_MS = 100,
    PLAIN_FIRST_MS = 2000,
    PLAIN_EVERY_MS = 10000,
    JSON_EVERY_MS = 500,
    SCOPE_EVERY_MS = 100
};

/* The display that log lines must make room for; set under the log's lock. */
static struct progress *current;

static enum progress_mode choose(enum progress_mode mode)
{
    const char *term = env_get("TERM");

    if (mode == PROGRESS_SCOPE &&
        (scope_now() == NULL || scope_now()->progress == NULL))
        return PROGRESS_NONE;
    if (mode != PROGRESS_AUTO)
        return mode;
    if (!isatty(STDERR_FILENO) || term == NULL || strcmp(term, "dumb") == 0)
        return PROGRESS_PLAIN;
    return PROGRESS_TTY;
}

void progress_sum(const struct progress *p, struct progress_sum *out)
{
    *out = p->retired;
    for (const struct progress_item *it = p->active; it; it = it->next) {
        out->done += atomic_load(&it->done);
        out->held += atomic_load(&it->held);
        out->total += it->total;
    }
    out->total = size_max(out->total, p->total);
}

/* The rate moves slowly enough to read, quickly enough to believe. */
void rate_update(struct rate *r, uint64_t fresh, uint64_t now_ms)
{
    double seconds = (double)(now_ms - r->at_ms) / 1000, now;

    if (seconds < 0.05)
        return;
    now = fresh >= r->bytes ? (double)(fresh - r->bytes) / seconds : 0;
    r->per_second = r->seen ? 0.8 * r->per_second + 0.2 * now : now;
    r->seen = true;
    r->bytes = fresh;
    r->at_ms = now_ms;
}

static void draw_plain(struct progress *p)
{
    char done[HUMAN_MAX], total[HUMAN_MAX], speed[HUMAN_MAX], left[HUMAN_MAX];
    struct progress_sum s;

    pthread_mutex_lock(&p->lock);
    progress_sum(p, &s);
    rate_update(&p->rate, s.done - size_min(s.held, s.done), clock_ms());
    pthread_mutex_unlock(&p->lock);
    human_size(done, s.done);
    human_size(total, s.total);
    human_size(speed, (uint64_t)p->rate.per_second);
    p->plain_lines++;
    if (s.total == 0 || p->rate.per_second < 1) {
        log_info("%s: %s, %s/s", p->verb, done, speed);
        return;
    }
    human_time(left,
        (double)(s.total - size_min(s.done, s.total)) / p->rate.per_second);
    log_info("%s: %s of %s (%.0f %%), %s/s, %s left", p->verb, done, total,
        100.0 * (double)s.done / (double)s.total, speed, left);
}

static void json_event(const char *event, const struct progress_item *it)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 16);

    buf_printf(&b, "{\"event\":\"%s\",\"item\":", event);
    json_quote(&b, str_of(it->name));
    buf_printf(&b, ",\"done\":%llu,\"total\":%llu}\n",
        (unsigned long long)atomic_load(&it->done),
        (unsigned long long)it->total);
    fwrite(b.p, 1, b.len, stderr);
}

static void draw_json(struct progress *p)
{
    pthread_mutex_lock(&p->lock);
    for (struct progress_item *it = p->active; it; it = it->next) {
        uint64_t done = atomic_load(&it->done);

        if (done == it->shown)
            continue;
        it->shown = done;
        json_event("progress", it);
    }
    pthread_mutex_unlock(&p->lock);
}

/* The caller's own display. */
static void tell_scope(struct progress *p)
{
    struct scope_progress now = { .what = p->verb };
    struct progress_sum s;

    pthread_mutex_lock(&p->lock);
    progress_sum(p, &s);
    pthread_mutex_unlock(&p->lock);
    now.done = s.done;
    now.held = s.held;
    now.total = s.total;
    p->scope->progress(p->scope, &now);
}

static void draw(struct progress *p)
{
    switch (p->mode) {
    case PROGRESS_TTY:
        pthread_mutex_lock(&p->lock);
        bars_erase(p);
        bars_draw(p);
        pthread_mutex_unlock(&p->lock);
        return;
    case PROGRESS_PLAIN:
        draw_plain(p);
        return;
    case PROGRESS_JSON:
        draw_json(p);
        return;
    case PROGRESS_SCOPE:
        tell_scope(p);
        return;
    case PROGRESS_AUTO:
    case PROGRESS_NONE:
        return;
    }
}

static bool wait_ms(struct progress *p, unsigned ms)
{
    struct timespec until;
    bool stop;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&p->lock);
    while (!p->stop && pthread_cond_timedwait(&p->wake, &p->lock, &until) == 0)
        ;
    stop = p->stop;
    pthread_mutex_unlock(&p->lock);
    return !stop;
}

static void *render(void *arg)
{
    struct progress *p = arg;
    unsigned first = p->mode == PROGRESS_TTY     ? TTY_FIRST_MS
                     : p->mode == PROGRESS_SCOPE ? SCOPE_EVERY_MS
                     : p->mode == PROGRESS_PLAIN ? PLAIN_FIRST_MS
                                                 : JSON_EVERY_MS;
    unsigned every = p->mode == PROGRESS_TTY     ? TTY_EVERY_MS
                     : p->mode == PROGRESS_SCOPE ? SCOPE_EVERY_MS
                     : p->mode == PROGRESS_PLAIN ? PLAIN_EVERY_MS
                                                 : JSON_EVERY_MS;

    scope_enter(p->scope);
    for (unsigned ms = first; wait_ms(p, ms); ms = every)
        draw(p);
    return NULL;
}

static void hide(void)
{
    pthread_mutex_lock(&current->lock);
    bars_erase(current);
}

static void show(void)
{
    if (current->drawn)
        bars_draw(current);
    pthread_mutex_unlock(&current->lock);
}

struct progress *progress_open(
    enum progress_mode mode, const char *verb, uint64_t total, struct err *e)
{
    struct progress *p;

    /* Scopes have no terminal to share. */
    if (scope_now() == NULL && current != NULL) {
        err_set(e, ERR_BUG, "two progress displays at once");
        return NULL;
    }
    p = calloc(1, sizeof(*p));
    if (p == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    p->mode = choose(mode);
    p->verb = verb;
    p->total = total;
    p->start_ms = clock_ms();
    p->rate.at_ms = p->start_ms;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->scope = scope_now();
    if (p->scope == NULL)
        current = p;
    if (p->mode == PROGRESS_TTY)
        log_set_screen(hide, show);
    if (p->mode != PROGRESS_NONE)
        p->threaded = pthread_create(&p->thread, NULL, render, p) == 0;
    return p;
}

static void free_items(struct progress_item *it)
{
    while (it != NULL) {
        struct progress_item *next = it->next;
        free(it);
        it = next;
    }
}

void progress_close(struct progress *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    if (p->threaded)
        pthread_join(p->thread, NULL);
    if (p->mode == PROGRESS_TTY) {
        log_set_screen(NULL, NULL);
        bars_erase(p);
    }
    if (p->plain_lines > 0)
        draw_plain(p);
    if (p->mode == PROGRESS_SCOPE)
        tell_scope(p);
    if (p->scope == NULL)
        current = NULL;
    free_items(p->active);
    free_items(p->finished);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    free(p);
}

void progress_close_auto(struct progress **p)
{
    progress_close(*p);
    *p = NULL;
}

struct progress_item *progress_item(
    struct progress *p, const char *name, uint64_t total)
{
    struct progress_item *it, **at;
    size_t len = strlen(name);

    if (p == NULL || p->mode == PROGRESS_NONE)
        return NULL;
    it = calloc(1, sizeof(*it) + 4 * len + 1);
    if (it == NULL)
        return NULL; /* a bar less is no reason to stop */
    it->owner = p;
    it->total = total;
    it->rate.at_ms = clock_ms();
    err_escape(it->name, 4 * len + 1, name);
    pthread_mutex_lock(&p->lock);
    for (at = &p->active; *at != NULL; at = &(*at)->next)
        ;
    *at = it;
    if (p->mode == PROGRESS_JSON)
        json_event("start", it);
    pthread_mutex_unlock(&p->lock);
    return it;
}

void progress_add(struct progress_item *it, uint64_t bytes)
{
    if (it != NULL)
        atomic_fetch_add(&it->done, bytes);
}

void progress_undo(struct progress_item *it, uint64_t bytes)
{
    if (it != NULL)
        atomic_fetch_sub(&it->done, bytes);
}

void progress_held(struct progress_item *it, uint64_t bytes)
{
    if (it == NULL)
        return;
    atomic_fetch_add(&it->held, bytes);
    atomic_fetch_add(&it->done, bytes);
}

void progress_state(struct progress_item *it, const char *word)
{
    if (it == NULL)
        return;
    pthread_mutex_lock(&it->owner->lock);
    snprintf(it->state, sizeof(it->state), "%s", word);
    pthread_mutex_unlock(&it->owner->lock);
}

void progress_done(struct progress_item *it)
{
    struct progress *p;
    struct progress_item **at;

    if (it == NULL)
        return;
    p = it->owner;
    pthread_mutex_lock(&p->lock);
    for (at = &p->active; *at != it; at = &(*at)->next)
        ;
    *at = it->next;
    it->next = p->finished;
    p->finished = it;
    p->retired.done += atomic_load(&it->done);
    p->retired.held += atomic_load(&it->held);
    p->retired.total += it->total;
    p->retired.items++;
    if (p->mode == PROGRESS_JSON)
        json_event("done", it);
    pthread_mutex_unlock(&p->lock);
}
