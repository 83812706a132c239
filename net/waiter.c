#include "net/waiter.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/file.h"

int waiter_open(struct waiter *w, struct err *e)
{
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->epoll < 0 || w->woken < 0 ||
        waiter_watch(w, w->woken, true, false) != 0) {
        err_sys(e, "cannot wait for the network");
        waiter_close(w);
        return -1;
    }
    return 0;
}

void waiter_close(struct waiter *w)
{
    fd_close(&w->epoll);
    fd_close(&w->woken);
}

int waiter_watch(struct waiter *w, int fd, bool in, bool out)
{
    struct epoll_event ev = { .data.fd = fd };

    ev.events = (in ? EPOLLIN : 0u) | (out ? EPOLLOUT : 0u);
    if (epoll_ctl(w->epoll, EPOLL_CTL_MOD, fd, &ev) == 0)
        return 0;
    return errno == ENOENT ? epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) : -1;
}

void waiter_forget(struct waiter *w, int fd)
{
    epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL);
}

unsigned waiter_wait(
    struct waiter *w, unsigned ms, struct waited out[WAITED_MAX])
{
    struct epoll_event ev[WAITED_MAX];
    int n = epoll_wait(w->epoll, ev, WAITED_MAX, (int)ms);
    unsigned found = 0;

    for (int i = 0; i < n; i++) {
        uint64_t count;

        if (ev[i].data.fd != w->woken)
            out[found++] = (struct waited){ .fd = ev[i].data.fd,
                .in = (ev[i].events & (EPOLLIN | EPOLLHUP)) != 0,
                .out = (ev[i].events & EPOLLOUT) != 0,
                .broken = (ev[i].events & EPOLLERR) != 0 };
        else if (read(w->woken, &count, sizeof(count)) < 0)
            continue; /* taken already: this wait has ended all the same */
    }
    return found;
}

void waiter_wake(struct waiter *w)
{
    uint64_t one = 1;

    if (write(w->woken, &one, sizeof(one)) < 0)
        return; /* as full as it gets: it is awake */
}
