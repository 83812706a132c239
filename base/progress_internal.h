/* progress_internal.h - what progress.c and bars.c share. */
#ifndef BASE_PROGRESS_INTERNAL_H
#define BASE_PROGRESS_INTERNAL_H

#include <pthread.h>

#include "base/progress.h"

struct rate {
    uint64_t bytes; /* counted when last looked */
    uint64_t at_ms; /* when that was */
    double per_second;
    bool seen;
};

struct progress_sum {
    uint64_t done;
    uint64_t held;
    uint64_t total;
    uint64_t items; /* finished */
};

struct progress_item {
    struct progress_item *next; /* owner's lock */
    struct progress *owner;
    uint64_t total;
    _Atomic uint64_t done;
    _Atomic uint64_t held; /* of done: there before */
    uint64_t shown;        /* owner's lock: done when last reported */
    struct rate rate;      /* owner's lock */
    char state[24];        /* owner's lock */
    char name[];           /* escaped for a terminal */
};

struct progress {
    enum progress_mode mode; /* never AUTO */
    struct scope *scope;     /* of who opened it, or NULL */
    const char *verb;
    uint64_t total;
    uint64_t start_ms;
    pthread_t thread;
    bool threaded;
    unsigned plain_lines; /* written so far */
    pthread_mutex_t lock; /* guards all below, and the screen */
    pthread_cond_t wake;
    bool stop;
    bool drawn;     /* bars were on the screen at least once */
    unsigned lines; /* on the screen now, to be erased */
    struct rate rate;
    struct progress_item *active; /* in order of their start */
    struct progress_item *finished;
    struct progress_sum retired; /* sums of the finished */
};

/* Owner's lock is held. */
void progress_sum(const struct progress *p, struct progress_sum *out);

/* Moving average of how fast a counter grows. */
void rate_update(struct rate *r, uint64_t fresh, uint64_t now_ms);

/* Take the bars off the screen; draw them again. Owner's lock is held. */
void bars_erase(struct progress *p);
void bars_draw(struct progress *p);

#endif
