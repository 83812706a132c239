/* Bytes through the threads: whatever their order, the digest is right. */
#include "tests/unit/intake_world.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

enum { SMALL = 24 };

static _Atomic bool full_disk, slow_disk, no_hash, slow_writes, torn_rows;
static _Atomic int rows, space = -1; /* -1: as many blocks as there are */

/* Stands in front of the system's. */
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    if (full_disk) {
        errno = ENOSPC;
        return -1;
    }
    if (space >= 0 && len == BLOCK_BYTES && space-- == 0) {
        errno = ENOSPC;
        space = 0;
        return -1;
    }
    for (int i = 0; slow_writes && len == BLOCK_BYTES && rows == 0 && i < 50;
         i++)
        nap();
    return syscall(SYS_pwrite64, fd, bytes, len, offset);
}

/* And of this no more than the first part is written, if at all. */
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t offset)
{
    rows++;
    if (full_disk || space >= 0) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_pwritev, fd, v, torn_rows ? 1 : n, offset, 0);
}

/* A disk on which a sync takes long. */
int fdatasync(int fd)
{
    struct timespec t = { .tv_nsec = 600000000 };

    if (slow_disk)
        nanosleep(&t, NULL);
    return (int)syscall(SYS_fdatasync, fd);
}

/* A hash of blocks that takes its time; journals have one, too. */
int EVP_DigestUpdate(void *ctx, const void *bytes, size_t len);
int EVP_DigestUpdate(void *ctx, const void *bytes, size_t len)
{
    int (*update)(void *, const void *, size_t);
    void *found = dlsym(RTLD_NEXT, "EVP_DigestUpdate");

    memcpy(&update, &found, sizeof(update));
    while (no_hash && len == BLOCK_BYTES)
        nap();
    return update(ctx, bytes, len);
}

static void begin(struct world *w, size_t blocks, struct err *e)
{
    enter(w, blocks, LANES, e);
}

/* Pieces in some order, some of them cut at odd places. */
static void order(const char *name, size_t blocks, const int *turns, int n)
{
    struct err e = ERR_INIT;
    struct world w;
    bool good = true;

    begin(&w, blocks, &e);
    for (int i = 0; i < n && good; i++) {
        uint64_t from = (uint64_t)turns[i] * PIECE;
        uint64_t to = size_min(SIZE, from + PIECE);
        uint64_t odd = from + (uint64_t)turns[i] * 77777 % (to - from);

        good = feed(&w, from, odd, &e) && feed(&w, odd, to, &e);
    }
    ok(good && e.kind == ERR_NONE, "%s: taken: %s", name, e.msg);
    check(&w, name);
}

