#include "serve/sideline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

enum { PIPE_BYTES = 256 << 10, ROOM = 16 << 10 };

struct sideline {
    int from, to; /* a pipe; who says something never waits at its end */
    pthread_t thread;
};

/* Bytes that nobody takes any more are dropped. */
static void put(const char *p, size_t n)
{
    struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };

    while (n > 0) {
        ssize_t done = write(STDERR_FILENO, p, n);

        if (done < 0 && errno == EAGAIN)
            poll(&out, 1, -1);
        else if (done < 0 && errno != EINTR)
            return;
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
}

static void *carry(void *arg)
{
    const struct sideline *s = arg;
    char room[ROOM];
    ssize_t n;

    pthread_setname_np(pthread_self(), "ml-log");
    while ((n = read(s->from, room, sizeof(room))) != 0)
        if (n > 0)
            put(room, (size_t)n);
        else if (errno != EINTR)
            break;
    return NULL;
}

static void drop(struct sideline *s)
{
    fd_close(&s->from);
    fd_close(&s->to);
    free(s);
}

struct sideline *sideline_open(struct err *e)
{
    struct sideline *s = malloc(sizeof(*s));
    int ends[2];

    if (s == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a log");
        return NULL;
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        err_sys(e, "a pipe for the log");
        free(s);
        return NULL;
    }
    s->from = ends[0];
    s->to = ends[1];
    fcntl(s->to, F_SETPIPE_SZ, PIPE_BYTES); /* as much as it may have */
    errno = fcntl(s->to, F_SETFL, O_NONBLOCK) != 0
                ? errno
                : pthread_create(&s->thread, NULL, carry, s);
    if (errno != 0) {
        err_sys(e, "a thread for the log");
        drop(s);
        return NULL;
    }
    log_set_fd(s->to);
    return s;
}

void sideline_close(struct sideline *s)
{
    struct timespec end;

    if (s == NULL)
        return;
    log_set_fd(STDERR_FILENO);
    fd_close(&s->to);
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec++;
    /* One that still waits for its reader ends with the process. */
    if (pthread_timedjoin_np(s->thread, NULL, &end) == 0)
        drop(s);
}
