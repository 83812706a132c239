#include "cuda/ring.h"

#include <cuda_runtime_api.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/pool.h"
#include "cuda/tune.h"

enum {
    PAGE = 4096,
    THREADS_MAX = 8,
    BUFFERS = 2 /* of a thread: one is read into while the other goes */
};

struct lane {
    cudaStream_t q;         /* NULL: nothing is there yet */
    uint8_t *room[BUFFERS]; /* pinned, TUNE_RING_BYTES + 2 pages */
    cudaEvent_t gone[BUFFERS];
    cudaEvent_t done; /* for ring_wait */
    int b;            /* the next room */
    int fd[2];        /* of the file last read past the page cache, and which */
    void *file;       /* the same for cuFile; NULL: it does not read it */
    int veiled;       /* a file of which mincore does not tell; -1: none */
    struct err e;
};

struct ring {
    bool (*cancelled)(void);
    struct cufile *cufile;
    int device;
    unsigned threads;
    struct pool *pool;
    struct lane lanes[THREADS_MAX];
    /* what is copied now */
    uint8_t *to;
    const struct ring_piece *v;
    uint64_t *first; /* (n + 1) number of a piece's first chunk */
    size_t n;
    cudaEvent_t after;
    bool again;
    atomic_ullong next;
    atomic_bool failed;
};

struct chunk {
    const struct ring_piece *piece;
    uint64_t at; /* in the piece */
    uint64_t len;
};

static struct chunk chunk_of(const struct ring *r, uint64_t number)
{
    size_t low = 0;
    size_t high = r->n;
    struct chunk c;

    while (high - low > 1) {
        size_t mid = (low + high) / 2;

        if (r->first[mid] <= number)
            low = mid;
        else
            high = mid;
    }
    c.piece = &r->v[low];
    c.at = (number - r->first[low]) * TUNE_RING_BYTES;
    c.len = size_min(TUNE_RING_BYTES, c.piece->len - c.at);
    return c;
}

static int failed(struct err *e, cudaError_t rc)
{
    return err_set(e, ERR_IO, "weights: %s", cudaGetErrorString(rc));
}

/* ---- reading ---- */

static void leave_file(const struct ring *r, struct lane *l)
{
    cufile_remove(r->cufile, l->file);
    l->file = NULL;
    if (l->fd[0] >= 0)
        close(l->fd[0]);
    l->fd[0] = l->fd[1] = -1;
}

/*
 * A descriptor of the file that reads past the page cache, or -1. The file
 * that is mapped, whatever has its name by now.
 */
static int direct(
    const struct ring *r, struct lane *l, const struct plugin_file *file)
{
    char path[32];

    if (l->fd[1] == file->fd)
        return l->fd[0];
    leave_file(r, l);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
    l->fd[0] = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    l->fd[1] = file->fd;
    l->file = cufile_add(r->cufile, l->fd[0]);
    return l->fd[0];
}

static uint64_t place_in_file(const struct chunk *c)
{
    return (uint64_t)(c->piece->p - (const uint8_t *)c->piece->file->map) +
           c->at;
}

enum cached { CACHED, NOT_CACHED, WHO_KNOWS };

/*
 * May all of it be in the page cache? For a file that is not ours mincore
 * says so of everything; what it denies is never there.
 */
static bool may_be_cached(const struct chunk *c)
{
    unsigned char seen[TUNE_RING_BYTES / PAGE + 2];
    uintptr_t from = (uintptr_t)c->piece->p + c->at;
    uintptr_t first = from & ~(uintptr_t)(PAGE - 1);
    size_t bytes = from + c->len - first;

    if (sysconf(_SC_PAGESIZE) != PAGE ||
        mincore((void *)first, bytes, seen) != 0)
        return true;
    for (size_t i = 0; i < (bytes + PAGE - 1) / PAGE; i++)
        if ((seen[i] & 1) == 0)
            return false;
    return true;
}

/*
 * What the page cache has of it, and only that. Where it lacks something the
 * kernel would begin to read that for us, and we read it once more past the
 * cache; so nothing is asked for that cannot be there.
 */
static enum cached from_cache(struct lane *l, const struct chunk *c)
{
    int fd = c->piece->file->fd;
    uint64_t from = place_in_file(c);
    uint64_t got = 0;

