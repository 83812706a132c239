#include "serve/feed_make.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* A feed, and whom it is woken for. */
struct tap {
    struct feed feed; /* first: found by its address */
    struct watch_reader reader;
    struct flows *flows;
    struct flow *flow;
    struct feed_waiter *waiter;
};

static struct tap *tap_of(struct feed *f)
{
    return (struct tap *)f;
}

static int64_t tap_read(
    struct feed *f, uint64_t offset, void *out, size_t len, struct err *e)
{
    struct tap *t = tap_of(f);
    int fd = -1;
    int64_t n = watch_look(flow_watch(t->flow), &t->reader, offset, &fd, e);
    ssize_t got;

    if (n <= 0)
        return n;
    do
        got = pread(fd, out, size_min(len, (uint64_t)n), (off_t)offset);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_sys(e, "reading what has come");
    return got > 0 ? got : err_set(e, ERR_IO, "what has come was cut short");
}

static void wake(struct watch_reader *r)
{
    struct tap *t = r->arg;

    t->waiter->wake(t->waiter);
}

static void tap_wait(struct feed *f, struct feed_waiter *w)
{
    struct tap *t = tap_of(f);

    t->waiter = w;
    watch_wait(flow_watch(t->flow), &t->reader, w->offset);
}

static void tap_unwait(struct feed *f, struct feed_waiter *w)
{
    struct tap *t = tap_of(f);

    (void)w;
    watch_unwait(flow_watch(t->flow), &t->reader);
}

static enum lack tap_lack(const struct feed *f)
{
    return flow_lack(((const struct tap *)f)->flow);
}

static bool tap_doubtful(const struct feed *f)
{
    return watch_doubtful(flow_watch(((const struct tap *)f)->flow));
}

static void tap_close(struct feed *f)
{
    struct tap *t = tap_of(f);

    flow_leave(t->flows, t->flow, &t->reader);
    free(t);
}

struct feed *feed_make(struct flows *all, const struct edition *ed,
    const struct tree_file *file, uint64_t from, uint64_t to, enum lack *lack,
    struct err *e)
{
    static const struct feed_ops ops = { .read = tap_read,
        .wait = tap_wait,
        .unwait = tap_unwait,
        .lack = tap_lack,
        .doubtful = tap_doubtful,
        .close = tap_close };
    struct tap *t = calloc(1, sizeof(*t));

    if (t == NULL) {
        *lack = LACK_FAULT;
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    t->feed.ops = &ops;
    t->flows = all;
    t->reader =
        (struct watch_reader){ .at = from, .to = to, .wake = wake, .arg = t };
    t->flow = flow_join(all, ed, file, &t->reader, lack, e);
    if (t->flow != NULL)
        return &t->feed;
    free(t);
    return NULL;
}
