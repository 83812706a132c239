#include "serve/errand.h"

#include <pthread.h>
#include <stdlib.h>

enum { THREADS_MAX = 64 };

struct errands {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct errand *first, **last;
    bool stop;
    pthread_t threads[THREADS_MAX];
    unsigned n;
};

static void *work(void *arg)
{
    struct errands *all = arg;

    pthread_mutex_lock(&all->lock);
    while (!all->stop) {
        struct errand *r = all->first;

        if (r == NULL) {
            pthread_cond_wait(&all->more, &all->lock);
            continue;
        }
        all->first = r->next;
        if (all->first == NULL)
            all->last = &all->first;
        pthread_mutex_unlock(&all->lock);
        r->run(r);
        pthread_mutex_lock(&all->lock);
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

struct errands *errands_open(unsigned threads, struct err *e)
{
    struct errands *all = calloc(1, sizeof(*all));

    if (all == NULL) {
        err_set(e, ERR_NOMEM, "no memory for threads");
        return NULL;
    }
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->more, NULL);
    all->last = &all->first;
    while (all->n < threads && all->n < THREADS_MAX) {
        if (pthread_create(&all->threads[all->n], NULL, work, all) != 0)
            break;
        all->n++;
    }
    if (all->n > 0)
        return all;
    err_set(e, ERR_IO, "cannot start a thread");
    errands_close(all);
    return NULL;
}

void errands_add(struct errands *all, struct errand *r)
{
    pthread_mutex_lock(&all->lock);
    r->next = NULL;
    *all->last = r;
    all->last = &r->next;
    pthread_cond_signal(&all->more);
    pthread_mutex_unlock(&all->lock);
}

struct errand *errands_close(struct errands *all)
{
    struct errand *left;

    if (all == NULL)
        return NULL;
    pthread_mutex_lock(&all->lock);
    all->stop = true;
    pthread_cond_broadcast(&all->more);
    pthread_mutex_unlock(&all->lock);
    for (unsigned i = 0; i < all->n; i++)
        pthread_join(all->threads[i], NULL);
    left = all->first;
    pthread_mutex_destroy(&all->lock);
    pthread_cond_destroy(&all->more);
    free(all);
    return left;
}