    if (!TUNE_USE_CACHE || fd == l->veiled || !may_be_cached(c))
        return NOT_CACHED;
    while (got < c->len) {
        struct iovec v = { l->room[l->b] + got, c->len - got };
        ssize_t n = preadv2(fd, &v, 1, (off_t)(from + got), RWF_NOWAIT);

        if (n < 0 && errno == EOPNOTSUPP)
            return WHO_KNOWS;
        if (n < 0)
            l->veiled = fd;
        if (n <= 0)
            return NOT_CACHED;
        got += (uint64_t)n;
    }
    return CACHED;
}

/*
 * The chunk from the file, with whole pages around it; where it starts in the
 * room, or -1 when the file system or the file's end does not allow it.
 */
static int64_t read_file(struct lane *l, int fd, const struct chunk *c)
{
    uint64_t from = place_in_file(c);
    uint64_t start = from & ~(uint64_t)(PAGE - 1);
    uint64_t end = size_align(from + c->len, PAGE);
    uint64_t got = 0;

    while (fd >= 0 && got < from + c->len - start) {
        ssize_t n = pread(
            fd, l->room[l->b] + got, end - start - got, (off_t)(start + got));

        if (n <= 0)
            return -1;
        got += (uint64_t)n;
        if (got < from + c->len - start && got % PAGE != 0)
            return -1;
    }
    return fd < 0 ? -1 : (int64_t)(from - start);
}

/* Without a room between. It waits for no stream, so nothing may use that yet.
 */
static bool read_there(
    const struct ring *r, struct lane *l, const struct chunk *c)
{
    const struct ring_piece *v = c->piece;

    if (r->cufile == NULL || r->after != NULL || direct(r, l, v->file) < 0 ||
        l->file == NULL)
        return false;
    return cufile_read(
        r->cufile, l->file, r->to + v->to + c->at, place_in_file(c), c->len);
}

/*
 * Into a room; where in it, or -1: it is on the device already. A file is
 * read as long as that can be done, which costs what its mapping would.
 */
static int64_t take(const struct ring *r, struct lane *l, const struct chunk *c)
{
    const struct ring_piece *v = c->piece;
    enum cached cached = v->file != NULL ? from_cache(l, c) : WHO_KNOWS;
    int64_t at = -1;

    if (cached == CACHED)
        return 0;
    if (cached == NOT_CACHED && !r->again) {
        if (read_there(r, l, c))
            return -1;
        at = read_file(l, direct(r, l, v->file), c);
    }
    if (at < 0 && v->file != NULL)
        at = read_file(l, v->file->fd, c);
    if (at >= 0)
        return at;
    memcpy(l->room[l->b], v->p + c->at, c->len);
    return 0;
}

/* ---- threads ---- */

static int pass_on(struct ring *r, struct lane *l, uint64_t number)
{
    struct chunk c = chunk_of(r, number);
    cudaError_t rc;
    int64_t at;

    if (r->cancelled())
        return err_set(&l->e, ERR_CANCELLED, "interrupted");
    rc = cudaEventSynchronize(l->gone[l->b]);
    if (rc != cudaSuccess)
        return failed(&l->e, rc);
    at = take(r, l, &c);
    if (at < 0)
        return 0;
    rc = cudaMemcpyAsync(r->to + c.piece->to + c.at, l->room[l->b] + at, c.len,
        cudaMemcpyHostToDevice, l->q);
    if (rc == cudaSuccess)
        rc = cudaEventRecord(l->gone[l->b], l->q);
    l->b = (l->b + 1) % BUFFERS;
    return rc == cudaSuccess ? 0 : failed(&l->e, rc);
}

/* Before the first copy, so that none waits for pinned memory. */
static void make_lane(void *ctx, size_t number)
{
    struct ring *r = ctx;
    struct lane *l = &r->lanes[number];
    cudaError_t rc = cudaSetDevice(r->device);

    l->fd[0] = l->fd[1] = l->veiled = -1;
    for (int i = 0; i < BUFFERS && rc == cudaSuccess; i++) {
        void *p = NULL;

        rc = cudaHostAlloc(&p, TUNE_RING_BYTES + 2 * PAGE, 0);
        l->room[i] = p;
        if (rc == cudaSuccess)
            rc = cudaEventCreateWithFlags(&l->gone[i], cudaEventDisableTiming);
    }
    if (rc == cudaSuccess)
        rc = cudaEventCreateWithFlags(&l->done, cudaEventDisableTiming);
    if (rc == cudaSuccess)
        rc = cudaStreamCreateWithFlags(&l->q, cudaStreamNonBlocking);
    if (rc != cudaSuccess)
        failed(&l->e, rc);
}

