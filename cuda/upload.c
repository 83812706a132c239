/*
 * The weights on their way to the device. Tensors that lie next to each other
 * in a file, at places the kernels can read 16 bytes from, go as one piece
 * and keep their distances; of the uniform form that is all of a file. What
 * is a part of something else goes with it.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/human.h"
#include "cuda/gpu_internal.h"
#include "cuda/ring.h"

/* Bytes on the host that go to one place of the device. */
struct piece {
    const uint8_t *p;
    uint64_t len;
    uint64_t to; /* from the start of the device's allocation */
};

struct pieces {
    struct piece *v;
    size_t n;
    uint64_t total;
};

enum {
    GAP_MAX = 4096, /* bytes nobody asked for that may go along */
    GRAIN = 256     /* where pieces start */
};

static size_t slots(const struct plugin_model *m)
{
    return 2 * (size_t)m->layers * m->first[ROLE_COUNT];
}

static uint64_t bytes_of(const struct plugin_weight *w)
{
    uint64_t size = 4;

    if (w->dtype == DTYPE_F16 || w->dtype == DTYPE_BF16)
        size = 2;
    else if (w->dtype == DTYPE_I8)
        size = 1;
    return w->rows * w->cols * size;
}

static int by_place(const void *a, const void *b)
{
    const struct piece *x = a;
    const struct piece *y = b;

    if (x->p != y->p)
        return x->p < y->p ? -1 : 1;
    return x->len > y->len ? -1 : x->len < y->len;
}

/* Does b go with a? It must when they overlap. */
static bool joins(const struct piece *a, const struct piece *b)
{
    uint64_t at = (uint64_t)(b->p - a->p);

    return at < a->len || (at - a->len <= GAP_MAX && at % 16 == 0);
}

static void join(struct pieces *all)
{
    size_t n = 0;

    qsort(all->v, all->n, sizeof(*all->v), by_place);
    for (size_t i = 0; i < all->n; i++) {
        struct piece *last = n > 0 ? &all->v[n - 1] : NULL;
        const struct piece *next = &all->v[i];

        if (last != NULL && joins(last, next)) {
            uint64_t end = (uint64_t)(next->p - last->p) + next->len;

            last->len = end > last->len ? end : last->len;
        } else {
            all->v[n++] = *next;
        }
    }
    all->n = n;
    for (size_t i = 0; i < n; i++) {
        all->v[i].to = all->total;
        all->total += size_align(all->v[i].len, GRAIN);
    }
}

static int collect(
    struct pieces *out, const struct plugin_model *m, struct err *e)
{
    size_t n = slots(m);

    *out = (struct pieces){ .v = calloc(2 * n + 1, sizeof(*out->v)) };
    if (out->v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const struct plugin_weight *w = &m->table[i];

        if (w->data == NULL)
            continue;
        out->v[out->n++] = (struct piece){ w->data, bytes_of(w), 0 };
        if (w->scales != NULL)
            out->v[out->n++] = (struct piece){ (const void *)w->scales,
                w->rows * sizeof(float), 0 };
    }
    join(out);
    return 0;
}

/* Where on the device a place of the host is. */
static const void *there(
    const struct plugin_state *s, const struct pieces *all, const void *p)
{
    const uint8_t *at = p;
    size_t low = 0;
    size_t high = all->n;

    if (p == NULL)
        return NULL;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;

        if (all->v[mid].p <= at)
            low = mid;
        else
            high = mid;
    }
    return (const uint8_t *)s->weights + all->v[low].to +
           (uint64_t)(at - all->v[low].p);
}

static int make_table(
    struct plugin_state *s, const struct pieces *all, struct err *e)
{
    size_t n = slots(s->m);

    s->table = calloc(n + 1, sizeof(*s->table));
    if (s->table == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const struct plugin_weight *w = &s->m->table[i];

        s->table[i] = (struct gpu_weight){ there(s, all, w->data),
            there(s, all, (const void *)w->scales), (uint32_t)w->rows,
            (uint32_t)w->cols, w->dtype };
    }
    return 0;
}

/* What there is for the weights, when the buffers are taken off. */
static int check_room(struct plugin_state *s, uint64_t weights, struct err *e)
{
    enum { SPARE = 64 << 20 }; /* for the driver and the library */
    uint64_t buffers = gpu_buffer_bytes(s);
    uint64_t need = 0;
    char a[HUMAN_MAX], b[HUMAN_MAX], c[HUMAN_MAX];
    size_t left, all;
    cudaError_t rc = cudaMemGetInfo(&left, &all);

    if (rc != cudaSuccess)
        return gpu_failed(e, "memory of the device", rc);
    if (s->m->memory != 0 && s->m->memory < left)
        left = s->m->memory;
    if (!size_add(weights, buffers, &need) || !size_add(need, SPARE, &need) ||
        need > left) {
        err_set(e, ERR_NOSPACE,
            "%s of weights and %s of cache and buffers: the device has %s",
            human_size(a, weights), human_size(b, buffers),
            human_size(c, left));
        return err_hint(e,
            buffers < left ? "weights of %s fit; fewer tokens need less cache"
                           : "ask for fewer tokens, or use --backend cpu%s",
            buffers < left ? human_size(a, left - buffers) : "");
    }
    return 0;
}

/* The file that is mapped where a piece lies. */
static const struct plugin_file *file_of(
    const struct plugin_model *m, const uint8_t *p)
{
    for (uint32_t i = 0; i < m->n_files; i++) {
        const uint8_t *map = m->files[i].map;

        if (map != NULL && p >= map && p < map + m->files[i].len)
            return &m->files[i];
    }
    return NULL;
}

static void ring_pieces_free(struct ring_piece **v)
{
    free(*v);
}

static int copy_all(
    struct plugin_state *s, const struct pieces *all, struct err *e)
{
    struct ring_piece *v AUTO(ring_pieces_free) =
        calloc(all->n + 1, sizeof(*v));

    if (v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < all->n; i++)
        v[i] = (struct ring_piece){ all->v[i].p, all->v[i].len,
            (uint8_t *)s->weights + all->v[i].to, file_of(s->m, all->v[i].p) };
    return ring_copy(v, all->n, s->m->cancelled, e);
}

static void pieces_free(struct pieces *all)
{
    free(all->v);
}

int gpu_upload(struct plugin_state *s, struct err *e)
{
    struct pieces all AUTO(pieces_free) = { .n = 0 };
    double start = clock_seconds();
    cudaError_t rc;

    if (collect(&all, s->m, e) != 0 || check_room(s, all.total, e) != 0)
        return -1;
    rc = cudaMalloc(&s->weights, all.total);
    if (rc != cudaSuccess)
        return gpu_failed(e, "weights", rc);
    if (make_table(s, &all, e) != 0 || copy_all(s, &all, e) != 0)
        return -1;
    s->uploaded = all.total;
    s->taken = all.total + gpu_buffer_bytes(s);
    s->upload_seconds = clock_seconds() - start;
    return 0;
}

void gpu_free_weights(struct plugin_state *s)
{
    cudaFree(s->weights);
    free(s->table);
}

const struct gpu_weight *gpu_at(const struct plugin_state *s, uint32_t layer,
    enum role r, uint32_t item, bool bias)
{
    return &s->table[plugin_at(s->m, layer, r, item, bias) - s->m->table];
}
