#include "verify-run/stream.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "verify-run/memory.h"

/* A mapped matrix: where it lies in memory and in which file. */
struct range {
    const uint8_t *p;
    uint64_t len;
    int fd;
    uint64_t at; /* in the file */
};

struct stream {
    struct range *ranges; /* layer by layer */
    uint32_t *first;      /* (layers + 2) index of a layer's first range */
    uint32_t layers;      /* the head counts as one */
    uint32_t kept;        /* layers that stay */
    uint64_t passing;
};

static bool find_range(
    struct range *out, const struct checkpoint *c, const struct weight *w)
{
    const uint8_t *p = w->data;

    if (!w->mapped || p == NULL || w->vector)
        return false;
    for (uint32_t i = 0; i < c->n_files; i++) {
        const struct map *m = &c->files[i].map;

        if (m->p == NULL || p < m->p || p >= m->p + m->len)
            continue;
        *out = (struct range){ .p = p,
            .len = w->rows * w->cols * dtype_bytes(w->dtype),
            .fd = m->fd,
            .at = (uint64_t)(p - m->p) };
        return true;
    }
    return false;
}

/* A matrix may be there twice: whole, and as its parts. */
static bool is_new(const struct stream *s, uint32_t first, uint32_t n)
{
    const struct range *r = &s->ranges[n];

    for (uint32_t i = first; i < n; i++)
        if (r->p >= s->ranges[i].p &&
            r->p + r->len <= s->ranges[i].p + s->ranges[i].len)
            return false;
    return true;
}

/* The head is a layer of its own; an embedding is read a row at a time. */
static void add_layer(struct stream *s, const struct checkpoint *c,
    const struct weights *w, uint32_t layer)
{
    uint32_t n = s->first[layer];
    bool head = layer == stream_head(w);

    for (int r = head ? ROLE_HEAD : ROLE_NORM1;
         r < (head ? ROLE_HEAD + 1 : ROLE_COUNT); r++)
        for (uint32_t k = 0; k < w->first[r + 1] - w->first[r]; k++)
            if (find_range(&s->ranges[n], c,
                    weights_item(w, head ? 0 : layer, r, k, false)) &&
                is_new(s, s->first[layer], n))
                n++;
    s->first[layer + 1] = n;
}

static uint64_t layer_bytes(const struct stream *s, uint32_t layer)
{
    uint64_t sum = 0;

    for (uint32_t i = s->first[layer]; i < s->first[layer + 1]; i++)
        sum += s->ranges[i].len;
    return sum;
}

/* As many as leave room for the layer at work and the one ahead of it. */
static void plan(struct stream *s, uint64_t budget)
{
    uint64_t total = 0, most = 0;

    for (uint32_t i = 0; i < s->layers; i++) {
        total += layer_bytes(s, i);
        most = size_max(most, layer_bytes(s, i));
    }
    s->kept = 0;
    s->passing = total;
    if (total <= budget) {
        s->kept = s->layers;
        s->passing = 0;
        return;
    }
    budget -= size_min(budget, 2 * most);
    while (s->kept < s->layers && layer_bytes(s, s->kept) <= budget) {
        budget -= layer_bytes(s, s->kept);
        s->passing -= layer_bytes(s, s->kept);
        s->kept++;
    }
}

static uint64_t fair_share(void)
{
    uint64_t there;

    return memory_available(&there) ? there / 4 * 3 : UINT64_MAX;
}

int stream_open(struct stream **out, const struct checkpoint *c,
    const struct weights *w, uint64_t budget, struct err *e)
{
    struct stream *s = calloc(1, sizeof(*s));
    size_t layers = (size_t)w->layers + 1;

    *out = NULL;
    if (s != NULL) {
        s->layers = (uint32_t)layers;
        /* One more: a range is looked at where it would be put. */
        s->ranges =
            calloc(layers * w->first[ROLE_COUNT] + 1, sizeof(*s->ranges));
        s->first = calloc(layers + 1, sizeof(*s->first));
    }
    if (s == NULL || s->ranges == NULL || s->first == NULL) {
        stream_close(s);
        return err_set(e, ERR_NOMEM, "out of memory for the plan of layers");
    }
    for (uint32_t i = 0; i < s->layers; i++)
        add_layer(s, c, w, i);
    plan(s, budget > 0 ? budget : fair_share());
    if (s->passing > 0)
        *out = s;
    else
        stream_close(s);
    return 0;
}

void stream_close(struct stream *s)
{
    if (s == NULL)
        return;
    free(s->ranges);
    free(s->first);
    free(s);
}

uint64_t stream_passing(const struct stream *s)
{
    return s == NULL ? 0 : s->passing;
}

/* The head, which may pass too, is no layer here. */
uint32_t stream_layers(const struct stream *s)
{
    return s == NULL || s->kept >= s->layers ? 0 : s->layers - 1 - s->kept;
}

/* Advice is taken for whole pages: all that the range touches. */
static void advise(const struct range *r, int advice)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = (uintptr_t)r->p & ~(page - 1);

    madvise((void *)first, (uintptr_t)r->p + r->len - first, advice);
}

void stream_ahead(const struct stream *s, uint32_t layer)
{
    if (s == NULL || layer >= s->layers || layer < s->kept)
        return;
    for (uint32_t i = s->first[layer]; i < s->first[layer + 1]; i++)
        advise(&s->ranges[i], MADV_WILLNEED);
}

void stream_behind(const struct stream *s, uint32_t layer)
{
    if (s == NULL || layer >= s->layers || layer < s->kept)
        return;
    for (uint32_t i = s->first[layer]; i < s->first[layer + 1]; i++) {
        const struct range *r = &s->ranges[i];

        advise(r, MADV_DONTNEED);
        posix_fadvise(r->fd, (off_t)r->at, (off_t)r->len, POSIX_FADV_DONTNEED);
    }
}
