#include "cuda/ring.h"

#include <cuda_runtime_api.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/pool.h"
#include "cuda/tune.h"

enum {
    PAGE = 4096,
    THREADS_MAX = 8,
    BUFFERS = 2 /* of a thread: one is read into while the other goes */
};

struct lane {
    cudaStream_t q;
    uint8_t *room[BUFFERS]; /* pinned, TUNE_RING_BYTES + 2 pages */
    cudaEvent_t gone[BUFFERS];
    int fd[2]; /* of the file last read past the page cache, and which */
    struct err e;
};

struct ring {
    const struct ring_piece *v;
    const uint64_t *first; /* (n + 1) number of a piece's first chunk */
    size_t n;
    bool (*cancelled)(void);
    int device;
    atomic_ullong next;
    atomic_bool failed;
    struct lane lanes[THREADS_MAX];
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

/* Is all of it in memory? Nobody is asked for what does not say. */
static bool is_there(const uint8_t *p, uint64_t len)
{
    unsigned char seen[TUNE_RING_BYTES / PAGE + 2];
    uintptr_t first = (uintptr_t)p & ~(uintptr_t)(PAGE - 1);
    size_t bytes = (uintptr_t)p + len - first;

    if (!TUNE_USE_CACHE)
        return false;
    if (sysconf(_SC_PAGESIZE) != PAGE ||
        mincore((void *)first, bytes, seen) != 0)
        return true;
    for (size_t i = 0; i < (bytes + PAGE - 1) / PAGE; i++)
        if ((seen[i] & 1) == 0)
            return false;
    return true;
}

/* A descriptor of the file that reads past the page cache, or -1. */
static int direct(struct lane *l, const struct plugin_file *file)
{
    if (l->fd[1] == file->fd)
        return l->fd[0];
    if (l->fd[0] >= 0)
        close(l->fd[0]);
    l->fd[0] = open(file->path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    l->fd[1] = file->fd;
    return l->fd[0];
}

/*
 * The chunk from the disk, with whole pages around it; where it starts in the
 * room, or -1 when the file system or the file's end does not allow it.
 */
static int64_t read_direct(
    struct lane *l, const struct ring_piece *v, const struct chunk *c, int b)
{
    const uint8_t *map = v->file->map;
    uint64_t from = (uint64_t)(v->p - map) + c->at;
    uint64_t start = from & ~(uint64_t)(PAGE - 1);
    uint64_t end = size_align(from + c->len, PAGE);
    int fd = direct(l, v->file);
    uint64_t got = 0;

    while (fd >= 0 && got < from + c->len - start) {
        ssize_t n = pread(
            fd, l->room[b] + got, end - start - got, (off_t)(start + got));

        if (n <= 0)
            return -1;
        got += (uint64_t)n;
        if (got < from + c->len - start && got % PAGE != 0)
            return -1;
    }
    return fd < 0 ? -1 : (int64_t)(from - start);
}

/* Into a room; where in it. */
static uint64_t take(struct lane *l, const struct chunk *c, int b)
{
    const struct ring_piece *v = c->piece;
    int64_t at = -1;

    if (v->file != NULL && !is_there(v->p + c->at, c->len))
        at = read_direct(l, v, c, b);
    if (at >= 0)
        return (uint64_t)at;
    memcpy(l->room[b], v->p + c->at, c->len);
    return 0;
}

/* ---- threads ---- */

static int pass_on(struct ring *r, struct lane *l, uint64_t number, int b)
{
    struct chunk c = chunk_of(r, number);
    cudaError_t rc = cudaEventSynchronize(l->gone[b]);
    uint64_t at;

    if (r->cancelled())
        return err_set(&l->e, ERR_CANCELLED, "interrupted");
    if (rc != cudaSuccess)
        return failed(&l->e, rc);
    at = take(l, &c, b);
    rc = cudaMemcpyAsync(c.piece->to + c.at, l->room[b] + at, c.len,
        cudaMemcpyHostToDevice, l->q);
    if (rc == cudaSuccess)
        rc = cudaEventRecord(l->gone[b], l->q);
    return rc == cudaSuccess ? 0 : failed(&l->e, rc);
}

static int make_lane(struct lane *l, int device)
{
    cudaError_t rc = cudaSetDevice(device);

    l->fd[0] = l->fd[1] = -1;
    if (rc == cudaSuccess)
        rc = cudaStreamCreateWithFlags(&l->q, cudaStreamNonBlocking);
    for (int i = 0; i < BUFFERS && rc == cudaSuccess; i++) {
        void *p = NULL;

        rc = cudaHostAlloc(&p, TUNE_RING_BYTES + 2 * PAGE, 0);
        l->room[i] = p;
        if (rc == cudaSuccess)
            rc = cudaEventCreateWithFlags(&l->gone[i], cudaEventDisableTiming);
    }
    return rc == cudaSuccess ? 0 : failed(&l->e, rc);
}

static void free_lane(struct lane *l)
{
    if (l->q != NULL)
        cudaStreamDestroy(l->q);
    for (int i = 0; i < BUFFERS; i++) {
        cudaFreeHost(l->room[i]);
        if (l->gone[i] != NULL)
            cudaEventDestroy(l->gone[i]);
    }
    if (l->fd[0] >= 0)
        close(l->fd[0]);
}

static void run_lane(void *ctx, size_t i)
{
    struct ring *r = ctx;
    struct lane *l = &r->lanes[i];
    int rc = make_lane(l, r->device);
    int b = 0;

    while (rc == 0 && !atomic_load(&r->failed)) {
        uint64_t number = atomic_fetch_add(&r->next, 1);

        if (number >= r->first[r->n])
            break;
        rc = pass_on(r, l, number, b);
        b = (b + 1) % BUFFERS;
    }
    if (rc == 0 && cudaStreamSynchronize(l->q) != cudaSuccess)
        rc = failed(&l->e, cudaGetLastError());
    if (rc != 0)
        atomic_store(&r->failed, true);
    free_lane(l);
}

static int count_chunks(uint64_t *first, const struct ring_piece *v, size_t n)
{
    first[0] = 0;
    for (size_t i = 0; i < n; i++)
        first[i + 1] =
            first[i] + (v[i].len + TUNE_RING_BYTES - 1) / TUNE_RING_BYTES;
    return n > 0 && first[n] > 0;
}

static void free_numbers(uint64_t **v)
{
    free(*v);
}

int ring_copy(const struct ring_piece *v, size_t n, bool (*cancelled)(void),
    struct err *e)
{
    uint64_t *first AUTO(free_numbers) = calloc(n + 1, sizeof(*first));
    struct ring r = { .v = v, .first = first, .n = n, .cancelled = cancelled };
    unsigned threads = (unsigned)size_min(pool_cores(), THREADS_MAX);
    struct pool *pool;

    if (first == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (!count_chunks(first, v, n))
        return 0;
    if (cudaGetDevice(&r.device) != cudaSuccess)
        return err_set(e, ERR_IO, "weights: no device");
    threads = (unsigned)size_min(threads, first[n]);
    pool = pool_open(threads, e);
    if (pool == NULL)
        return -1;
    pool_run(pool, threads, run_lane, &r);
    pool_close(pool);
    for (unsigned i = 0; i < threads; i++)
        if (r.lanes[i].e.kind != ERR_NONE) {
            *e = r.lanes[i].e;
            return -1;
        }
    return 0;
}
