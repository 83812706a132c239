/*
 * The weights on their way to the device. Tensors that lie next to each other
 * in a file, at places the kernels can read 16 bytes from, go as one piece
 * and keep their distances. What is a part of something else goes with it.
 *
 * What exists once is one group of pieces, and every layer is another. When
 * there is no room for all, the first layers stay, and the others share two
 * slots behind them: passing.c brings them there when their turn comes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/human.h"
#include "cuda/gpu_internal.h"
#include "cuda/ring.h"
#include "cuda/tune.h"

enum {
    GAP_MAX = 4096,  /* bytes nobody asked for that may go along */
    GRAIN = 256,     /* where pieces start */
    SPARE = 64 << 20 /* for the driver and the library */
};

static uint64_t sum(uint64_t a, uint64_t b)
{
    uint64_t out;

    return size_add(a, b, &out) ? out : UINT64_MAX;
}

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

/* ---- pieces ---- */

static int by_place(const void *a, const void *b)
{
    const struct ring_piece *x = a;
    const struct ring_piece *y = b;

    if (x->p != y->p)
        return x->p < y->p ? -1 : 1;
    return x->len > y->len ? -1 : x->len < y->len;
}

/* Does b go with a? It must when they overlap. */
static bool joins(const struct ring_piece *a, const struct ring_piece *b)
{
    uint64_t at = (uint64_t)(b->p - a->p);

    return at < a->len || (at - a->len <= GAP_MAX && at % 16 == 0);
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

/* A group of n pieces becomes fewer, each with its place in the group. */
static size_t join(const struct plugin_model *m, struct ring_piece *v, size_t n,
    uint64_t *bytes)
{
    size_t kept = 0;

    qsort(v, n, sizeof(*v), by_place);
    for (size_t i = 0; i < n; i++) {
        struct ring_piece *last = kept > 0 ? &v[kept - 1] : NULL;

        if (last != NULL && joins(last, &v[i])) {
            uint64_t end = (uint64_t)(v[i].p - last->p) + v[i].len;

            last->len = end > last->len ? end : last->len;
        } else {
            v[kept++] = v[i];
        }
    }
    *bytes = 0;
    for (size_t i = 0; i < kept; i++) {
        v[i].to = *bytes;
        v[i].file = file_of(m, v[i].p);
        *bytes = sum(*bytes, size_align(v[i].len, GRAIN));
    }
    return kept;
}

static size_t add_weight(struct ring_piece *v, const struct plugin_weight *w)
{
    size_t n = 0;

    if (w->data == NULL)
        return 0;
    v[n++] = (struct ring_piece){ .p = w->data, .len = bytes_of(w) };
    if (w->scales != NULL)
        v[n++] = (struct ring_piece){ .p = (const void *)w->scales,
            .len = w->rows * sizeof(float) };
    return n;
}

/* The tensors with a bias, roles [from, to) of a layer. */
static size_t add_roles(const struct plugin_model *m, struct ring_piece *v,
    uint32_t layer, enum role from, enum role to)
{
    const struct plugin_weight *w = plugin_at(m, layer, from, 0, false);
    size_t count = 2 * (size_t)(m->first[to] - m->first[from]);
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += add_weight(v + n, &w[i]);
    return n;
}

/* Group 0 is what exists once, group 1 + i is layer i. */
static int collect(struct plugin_state *s, struct err *e)
{
    const struct plugin_model *m = s->m;
    size_t groups = 1 + (size_t)m->layers;
    size_t at = 0;

    s->pieces = calloc(2 * slots(m) + 1, sizeof(*s->pieces));
    s->group = calloc(groups + 1, sizeof(*s->group));
    if (s->pieces == NULL || s->group == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < groups; i++) {
        struct ring_piece *v = s->pieces + at;
        size_t n =
            i == 0 ? add_roles(m, v, 0, 0, ROLE_NORM1)
                   : add_roles(m, v, (uint32_t)i - 1, ROLE_NORM1, ROLE_COUNT);

        s->group[i].first = at;
        at += join(m, v, n, &s->group[i].bytes);
    }
    s->group[groups].first = at;
    return 0;
}

/* ---- places ---- */

/* What the device has left, and what of it is for all that is taken. */
struct room {
    uint64_t left, ours;
};

static int find_room(
    const struct plugin_state *s, struct room *out, struct err *e)
{
    size_t left, all;
    cudaError_t rc = cudaMemGetInfo(&left, &all);

    if (rc != cudaSuccess)
        return gpu_failed(e, "memory of the device", rc);
    out->left = out->ours = left;
    if (s->m->memory != 0 && s->m->memory < left)
        out->ours = s->m->memory;
    return 0;
}

/* What of ours stays free before layers stay, so that the device is not full
   of them: --memory may leave enough of it anyway. */
static uint64_t ease(const struct room *r)
{
    uint64_t others = r->left - r->ours;

    return others < TUNE_EASE ? TUNE_EASE - others : 0;
}

static int no_room(
    uint64_t weights, uint64_t rest, const struct room *room, struct err *e)
{
    bool asked = sum(weights, rest) <= room->left;
    char a[HUMAN_MAX], b[HUMAN_MAX], c[HUMAN_MAX];

    err_set(e, ERR_NOSPACE,
        "%s of weights are the least at a time, with %s of cache and buffers: "
        "%s %s",
        human_size(a, weights), human_size(b, rest),
        asked ? "--memory is" : "the device has",
        human_size(c, asked ? room->ours : room->left));
    if (asked)
        return err_hint(e,
            "--memory %llu would do; fewer tokens need less cache",
            (unsigned long long)sum(weights, rest));
    return err_hint(e,
        "it takes %s; fewer tokens need less cache, and --backend cpu none",
        human_size(a, sum(weights, rest)));
}

/* How many layers stay, so that two slots for the others have room, too. */
static int plan(struct plugin_state *s, struct err *e)
{
    uint64_t rest = sum(gpu_buffer_bytes(s), SPARE);
    uint64_t once = s->group[0].bytes;
    uint64_t all = once;
    uint64_t most = 0;
    struct room room = { 0 };
    uint64_t least, left;

    if (find_room(s, &room, e) != 0)
        return -1;
    for (uint32_t i = 1; i <= s->m->layers; i++) {
        all = sum(all, s->group[i].bytes);
        most = s->group[i].bytes > most ? s->group[i].bytes : most;
    }
    s->stay = s->m->layers;
    s->weight_bytes = all;
    s->roomy = s->m->memory == 0 &&
               sum(sum(all, rest), TUNE_CUFILE_BYTES) <= room.ours;
    least = sum(once, sum(most, most));
    if (sum(all, sum(rest, all > least ? ease(&room) : 0)) <= room.ours)
        return 0;
    if (sum(size_min(all, least), rest) > room.ours)
        return no_room(size_min(all, least), rest, &room, e);
    s->slot = most;
    s->weight_bytes = least;
    left = room.ours - least - rest;
    left -= size_min(left, ease(&room));
    for (s->stay = 0; s->stay < s->m->layers; s->stay++) {
        if (s->group[1 + s->stay].bytes > left)
            break;
        left -= s->group[1 + s->stay].bytes;
        s->weight_bytes += s->group[1 + s->stay].bytes;
    }
    return 0;
}

/* Pieces get their places in the device's allocation. */
static void place(struct plugin_state *s)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i <= s->m->layers; i++) {
        bool passes = i > s->stay;
        uint64_t base = passes ? at + gpu_slot(s, i - 1) * s->slot : at;

        for (size_t k = s->group[i].first; k < s->group[i + 1].first; k++)
            s->pieces[k].to += base;
        if (!passes)
            at += s->group[i].bytes;
    }
}