static void free_lane(const struct ring *r, struct lane *l)
{
    if (l->q != NULL) {
        cudaStreamSynchronize(l->q);
        cudaStreamDestroy(l->q);
        leave_file(r, l);
    }
    for (int i = 0; i < BUFFERS; i++) {
        cudaFreeHost(l->room[i]);
        if (l->gone[i] != NULL)
            cudaEventDestroy(l->gone[i]);
    }
    if (l->done != NULL)
        cudaEventDestroy(l->done);
}

static int start_lane(const struct ring *r, struct lane *l)
{
    cudaError_t rc = cudaSetDevice(r->device);

    if (rc == cudaSuccess && r->after != NULL)
        rc = cudaStreamWaitEvent(l->q, r->after, 0);
    return rc == cudaSuccess ? 0 : failed(&l->e, rc);
}

static void run_lane(void *ctx, size_t i)
{
    struct ring *r = ctx;
    struct lane *l = &r->lanes[i];
    int rc = start_lane(r, l);

    while (rc == 0 && !atomic_load(&r->failed)) {
        uint64_t number = atomic_fetch_add(&r->next, 1);

        if (number >= r->first[r->n])
            break;
        rc = pass_on(r, l, number);
    }
    if (rc != 0)
        atomic_store(&r->failed, true);
}

/* The first of the lanes' failures. */
static int failure(const struct ring *r, struct err *e)
{
    for (unsigned i = 0; i < r->threads; i++)
        if (r->lanes[i].e.kind != ERR_NONE) {
            *e = r->lanes[i].e;
            return -1;
        }
    return 0;
}

struct ring *ring_open(
    int device, bool (*cancelled)(void), struct cufile *c, struct err *e)
{
    struct ring *r = calloc(1, sizeof(*r));

    if (r == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    r->device = device;
    r->cancelled = cancelled;
    r->cufile = c;
    r->threads = (unsigned)size_min(pool_cores(), THREADS_MAX);
    r->pool = pool_open(r->threads, e);
    if (r->pool == NULL) {
        free(r);
        return NULL;
    }
    pool_run(r->pool, r->threads, make_lane, r);
    if (failure(r, e) == 0)
        return r;
    ring_close(r);
    return NULL;
}

void ring_close(struct ring *r)
{
    if (r == NULL)
        return;
    pool_close(r->pool);
    for (unsigned i = 0; i < r->threads; i++)
        free_lane(r, &r->lanes[i]);
    free(r);
}

static void count_chunks(uint64_t *first, const struct ring_piece *v, size_t n)
{
    first[0] = 0;
    for (size_t i = 0; i < n; i++)
        first[i + 1] =
            first[i] + (v[i].len + TUNE_RING_BYTES - 1) / TUNE_RING_BYTES;
}

static int run_lanes(struct ring *r, struct err *e)
{
    atomic_store(&r->next, 0);
    atomic_store(&r->failed, false);
    for (unsigned i = 0; i < r->threads; i++)
        r->lanes[i].e = (struct err)ERR_INIT;
    pool_run(r->pool, size_min(r->threads, r->first[r->n]), run_lane, r);
    return failure(r, e);
}

int ring_copy(struct ring *r, void *to, const struct ring_piece *v, size_t n,
    cudaEvent_t after, bool again, struct err *e)
{
    int rc;

    r->to = to;
    r->v = v;
    r->n = n;
    r->after = after;
    r->again = again;
    r->first = calloc(n + 1, sizeof(*r->first));
    if (r->first == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    count_chunks(r->first, v, n);
    rc = run_lanes(r, e);
    free(r->first);
    r->first = NULL;
    return rc;
}

int ring_wait(struct ring *r, cudaStream_t q, struct err *e)
{
    for (unsigned i = 0; i < r->threads; i++) {
        struct lane *l = &r->lanes[i];
        cudaError_t rc = cudaSuccess;

        if (l->q != NULL)
            rc = cudaEventRecord(l->done, l->q);
        if (l->q != NULL && rc == cudaSuccess)
            rc = cudaStreamWaitEvent(q, l->done, 0);
        if (rc != cudaSuccess)
            return failed(e, rc);
    }
    return 0;
}
