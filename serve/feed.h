/*
 * feed.h - the bytes of a file that is on its way: what of it is here can be
 * read, for the rest one is woken.
 *
 * What is read is what will be published, but for the promise of its digest:
 * so the last FEED_HELD_BACK bytes (of a shorter file: all but nothing) are
 * not given out before the whole file's digest is right. A file whose digest
 * is wrong ends in an error, and no reader has it whole.
 */
#ifndef SERVE_FEED_H
#define SERVE_FEED_H

#include "base/err.h"
#include "serve/lack.h"

enum { FEED_HELD_BACK = 64 << 10 };

struct feed;

/* Who waits for more. Lives until woken, or until feed_unwait returned. */
struct feed_waiter {
    void (*wake)(struct feed_waiter *w); /* short, must not block, and must
                                            not call the feed */
    uint64_t offset;
    struct feed_waiter *next; /* the feed's */
};

/* Who makes feeds has these; the functions below say what they do. */
struct feed_ops {
    int64_t (*read)(
        struct feed *f, uint64_t offset, void *out, size_t len, struct err *e);
    void (*wait)(struct feed *f, struct feed_waiter *w);
    void (*unwait)(struct feed *f, struct feed_waiter *w);
    enum lack (*lack)(const struct feed *f);
    bool (*doubtful)(const struct feed *f);
    void (*close)(struct feed *f);
};

/* The first member of what the maker keeps of it. Each supply_open gives
 * another one: it has one reader, who waits for one byte at a time. */
struct feed {
    const struct feed_ops *ops;
};

/*
 * feed_read - up to len bytes at offset; never waits
 * Returns  bytes read; 0: not yet; -1 with *e: there will be none (the
 *          transfer failed for good, or its digest was wrong)
 */
static inline int64_t feed_read(
    struct feed *f, uint64_t offset, void *out, size_t len, struct err *e)
{
    return f->ops->read(f, offset, out, len, e);
}

/* feed_lack - after -1: which answer it is, where none was begun. */
static inline enum lack feed_lack(const struct feed *f)
{
    return f->ops->lack(f);
}

/* feed_doubtful - were bytes of it given out that are wrong? Who goes on behind
 * such would have a file of two halves. */
static inline bool feed_doubtful(const struct feed *f)
{
    return f->ops->doubtful(f);
}

/*
 * feed_wait - wake once when w->offset can be read, or will never be
 * If that is so already it wakes before it returns. To wait for an offset
 * says that it is wanted: a fetcher may go there next.
 */
static inline void feed_wait(struct feed *f, struct feed_waiter *w)
{
    f->ops->wait(f, w);
}

/* feed_unwait - forget it; on return it is not being woken. Idempotent. */
static inline void feed_unwait(struct feed *f, struct feed_waiter *w)
{
    f->ops->unwait(f, w);
}

/* feed_close - this reader is done; NULL is fine. */
static inline void feed_close(struct feed *f)
{
    if (f != NULL)
        f->ops->close(f);
}

#endif
