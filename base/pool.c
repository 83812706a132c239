#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/scope.h"

/*
 * A decode step runs hundreds of short jobs a second, so a worker looks for
 * the next one a little while before it sleeps.
 */
enum { SPIN_NS = 50000 };

struct pool {
    unsigned n;          /* threads, the caller included */
    unsigned started;    /* threads to join */
    pthread_t *threads;  /* n - 1 of them */
    struct scope *scope; /* of who opened it */
    pthread_mutex_t lock;
    pthread_cond_t wake;    /* workers wait here for a new round */
    pthread_cond_t idle;    /* the caller waits here for the last worker */
    _Atomic unsigned round; /* changes under lock when work is there */
    _Atomic unsigned busy;  /* workers not done with this round */
    bool stop;              /* under lock */
    void (*fn)(void *ctx, size_t i); /* fixed during a round */
    void *ctx;
    size_t items;
    _Atomic size_t next; /* next item to hand out */
};

unsigned pool_cores(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

static void take_items(struct pool *p)
{
    for (;;) {
        size_t i = atomic_fetch_add(&p->next, 1);
        if (i >= p->items)
            return;
        p->fn(p->ctx, i);
    }
}

static void spin_for_round(struct pool *p, unsigned seen)
{
    uint64_t until = clock_ns() + SPIN_NS;

    while (atomic_load(&p->round) == seen && clock_ns() < until)
        sched_yield();
}

static void *worker(void *arg)
{
    struct pool *p = arg;
    unsigned seen = 0;

    scope_enter(p->scope);
    for (;;) {
        spin_for_round(p, seen);
        pthread_mutex_lock(&p->lock);
        while (atomic_load(&p->round) == seen && !p->stop)
            pthread_cond_wait(&p->wake, &p->lock);
        seen = atomic_load(&p->round);
        if (p->stop) {
            pthread_mutex_unlock(&p->lock);
            return NULL;
        }
        pthread_mutex_unlock(&p->lock);
        take_items(p);
        if (atomic_fetch_sub(&p->busy, 1) == 1) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->idle);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

struct pool *pool_open(unsigned n, struct err *e)
{
    struct pool *p = calloc(1, sizeof(*p));

    if (n == 0)
        n = pool_cores();
    if (p != NULL)
        p->threads = calloc(n, sizeof(*p->threads));
    if (p == NULL || p->threads == NULL) {
        free(p);
        err_set(e, ERR_NOMEM, "out of memory for threads");
        return NULL;
    }
    p->n = n;
    p->scope = scope_now();
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->idle, NULL);
    while (p->started < n - 1) {
        if (pthread_create(&p->threads[p->started], NULL, worker, p) != 0) {
            err_set(e, ERR_IO, "cannot start a thread");
            pool_close(p);
            return NULL;
        }
        p->started++;
    }
    return p;
}

void pool_close(struct pool *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->idle);
    free(p->threads);
    free(p);
}

void pool_close_auto(struct pool **p)
{
    pool_close(*p);
    *p = NULL;
}

unsigned pool_size(const struct pool *p)
{
    return p->n;
}

void pool_run(
    struct pool *p, size_t n, void (*fn)(void *ctx, size_t i), void *ctx)
{
    uint64_t until;

    if (p->n == 1 || n <= 1) {
        for (size_t i = 0; i < n; i++)
            fn(ctx, i);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->fn = fn;
    p->ctx = ctx;
    p->items = n;
    atomic_store(&p->next, 0);
    atomic_store(&p->busy, p->started);
    atomic_fetch_add(&p->round, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    take_items(p);
    until = clock_ns() + SPIN_NS;
    while (atomic_load(&p->busy) > 0 && clock_ns() < until)
        sched_yield();
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->busy) > 0)
        pthread_cond_wait(&p->idle, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
