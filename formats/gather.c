/*
 * A strided view is read in the order of its file: the dimension with the
 * smallest step runs innermost, so a transpose costs one read per run, not
 * one per element. Where that dimension is not the innermost of the output,
 * tiles of a few runs are turned over in memory, so that the output is
 * written in whole cache lines.
 */
#include "formats/gather.h"

#include "base/file.h"

enum {
    WINDOW = 64 << 10, /* most that one read brings */
    NEAR = 2048,       /* runs closer than this are read together */
    TILE_ROW = 128,    /* of a tile's row in the output [bytes] */
    TILE_RUN = 512     /* of a tile's run in the file [elements] */
};

struct gather {
    const struct ckpt_file *file;
    const struct tensor *t;
    unsigned size;    /* of an element [bytes] */
    uint64_t at, len; /* what of the file the window holds [bytes] */
    bool ahead;       /* the next run is near: fill the window */
    struct err *e;
    uint8_t window[WINDOW];
    uint8_t tile[TILE_ROW * TILE_RUN];
};

/* One dimension of a box: steps in the file and in the output [elements]. */
struct axis {
    uint64_t n, in, out;
};

/* The bytes at..at+len of the file, in the window. */
static const uint8_t *fetch(struct gather *g, uint64_t at, uint64_t len)
{
    uint64_t want = len, end = g->t->storage_at + g->t->storage_len;

    if (g->t->held != NULL)
        return g->t->held + (at - g->t->storage_at);
    if (at >= g->at && at + len <= g->at + g->len)
        return g->window + (at - g->at);
    if (g->ahead && at + len < end)
        want = size_min(WINDOW, end - at);
    g->len = 0;
    if (file_read_at(
            g->file->map.fd, g->window, want, at, g->file->path, g->e) != 0)
        return NULL;
    g->at = at;
    g->len = want;
    return g->window;
}

static void scatter(uint8_t *out, uint64_t out_step, const uint8_t *in,
    uint64_t in_step, uint64_t n, unsigned size)
{
    switch (size) {
    case 1:
        for (uint64_t i = 0; i < n; i++)
            out[i * out_step] = in[i * in_step];
        return;
    case 2:
        for (uint64_t i = 0; i < n; i++)
            memcpy(out + 2 * i * out_step, in + 2 * i * in_step, 2);
        return;
    case 4:
        for (uint64_t i = 0; i < n; i++)
            memcpy(out + 4 * i * out_step, in + 4 * i * in_step, 4);
        return;
    default:
        for (uint64_t i = 0; i < n; i++)
            memcpy(out + size * i * out_step, in + size * i * in_step, size);
    }
}

/* One run along an axis, from byte at of the file. */
static int read_run(
    struct gather *g, const struct axis *a, uint64_t at, uint8_t *out)
{
    uint64_t step = a->in * g->size, left = a->n;
    uint64_t most = step == 0 ? left : 1 + (WINDOW - g->size) / step;

    while (left > 0) {
        uint64_t now = size_min(left, most);
        const uint8_t *p = fetch(g, at, (now - 1) * step + g->size);

        if (p == NULL)
            return -1;
        scatter(out, a->out, p, a->in, now, g->size);
        at += now * step;
        out += now * a->out * g->size;
        left -= now;
    }
    return 0;
}

static inline void turn_as(uint8_t *out, uint64_t run_step, uint64_t row_step,
    const uint8_t *tile, uint64_t run, uint64_t rows, unsigned size)
{
    for (uint64_t i = 0; i < run; i++)
        for (uint64_t k = 0; k < rows; k++)
            memcpy(out + (i * run_step + k * row_step) * size,
                tile + (k * TILE_RUN + i) * size, size);
}

/* Element i of run k goes to i * run_step + k * row_step. */
static void turn(uint8_t *out, uint64_t run_step, uint64_t row_step,
    const uint8_t *tile, uint64_t run, uint64_t rows, unsigned size)
{
    switch (size) {
    case 1:
        turn_as(out, run_step, row_step, tile, run, rows, 1);
        return;
    case 2:
        turn_as(out, run_step, row_step, tile, run, rows, 2);
        return;
    case 4:
        turn_as(out, run_step, row_step, tile, run, rows, 4);
        return;
    case 8:
        turn_as(out, run_step, row_step, tile, run, rows, 8);
        return;
    default:
        turn_as(out, run_step, row_step, tile, run, rows, size);
    }
}

/*
 * Two axes in tiles: runs along a, which is the innermost of the file, side
 * by side along b, which is that of the output.
 */
static int read_plane(struct gather *g, const struct axis *a,
    const struct axis *b, uint64_t at, uint8_t *out)
{
    uint64_t wide = TILE_ROW / g->size;

    for (uint64_t k = 0; k < b->n; k += wide) {
        uint64_t rows = size_min(wide, b->n - k);

        for (uint64_t i = 0; i < a->n; i += TILE_RUN) {
            struct axis run = { size_min(TILE_RUN, a->n - i), a->in, 1 };
            uint64_t from = at + (k * b->in + i * a->in) * g->size;

            for (uint64_t r = 0; r < rows; r++)
                if (read_run(g, &run, from + r * b->in * g->size,
                        g->tile + r * TILE_RUN * g->size) != 0)
                    return -1;
            turn(out + (i * a->out + k * b->out) * g->size, a->out, b->out,
                g->tile, run.n, rows, g->size);
        }
    }
    return 0;
}