/* Where on the device a place of the host is, for whom this group is. */
static const void *there(
    const struct plugin_state *s, uint32_t group, const void *p)
{
    const uint8_t *at = p;
    size_t low = s->group[group].first;
    size_t high = s->group[group + 1].first;

    if (p == NULL)
        return NULL;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;

        if (s->pieces[mid].p <= at)
            low = mid;
        else
            high = mid;
    }
    return (const uint8_t *)s->weights + s->pieces[low].to +
           (uint64_t)(at - s->pieces[low].p);
}

static int make_table(struct plugin_state *s, struct err *e)
{
    size_t n = slots(s->m);
    size_t layer = 2 * (size_t)s->m->first[ROLE_COUNT];

    s->table = calloc(n + 1, sizeof(*s->table));
    if (s->table == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const struct plugin_weight *w = &s->m->table[i];
        bool once = i < 2 * (size_t)s->m->first[ROLE_NORM1];
        uint32_t group = once ? 0 : 1 + (uint32_t)(i / layer);

        s->table[i] = (struct gpu_weight){ there(s, group, w->data),
            there(s, group, (const void *)w->scales), (uint32_t)w->rows,
            (uint32_t)w->cols, w->dtype };
    }
    return 0;
}

/* ---- the copy ---- */

/* Where the device's memory is scarce, or promised, it is not asked. */
static void open_cufile(struct plugin_state *s, struct err *why)
{
    if (s->roomy)
        s->cufile = cufile_open(why);
    else
        err_set(why, ERR_NOSPACE, "it needs memory of the device, too");
}

/* Its time is that of reading and copying, as the pinned copy's is that it is
   held against: what is opened and pinned for it comes before. */
static int copy(
    struct plugin_state *s, struct backend_opened *out, struct err *e)
{
    size_t n = s->group[1 + s->stay].first;
    struct err why = ERR_INIT;
    double start;
    cudaError_t rc;

    open_cufile(s, &why);
    s->ring = ring_open(s->number, s->m->cancelled, s->cufile, e);
    start = clock_seconds();
    if (s->ring == NULL ||
        ring_copy(s->ring, s->weights, s->pieces, n, NULL, false, e) != 0 ||
        ring_wait(s->ring, s->q, e) != 0)
        return -1;
    rc = cudaStreamSynchronize(s->q);
    if (rc != cudaSuccess)
        return gpu_failed(e, "weights", rc);
    s->upload_seconds = clock_seconds() - start;
    for (size_t i = 0; i < n; i++)
        s->uploaded += s->pieces[i].len;
    if (s->cufile != NULL)
        cufile_tell(s->cufile, out->note, sizeof(out->note));
    else
        snprintf(out->note, sizeof(out->note), "%.120s", why.msg);
    return 0;
}

int gpu_upload(
    struct plugin_state *s, struct backend_opened *out, struct err *e)
{
    cudaError_t rc;

    if (collect(s, e) != 0 || plan(s, e) != 0)
        return -1;
    place(s);
    rc = cudaMalloc(&s->weights, s->weight_bytes);
    if (rc != cudaSuccess)
        return gpu_failed(e, "weights", rc);
    if (make_table(s, e) != 0 || copy(s, out, e) != 0)
        return -1;
    s->taken = s->weight_bytes + gpu_buffer_bytes(s);
    return gpu_passing_open(s, e);
}

void gpu_free_weights(struct plugin_state *s)
{
    gpu_passing_close(s);
    cufile_close(s->cufile);
    cudaFree(s->weights);
    free(s->table);
    free(s->pieces);
    free(s->group);
}

const struct gpu_weight *gpu_at(const struct plugin_state *s, uint32_t layer,
    enum role r, uint32_t item, bool bias)
{
    return &s->table[plugin_at(s->m, layer, r, item, bias) - s->m->table];
}
