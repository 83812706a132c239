#include "serve/holdings.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

#define ARENA_MAX ((uint64_t)4 << 30)

enum { OLD_MS = 20000 };

struct holdings {
    struct hubdir hub;
    pthread_t thread;
    pthread_mutex_t lock; /* of all below; held while somebody looks */
    pthread_cond_t wanted;
    bool ask, stop;
    uint64_t counted_ms; /* when it was; 0: never */
    struct arena arena;
    struct held held;
};

/* The old count is kept until the new one is there. */
static void count(struct holdings *h)
{
    struct arena arena = ARENA_INIT(ARENA_MAX);
    struct held held = { .when = (int64_t)time(NULL) };
    struct err why = ERR_INIT;
    struct held_repo *repos;

    if (inventory(&h->hub, &arena, &repos, &held.n, &why) != 0) {
        log_warn("cannot count what is held: %s", why.msg);
        arena_free(&arena);
        pthread_mutex_lock(&h->lock);
    } else {
        held.repos = repos;
        for (uint64_t i = 0; i < held.n; i++)
            held.bytes += repos[i].bytes;
        pthread_mutex_lock(&h->lock);
        arena_free(&h->arena);
        h->arena = arena;
        h->held = held;
    }
    h->counted_ms = clock_ms();
}

static void *work(void *arg)
{
    struct holdings *h = arg;

    pthread_mutex_lock(&h->lock);
    while (!h->stop) {
        if (!h->ask) {
            pthread_cond_wait(&h->wanted, &h->lock);
            continue;
        }
        h->ask = false;
        pthread_mutex_unlock(&h->lock);
        count(h);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

struct holdings *holdings_open(const struct hubdir *hub, struct err *e)
{
    struct holdings *h = calloc(1, sizeof(*h));

    if (h == NULL) {
        err_set(e, ERR_NOMEM, "no memory to count what is held");
        return NULL;
    }
    h->hub = *hub;
    h->ask = true;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->wanted, NULL);
    if (pthread_create(&h->thread, NULL, work, h) != 0) {
        err_set(e, ERR_IO, "cannot start a thread");
        free(h);
        return NULL;
    }
    return h;
}

void holdings_close(struct holdings *h)
{
    if (h == NULL)
        return;
    pthread_mutex_lock(&h->lock);
    h->stop = true;
    pthread_cond_signal(&h->wanted);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->wanted);
    arena_free(&h->arena);
    free(h);
}

void holdings_look(struct holdings *h, struct held *out)
{
    pthread_mutex_lock(&h->lock);
    if (clock_ms() - h->counted_ms > OLD_MS) {
        h->ask = true;
        pthread_cond_signal(&h->wanted);
    }
    *out = h->held;
}

void holdings_done(struct holdings *h)
{
    pthread_mutex_unlock(&h->lock);
}
