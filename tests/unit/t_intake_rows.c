/* Blocks that are read at once, and how many of them a kill may cost. */
#include "tests/unit/intake_world.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BLOCKS = 160 };

static _Atomic bool held, unnoted, unsynced, torn, unread;
static _Atomic int rows, let_by;

/* What can be written is written. */
static void settle(void)
{
    for (int i = 0; i < 500; i++)
        nap();
}

/* These stand in front of the system's: a disk that waits, or fails. */
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    /* A journal is written from its front on. */
    while (len == BLOCK_BYTES ? held && let_by <= 0 : unnoted && offset == 0)
        nap();
    if (len == BLOCK_BYTES)
        let_by--;
    return syscall(SYS_pwrite64, fd, bytes, len, offset);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t offset)
{
    while (held && let_by <= 0)
        nap();
    let_by -= n;
    return syscall(SYS_pwritev, fd, v, n, offset, 0);
}

int fdatasync(int fd)
{
    while (unsynced)
        nap();
    return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pread(int fd, void *bytes, size_t len, off_t offset)
{
    if (unread) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pread64, fd, bytes, len, offset);
}

ssize_t preadv(int fd, const struct iovec *v, int n, off_t offset)
{
    rows++;
    if (unread) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_preadv, fd, v, torn ? 1 : n, offset, 0);
}

/* Nothing is in the page cache. */
int mincore(void *p, size_t len, unsigned char *in)
{
    (void)p;
    (void)len;
    (void)in;
    errno = ENOSYS;
    return -1;
}

static void begin_with(struct world *w, unsigned lanes, struct err *e)
{
    enter(w, BLOCKS, lanes, e);
    /* Where there is no O_DIRECT, rows are read all the same. */
    if (w->partial.direct < 0 || w->partial.plain) {
        w->partial.direct = fcntl(w->partial.fd, F_DUPFD_CLOEXEC, 0);
        w->partial.plain = false;
    }
}

static void begin(struct world *w, struct err *e)
{
    begin_with(w, LANES, e);
}

/* The disk takes nothing: what is received and held by nobody else. */
static void at_stake(void)
{
    enum { FAR = 3 << 20, SOME = 100 << 10, TLS = 50 << 10 };
    struct err e = ERR_INIT;
    struct block *b[LANES] = { NULL };
    uint64_t at[LANES], sum = 0;
    struct world w;

    begin(&w, &e);
    let_by = 0;
    held = true;
    for (unsigned i = 0; i < LANES; i++) {
        at[i] = (uint64_t)i * FAR;
        feed_lane(&w, &b[i], &at[i], at[i] + SOME, 500, &e);
    }
    for (unsigned i = 0; i < LANES; i++) {
        feed_lane(&w, &b[i], &at[i], (uint64_t)(i + 1) * FAR, 500, &e);
        sum += at[i] - (uint64_t)i * FAR;
    }
    ok(sum <= (uint64_t)LANES * (PIECE - TLS),
        "a kill costs 1 MiB per connection at most: %llu",
        (unsigned long long)sum);
    ok(sum >= (uint64_t)LANES * PIECE / 2, "and most of it is made use of");
    let_by = LANES; /* blocks: as many as are noted */
    for (int i = 0; i < 5000 && !intake_room(w.in); i++)
        nap();
    ok(intake_room(w.in) && let_by <= 0,
        "what was written and noted makes room while the rest waits");
    held = false;
    for (unsigned i = 0; i < LANES; i++)
        sink_flush(&w.sink, &b[i]);
    for (unsigned i = 0; i < LANES; i++)
        ok(feed(&w, at[i], i + 1 < LANES ? (uint64_t)(i + 1) * FAR : SIZE, &e),
            "all is taken");
    check(&w, "a disk that waited");
}

/* One lane, and what was written waits for its journal. */
static void at_stake_alone(void)
{
    enum { SOME = BLOCK_BYTES - 1024, TLS = 50 << 10 };
    struct err e = ERR_INIT;
    struct block *b = NULL;
    uint64_t at = BLOCK_BYTES, to = 2 * BLOCK_BYTES;
    struct world w;

    begin_with(&w, 1, &e);
    ok(feed(&w, 0, SOME, &e), "all is taken");
    settle();
    unnoted = true;
    feed_lane(&w, &b, &at, to, 500, &e);
    settle();
    feed_lane(&w, &b, &at, SIZE, 500, &e);
    at -= BLOCK_BYTES - SOME;
    ok(at <= PIECE - TLS, "one connection: %llu", (unsigned long long)at);
    unnoted = false;
    sink_flush(&w.sink, &b);
    ok(feed(&w, SOME, SIZE, &e), "all is taken");
    check(&w, "one connection");
}

/* Many files of which a little waits to be noted, and lanes that go. */
static void fewer_lanes(void)
{
    enum { FILES = 16, SOME = BLOCK_BYTES - 1024 };
    struct err e = ERR_INIT;
    struct world w[FILES];
    struct intake *in = enter_many(w, FILES, 0, SIZE, &e);
    uint64_t kept = 0;

    unsynced = true;
    for (int i = 0; i < FILES; i++)
        feed_within(&w[i], 5000, 0, SOME, &e);
    settle();
    intake_lanes(in, 1);
    for (int n = 0; n < 5000 && kept < (uint64_t)FILES * SOME - PIECE; n++) {
        kept = 0;
        for (int i = 0; i < FILES; i++) {
            struct partial *p = &w[i].partial;
            uint64_t bytes = 0, allocated;

            partial_kept(
                p->path, p->journal, &want, SIZE, &bytes, &allocated, &e);
            kept += bytes;
        }
        nap();
    }
    ok(kept >= (uint64_t)FILES * SOME - PIECE,
        "fewer connections: what one may cost is all that is not noted: %llu",
        (unsigned long long)kept);
    unsynced = false;
    for (int i = 0; i < FILES; i++) {
        sink_end(&w[i].sink);
        sink_free(&w[i].sink);
        partial_drop(&w[i].partial);
    }
    intake_close(in);
}

/* What an earlier run left is read back. */
static void in_rows(const char *name, bool part)
{
    struct err e = ERR_INIT;
    struct world w;

    begin(&w, &e);
    ok(feed(&w, 0, 8 * PIECE + 11, &e), "all is taken");
    leave(&w, &e);
    rows = 0;
    torn = part;
    begin(&w, &e);
    ok(feed(&w, 8 * PIECE + 11, SIZE, &e), "all is taken");
    check(&w, name);
    ok(rows > 0, "%s: %d of them", name, rows);
    torn = false;
}

static void unreadable(void)
{
    struct err e = ERR_INIT;
    struct world w;

    begin(&w, &e);
    ok(feed(&w, 0, 8 * PIECE, &e), "all is taken");
    leave(&w, &e);
    begin(&w, &e);
    unread = true;
    ok(wait_end(&w, &e) == SINK_BROKEN && e.kind == ERR_IO &&
            strstr(e.msg, path) != NULL,
        "a row that cannot be read is told: %s", e.msg);
    unread = false;
    finish(&w);
}

int main(void)
{
    scratch_open();
    make_world();
    at_stake();
    at_stake_alone();
    fewer_lanes();
    in_rows("read in rows", false);
    in_rows("rows that are read in part", true);
    unreadable();
    scratch_close();
    return done();
}
