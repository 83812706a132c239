#include "serve/errand.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 64 };

struct errands {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct errand *first, **last;
    char busy[THREADS_MAX]
             [ERRAND_WHOSE_MAX]; /* whose each thread's is, or "" */
    bool stop;
    pthread_t threads[THREADS_MAX];
    unsigned n;
};

static unsigned under_way(const struct errands *all, const char *whose)
{
    unsigned n = 0;

    for (unsigned i = 0; i < THREADS_MAX; i++)
        n += strcmp(all->busy[i], whose) == 0;
    return n;
}

/* Whose turn it is, out of the queue; NULL: there is none. */
static struct errand *take_next(struct errands *all)
{
    struct errand **found = NULL, *r;
    unsigned least = UINT_MAX;

    for (struct errand **at = &all->first; *at != NULL; at = &(*at)->next) {
        unsigned n = under_way(all, (*at)->whose);

        if (n < least)
            found = at;
        least = n < least ? n : least;
        if (n == 0)
            break;
    }
    if (found == NULL)
        return NULL;
    r = *found;
    *found = r->next;
    if (all->last == &r->next)
        all->last = found;
    return r;
}

/* A place in busy that is free: there are as many as threads. */
static char *place(struct errands *all)
{
    unsigned i = 0;

    while (all->busy[i][0] != '\0')
        i++;
    return all->busy[i];
}

static void *work(void *arg)
{
    struct errands *all = arg;

    pthread_mutex_lock(&all->lock);
    while (!all->stop) {
        struct errand *r = take_next(all);
        char *busy;

        if (r == NULL) {
            pthread_cond_wait(&all->more, &all->lock);
            continue;
        }
        busy = place(all);
        memcpy(busy, r->whose, sizeof(r->whose));
        pthread_mutex_unlock(&all->lock);
        r->run(r);
        pthread_mutex_lock(&all->lock);
        busy[0] = '\0';
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
