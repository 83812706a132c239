/*
 * waiter.h - one thread waits for many sockets, and for other threads.
 *
 * All but waiter_wake belong to that thread.
 */
#ifndef NET_WAITER_H
#define NET_WAITER_H

#include "base/err.h"

struct waiter {
    int epoll;
    int woken; /* an eventfd */
};

#define WAITER_INIT                                                            \
    {                                                                          \
        .epoll = -1, .woken = -1                                               \
    }

int waiter_open(struct waiter *w, struct err *e); /* 0, or -1: IO */
void waiter_close(struct waiter *w);              /* idempotent */

/* waiter_watch - for reading, writing, or both, from now on. 0 or -1. */
int waiter_watch(struct waiter *w, int fd, bool in, bool out);

/* waiter_forget - before fd is closed, or soon after. */
void waiter_forget(struct waiter *w, int fd);

/* What happened to a socket. */
struct waited {
    int fd;
    bool in;
    bool out;
    bool broken;
};

/*
 * More than anybody has connected: a socket that is not told of in its round
 * might be taken for one at which nothing has come.
 */
enum { WAITED_MAX = 128 };

/* waiter_wait - at most ms milliseconds; returns how many are in out. */
unsigned waiter_wait(
    struct waiter *w, unsigned ms, struct waited out[WAITED_MAX]);

/* waiter_wake - the wait that is under way, or the next, ends. Any thread. */
void waiter_wake(struct waiter *w);

#endif