/* Moves the axis that is innermost in the output to the end but one. */
static bool find_plane(struct axis *axes, uint32_t n)
{
    struct axis b;
    uint32_t at = n - 1;

    for (uint32_t i = 0; i < n; i++)
        if (axes[i].out < axes[at].out)
            at = i;
    if (at == n - 1)
        return false;
    b = axes[at];
    memmove(&axes[at], &axes[at + 1], (n - 2 - at) * sizeof(b));
    axes[n - 2] = b;
    return true;
}

/* By falling step in the file; few axes, so insertion it is. */
static uint32_t sort_axes(struct axis *axes, uint32_t n)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct axis a = axes[i];
        uint32_t k = kept;

        if (a.n == 1)
            continue;
        for (; k > 0 && axes[k - 1].in < a.in; k--)
            axes[k] = axes[k - 1];
        axes[k] = a;
        kept++;
    }
    return kept;
}

/*
 * rows whole slices of dimension d and what lies below it
 * src  element in the storage's terms: offset of the first [elements]
 */
static int read_box(
    struct gather *g, uint32_t d, uint64_t src, uint64_t rows, uint8_t *out)
{
    const struct tensor *t = g->t;
    struct axis axes[TENSOR_RANK_MAX + 1];
    uint64_t at[TENSOR_RANK_MAX + 1] = { 0 }, step = 1;
    uint32_t n, outer;
    bool plane;

    for (uint32_t i = t->rank; i-- > d;) {
        axes[i - d] =
            (struct axis){ i == d ? rows : t->shape[i], t->stride[i], step };
        step *= t->shape[i];
    }
    n = sort_axes(axes, t->rank - d);
    if (n == 0)
        axes[n++] = (struct axis){ 1, 0, 1 };
    plane = find_plane(axes, n);
    outer = plane ? n - 2 : n - 1;
    g->ahead = n > 1 && axes[n - 2].in * g->size <= NEAR;
    for (;;) {
        uint64_t from = t->offset + src * g->size;
        uint32_t k = outer;

        if (plane ? read_plane(g, &axes[n - 1], &axes[n - 2], from, out) != 0
                  : read_run(g, &axes[n - 1], from, out) != 0)
            return -1;
        /* The odometer of the outer axes. */
        while (k-- > 0) {
            src += axes[k].in;
            out += axes[k].out * g->size;
            if (++at[k] < axes[k].n)
                break;
            src -= axes[k].in * axes[k].n;
            out -= axes[k].out * axes[k].n * g->size;
            at[k] = 0;
        }
        if (k == UINT32_MAX)
            return 0;
    }
}

/* Elements first..first+n-1 below dimension d: boxes, ragged ends apart. */
static int read_range(struct gather *g, uint32_t d, uint64_t src,
    uint64_t first, uint64_t n, uint8_t *out)
{
    const struct tensor *t = g->t;
    uint64_t inner = 1, rest, now;

    if (d == t->rank)
        return read_box(g, d, src, 1, out);
    for (uint32_t i = d + 1; i < t->rank; i++)
        inner *= t->shape[i];
    src += first / inner * t->stride[d];
    rest = first % inner;
    if (rest > 0) {
        now = size_min(n, inner - rest);
        if (read_range(g, d + 1, src, rest, now, out) != 0)
            return -1;
        out += now * g->size;
        n -= now;
        src += t->stride[d];
    }
    if (n >= inner) {
        now = n / inner;
        if (read_box(g, d, src, now, out) != 0)
            return -1;
        out += now * inner * g->size;
        n -= now * inner;
        src += now * t->stride[d];
    }
    return n > 0 ? read_range(g, d + 1, src, 0, n, out) : 0;
}

int gather_read(const struct ckpt_file *f, const struct tensor *t,
    uint64_t first, uint64_t n, void *out, struct err *e)
{
    struct gather g;

    g.file = f;
    g.t = t;
    g.size = dtype_bytes(t->dtype);
    g.at = g.len = 0;
    g.e = e;
    if (g.size == 0)
        return err_set(e, ERR_UNSUPPORTED,
            "a strided view of elements smaller than a byte");
    return read_range(&g, 0, 0, first, n, out);
}

int gather_read_plain(const struct ckpt_file *f, const struct tensor *t,
    uint64_t first, uint64_t n, void *out, struct err *e)
{
    unsigned size = dtype_bytes(t->dtype);
    uint8_t *p = out;

    for (uint64_t i = first; i < first + n; i++, p += size) {
        uint64_t rest = i, at = 0;

        for (uint32_t d = t->rank; d-- > 0;) {
            at += rest % t->shape[d] * t->stride[d];
            rest /= t->shape[d];
        }
        at = t->offset + at * size;
        if (t->held != NULL)
            memcpy(p, t->held + (at - t->storage_at), size);
        else if (file_read_at(f->map.fd, p, size, at, f->path, e) != 0)
            return -1;
    }
    return 0;
}