static void orders(void)
{
    static const int forward[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
    static const int backward[] = { 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0 };
    static const int mixed[] = { 3, 0, 7, 12, 1, 2, 9, 4, 11, 8, 5, 10, 6 };

    order("in order", 160, forward, 13);
    order("backwards", 160, backward, 13);
    /* The first piece comes last, and there is no memory for the others. */
    order("backwards, little memory", SMALL, backward, 13);
    order("mixed, little memory", SMALL, mixed, 13);
}

/* Bytes that are received in the block itself, which nobody need copy. */
static void in_place(void)
{
    struct err e = ERR_INIT;
    struct block *b = NULL;
    struct world w;
    uint64_t at = 0, new = 0, placed = 0;
    size_t len = 1;

    begin(&w, 160, &e);
    ok(feed(&w, 3 * PIECE - 5000, 3 * PIECE + 5000, &e), "a part is there");
    while (at < SIZE && e.kind == ERR_NONE) {
        uint8_t *room;
        size_t n = len = size_min(100000, SIZE - at);

        room = sink_room(&w.sink, &b, at, &len);
        if (room == NULL && len == 0) {
            nap();
            continue;
        }
        n = room != NULL ? len : n;
        placed += room != NULL ? n : 0;
        if (room != NULL)
            memcpy(room, data + at, n);
        sink_put(
            &w.sink, &b, &at, room != NULL ? room : data + at, n, &new, &e);
    }
    sink_flush(&w.sink, &b);
    ok(new == SIZE - 10000, "in place: the part is not taken twice");
    ok(placed > SIZE - 2 * 100000 - 10000, "in place: nearly all is");
    check(&w, "in place");
}

static bool noted(void)
{
    char live[PATH_MAX];

    journal_live(journal, live);
    return access(live, F_OK) == 0;
}

/* What may be unnoted is less for fewer lanes, at once. */
static void fewer_lanes(void)
{
    struct err e = ERR_INIT;
    struct world w;

    begin(&w, 160, &e);
    feed(&w, 0, 3 * BLOCK_BYTES, &e);
    for (int i = 0; i < 500; i++)
        nap();
    ok(!noted(), "three blocks of four lanes are not noted yet");
    intake_lanes(w.in, 1);
    for (int i = 0; i < 10000 && !noted(); i++)
        nap();
    ok(noted(), "they are when one lane is left");
    finish(&w);
}

/* Several lanes at once, the first of them slow. */
static void lanes(void)
{
    struct err e = ERR_INIT;
    struct block *b[LANES] = { NULL };
    uint64_t at[LANES], end[LANES], new = 0;
    struct world w;
    int open = LANES;

    begin(&w, SMALL, &e);
    for (int i = 0; i < LANES; i++) {
        at[i] = (uint64_t)i * 3 * PIECE;
        end[i] = i == LANES - 1 ? SIZE : at[i] + 3 * PIECE;
    }
    for (unsigned turn = 0; open > 0 && e.kind == ERR_NONE; turn++) {
        open = 0;
        for (int i = 0; i < LANES; i++) {
            open += at[i] < end[i];
            if (at[i] < end[i] && (i > 0 || turn % 16 == 0))
                sink_put(&w.sink, &b[i], &at[i], data + at[i],
                    size_min(16384, end[i] - at[i]), &new, &e);
        }
        if (turn % 64 == 0)
            nap();
    }
    for (int i = 0; i < LANES; i++)
        sink_flush(&w.sink, &b[i]);
    is_int((long long)new, SIZE, "every byte was new");
    check(&w, "four lanes, one slow");
}

/* The same bytes twice: a stream that begins anew. */
static void twice(void)
{
    struct err e = ERR_INIT;
    struct world w;

    begin(&w, 160, &e);
    ok(feed(&w, 5000, 3 * PIECE, &e) && feed(&w, 7 * PIECE + 1, SIZE, &e) &&
            feed(&w, 0, SIZE, &e),
        "bytes that came before are skipped");
    check(&w, "twice");
}

static void goes_on(void)
{
    struct err e = ERR_INIT;
    struct world w;

    begin(&w, 160, &e);
    feed(&w, 0, 5 * PIECE + 11, &e);
    feed(&w, 8 * PIECE, 9 * PIECE, &e);
    leave(&w, &e);

    begin(&w, SMALL, &e);
    is_int((long long)ranges_sum(&w.sink.got), 6 * PIECE + 11,
        "a second run has what the first one left");
    ok(feed(&w, 9 * PIECE, SIZE, &e) && feed(&w, 5 * PIECE + 11, 8 * PIECE, &e),
        "and fetches the rest");
    check(&w, "a resume");
}

/* There is more on disk to be hashed than memory: the rest comes anyway. */
static void held_first(void)
{
    struct err e = ERR_INIT;
    struct world w;

    begin(&w, 160, &e);
    feed(&w, 0, 8 * PIECE, &e);
    leave(&w, &e);

    no_hash = true;
    begin(&w, 16, &e);
    ok(feed_within(&w, 50000, 8 * PIECE, SIZE, &e),
        "what comes does not wait for what is there");
    ok(intake_behind(w.in), "it is known that the hash is behind");
    no_hash = false;
    check(&w, "held first");
}

/* Nor does it where many files are there to be hashed, one after the other. */
static void many_held(void)
{
    enum { HELD = 8 };
    struct err e = ERR_INIT;
    struct world w[HELD + 1];
    struct intake *in;

    no_hash = true;
    in = enter_many(w, HELD + 1, HELD, SIZE, &e);
    for (int i = 0; i < 500; i++)
        nap(); /* what can be read has been */
    ok(feed_within(&w[HELD], 5000, 0, 4 * PIECE, &e),
        "what comes does not wait for many that are there");
    no_hash = false;
    for (unsigned i = 0; i <= HELD; i++) {
        sink_end(&w[i].sink);
        sink_free(&w[i].sink);
        partial_drop(&w[i].partial);
    }
    intake_close(in);
}

/* It is all in memory: what has no room there waits for the hash. */
static void slow_hash(void)
{
    struct err e = ERR_INIT;
    struct world w;

    no_hash = true;
    begin(&w, SMALL, &e);
    ok(!feed_within(&w, 1000, 0, SIZE, &e) && e.kind == ERR_NONE,
        "what comes waits for the hash");
    ok(intake_behind(w.in), "that is behind");
    no_hash = false;
    ok(feed(&w, 0, SIZE, &e), "and then goes on");
    check(&w, "a slow hash");
}

/* The network is: the first byte comes last. */
static void slow_network(void)
{
    struct err e = ERR_INIT;
    struct world w;

    begin(&w, SMALL, &e);
    ok(feed(&w, PIECE, SIZE, &e), "all but the front came");
    ok(!intake_behind(w.in), "the hash is not behind then");
    feed(&w, 0, PIECE, &e);
    check(&w, "a slow network");
}

/* One lane each: a kill may cost no more than of one file. */
static void many(void)
{
    enum { FILES = 16 };
    struct err e = ERR_INIT;
    struct world w[FILES];
    struct intake *in = enter_many(w, FILES, 0, PIECE, &e);
    uint64_t kept = 0;

    for (int i = 0; i < FILES; i++)
        ok(feed(&w[i], 0, PIECE, &e), "file %d: %s", i, e.msg);
    for (int i = 0; i < FILES; i++)
        is_int(wait_end(&w[i], &e), SINK_DONE, "written");
    for (int i = 0; i < FILES; i++) {
        struct partial *p = &w[i].partial;
        uint64_t n = 0, allocated;

        sink_end(&w[i].sink);
        partial_kept(p->path, p->journal, &want, PIECE, &n, &allocated, &e);
        kept += n;
        sink_free(&w[i].sink);
        partial_drop(p);
    }
    intake_close(in);
    /* A block for each lane, and the one that was written last. */
    ok(kept >= (uint64_t)FILES * (PIECE - BLOCK_BYTES) - BLOCK_BYTES,
        "of many files most is noted: %llu of %d", (unsigned long long)kept,
        FILES * PIECE);
}

/* More files than can be saved in a second: each one's turn comes. */
static void slow_saves(void)
{
    enum { FILES = 4, TURNS = 42 };
    struct timespec tenth = { .tv_nsec = 100000000 };
    struct err e = ERR_INIT;
    struct world w[FILES];
    struct intake *in = enter_many(w, FILES, 0, PIECE, &e);

    slow_disk = true;
    for (int turn = 0; turn < TURNS; turn++) {
        uint64_t from = (uint64_t)turn * 4096;

        for (int i = 0; i < FILES; i++)
            feed(&w[i], from, from + 4096, &e);
        nanosleep(&tenth, NULL);
    }
    for (int i = 0; i < FILES; i++)
        ok(access(w[i].partial.journal, F_OK) == 0, "file %d was saved", i);
    slow_disk = false;
    for (int i = 0; i < FILES; i++) {
        sink_end(&w[i].sink);
        sink_free(&w[i].sink);
        partial_drop(&w[i].partial);
    }
    intake_close(in);
}

static void disk_full(void)
{
    struct err e = ERR_INIT;
    struct world w;

    begin(&w, 160, &e);
    feed(&w, 0, PIECE, &e);
    full_disk = true;
    feed(&w, PIECE, 8 * PIECE, &e);
    err_clear(&e);
    is_int(wait_end(&w, &e), SINK_BROKEN, "a full disk is told");
    ok(e.kind == ERR_NOSPACE, "as what it is: %s", e.msg);
    full_disk = false;
    err_clear(&e);
    ok(!feed(&w, 9 * PIECE, SIZE, &e) && e.kind == ERR_NOSPACE,
        "and nothing more is taken");
    sink_end(&w.sink);
    ok(ranges_sum(&w.partial.have) < 8 * PIECE,
        "what was not written is not claimed");
    finish(&w);
}

static void begin_rows(struct world *w, struct err *e)
{
    begin(w, 160, e);
    rows = 0;
    slow_writes = true;
    if (partial_row(&w->partial) == 1)
        w->partial.direct = fcntl(w->partial.fd, F_DUPFD_CLOEXEC, 0);
}

/* Blocks that follow each other are written at once, or each on its own. */
static void in_rows(const char *name, unsigned lanes, bool torn)
{
    struct err e = ERR_INIT;
    struct world w;

    begin_rows(&w, &e);
    intake_lanes(w.in, lanes);
    torn_rows = torn;
    ok(feed(&w, 0, SIZE, &e), "%s: taken", name);
    check(&w, name);
    ok((rows > 0) == (lanes > 1), "%s: %d of them", name, rows);
    torn_rows = slow_writes = false;
}

static void rows_on_a_full_disk(void)
{
    struct err e = ERR_INIT;
    struct world w;

    begin_rows(&w, &e);
    space = 7;
    feed(&w, 0, SIZE, &e);
    err_clear(&e);
    ok(wait_end(&w, &e) == SINK_BROKEN && rows > 0, "a full disk meets a row");
    sink_end(&w.sink);
    is_int((long long)ranges_sum(&w.partial.have), 7 * BLOCK_BYTES,
        "what of it was written is kept");
    space = -1;
    slow_writes = false;
    finish(&w);
}

/* Wrong bytes must not pass: else the tests above prove nothing. */
static void control(void)
{
    struct err e = ERR_INIT;
    struct digest got;
    struct world w;

    begin(&w, 160, &e);
    data[SIZE - 1] ^= 1;
    feed(&w, 0, SIZE, &e);
    data[SIZE - 1] ^= 1;
    is_int(wait_end(&w, &e), SINK_DONE, "one bit is wrong: done");
    sink_end(&w.sink);
    sink_digest(&w.sink, &got);
    ok(!digest_eq(&got, &want), "the digest tells");
    finish(&w);
}

int main(void)
{
    scratch_open();
    make_world();
    orders();
    in_place();
    fewer_lanes();
    lanes();
    twice();
    goes_on();
    held_first();
    many_held();
    slow_hash();
    slow_network();
    many();
    slow_saves();
    disk_full();
    in_rows("rows", LANES, false);
    in_rows("rows that are written in part", LANES, true);
    in_rows("one lane, no rows", 1, false);
    rows_on_a_full_disk();
    control();
    ok(woken > 0, "the owner was woken");
    scratch_close();
    return done();
}
