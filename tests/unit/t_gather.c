/*
 * The tiled gather against the plain one, element by element: any strides,
 * any element size, any range; and the panels in front of it, asked by
 * several threads at once.
 */
#include "formats/gather.h"

#include <pthread.h>

#include "base/pool.h"
#include "formats/panel.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

enum { BYTES = 24 << 20, SMALL = 300000, PIECE = 50000 };

static uint64_t pick(uint64_t *seed, uint64_t below)
{
    *seed = *seed * 6364136223846793005U + 1442695040888963407U;
    return (*seed >> 33) % below;
}

static void open_noise(struct ckpt_file *f)
{
    uint8_t *p = malloc(BYTES);
    struct err e = ERR_INIT;
    uint64_t seed = 3;

    for (uint64_t i = 0; p != NULL && i < BYTES; i++)
        p[i] = (uint8_t)pick(&seed, 256);
    write_file(at("noise"), p, BYTES);
    free(p);
    snprintf(f->path, sizeof(f->path), "%s", at("noise"));
    ok(map_open(&f->map, f->path, &e) == 0, "a file of noise");
}

/* A view that stays inside n bytes. */
static void make_view(struct tensor *t, uint64_t *shape, uint64_t *stride,
    uint64_t *seed, uint64_t n)
{
    static const enum dtype types[] = { DTYPE_U8, DTYPE_BF16, DTYPE_F32,
        DTYPE_F64, DTYPE_C128 };
    enum dtype type = types[pick(seed, ARRAY_LEN(types))];
    uint64_t last = 0, count = 1;

    n /= dtype_bytes(type);
    *t = (struct tensor){ .name = str_of("t"),
        .dtype = type,
        .rank = 1 + (uint32_t)pick(seed, 4),
        .shape = shape,
        .stride = stride };
    for (uint32_t d = 0; d < t->rank; d++) {
        uint64_t room = (n - 1 - last) / t->rank;

        shape[d] = 1 + pick(seed, d == 0 ? 150 : 20);
        stride[d] = pick(seed, 5) == 0 ? 0 : pick(seed, room / shape[d] + 1);
        if (pick(seed, 3) == 0)
            stride[d] = size_min(stride[d], d + 1);
        last += (shape[d] - 1) * stride[d];
        count *= shape[d];
    }
    t->n = count;
    t->offset = pick(seed, n - last) * dtype_bytes(type);
    t->storage_len = n * dtype_bytes(type);
}

static bool same(const struct ckpt_file *f, const struct tensor *t,
    uint64_t first, uint64_t n)
{
    unsigned size = dtype_bytes(t->dtype);
    uint8_t *a = malloc(n * size + 1), *b = malloc(n * size + 1);
    struct err e = ERR_INIT;
    bool good = a != NULL && b != NULL &&
                gather_read(f, t, first, n, a, &e) == 0 &&
                gather_read_plain(f, t, first, n, b, &e) == 0 &&
                memcmp(a, b, n * size) == 0;

    free(a);
    free(b);
    return good;
}

static void random_views(const struct ckpt_file *f)
{
    uint64_t seed = 11, bad = 0;

    for (int turn = 0; turn < 300; turn++) {
        uint64_t shape[5], stride[5], first;
        struct tensor t;

        make_view(&t, shape, stride, &seed, SMALL);
        first = pick(&seed, t.n);
        bad +=
            !same(f, &t, first, 1 + pick(&seed, size_min(t.n - first, 4000)));
    }
    is_int((long long)bad, 0, "300 random views of five element sizes");
}

/* Larger than tiles and windows in both directions. */
static void transposes(const struct ckpt_file *f)
{
    static const struct {
        enum dtype dtype;
        uint64_t rows, cols;
    } cases[] = { { DTYPE_F32, 700, 33 }, { DTYPE_F16, 61, 1100 },
        { DTYPE_U8, 515, 131 }, { DTYPE_C128, 40, 513 },
        { DTYPE_F64, 1030, 17 } };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t shape[] = { cases[i].rows, cases[i].cols };
        uint64_t stride[] = { 1, cases[i].rows };
        struct tensor t = { .name = str_of("t"),
            .dtype = cases[i].dtype,
            .rank = 2,
            .shape = shape,
            .stride = stride,
            .n = shape[0] * shape[1],
            .offset = 16,
            .storage_at = 16,
            .storage_len = BYTES - 16 };

        ok(same(f, &t, 0, t.n) && same(f, &t, 7, t.n - 20),
            "%llu by %llu turned over, %s", (unsigned long long)shape[0],
            (unsigned long long)shape[1], dtype_name(t.dtype));
    }
}

struct job {
    struct panels *panels;
    const struct ckpt_file *f;
    const struct tensor *t;
    uint8_t *out;
    struct err e;
    pthread_mutex_t lock;
};

static void read_piece(void *ctx, size_t i)
{
    struct job *j = ctx;
    uint64_t first = (uint64_t)i * PIECE;
    struct err e = ERR_INIT;

    if (panels_read(j->panels, j->f, j->t, first,
            size_min(PIECE, j->t->n - first), j->out + 4 * first, &e) == 0)
        return;
    pthread_mutex_lock(&j->lock);
    j->e = e;
    pthread_mutex_unlock(&j->lock);
}

/* More than all panels hold, so that they are filled anew. */
static void shared(const struct ckpt_file *f, unsigned threads, uint64_t rows)
{
    struct err e = ERR_INIT;
    uint64_t shape[] = { rows, BYTES / 4 / rows }, stride[] = { 1, rows };
    struct tensor t = { .name = str_of("t"),
        .dtype = DTYPE_F32,
        .rank = 2,
        .shape = shape,
        .stride = stride,
        .n = shape[0] * shape[1],
        .storage_len = BYTES };
    struct job j = { panels_new(&e), f, &t, malloc(BYTES), ERR_INIT,
        PTHREAD_MUTEX_INITIALIZER };
    struct pool *pool = pool_open(threads, &e);
    uint64_t bad = 0;

    if (j.panels == NULL || j.out == NULL || pool == NULL) {
        ok(false, "room for a test: %s", e.msg);
        return;
    }
    pool_run(pool, (t.n + PIECE - 1) / PIECE, read_piece, &j);
    for (uint64_t i = 0; i < t.n; i++)
        bad += memcmp(j.out + 4 * i,
                   f->map.p + 4 * (i / shape[1] + i % shape[1] * rows), 4) != 0;
    ok(bad == 0 && j.e.kind == ERR_NONE, "%llu rows in panels, %u threads %s",
        (unsigned long long)rows, threads, j.e.msg);
    pool_close(pool);
    panels_free(j.panels);
    free(j.out);
}

/* A file that is cut short: everyone who waits is told. */
static void cut_short(struct ckpt_file *f)
{
    struct err e = ERR_INIT;
    uint64_t shape[] = { 512, 4096 }, stride[] = { 1, 4096 };
    struct tensor t = { .name = str_of("t"),
        .dtype = DTYPE_F64,
        .rank = 2,
        .shape = shape,
        .stride = stride,
        .n = 512 * 4096,
        .storage_len = 4096 * 4096 * 8 };
    struct panels *p = panels_new(&e);
    double out[8];

    ok(p != NULL && panels_read(p, f, &t, 0, 8, out, &e) == -1 &&
            e.kind == ERR_CORRUPT,
        "a file that ends too early: %s", e.msg);
    err_clear(&e);
    ok(panels_read(p, f, &t, 0, 8, out, &e) == -1 && e.kind == ERR_CORRUPT,
        "and again");
    panels_free(p);
}

int main(void)
{
    static struct ckpt_file f;

    scratch_open();
    open_noise(&f);
    random_views(&f);
    transposes(&f);
    shared(&f, 1, 3000);
    shared(&f, 8, 1024);
    shared(&f, 8, 100000);
    cut_short(&f);
    map_close(&f.map);
    scratch_close();
    return done();
}
