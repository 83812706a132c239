/*
 * The dense form of any tensor, read with pread. A strided view is read in
 * the order of its file: the dimension with the smallest step runs
 * innermost, so a transpose costs one read per run, not one per element.
 */
#include "formats/checkpoint.h"

#include "base/file.h"

enum {
    WINDOW = 64 << 10, /* most that one read brings */
    NEAR = 4096        /* runs closer than this are read together */
};

struct gather {
    const struct ckpt_file *file;
    const struct tensor *t;
    unsigned size;    /* of an element [bytes] */
    uint64_t at, len; /* what of the file the window holds [bytes] */
    bool ahead;       /* the next run is near: fill the window */
    struct err *e;
    uint8_t window[WINDOW];
};

/* One dimension of a box: steps in the file and in the output [elements]. */
struct axis {
    uint64_t n, in, out;
};

const void *checkpoint_data(const struct checkpoint *c, const struct tensor *t)
{
    unsigned size = dtype_bytes(t->dtype);
    const uint8_t *p = c->files[t->file].map.p;

    if (t->held != NULL)
        p = t->held - t->storage_at;
    if (t->no_data || t->big_endian || p == NULL || !tensor_dense(t))
        return NULL;
    if (size > 8) /* complex double: two doubles */
        size = 8;
    if (size > 1 && t->offset % size != 0)
        return NULL;
    return p + t->offset;
}

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
    uint32_t n;

    for (uint32_t i = t->rank; i-- > d;) {
        axes[i - d] =
            (struct axis){ i == d ? rows : t->shape[i], t->stride[i], step };
        step *= t->shape[i];
    }
    n = sort_axes(axes, t->rank - d);
    if (n == 0)
        axes[n++] = (struct axis){ 1, 0, 1 };
    g->ahead = n > 1 && axes[n - 2].in * g->size <= NEAR;
    for (;;) {
        uint32_t k = n - 1;

        if (read_run(g, &axes[n - 1], t->offset + src * g->size, out) != 0)
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

static void swap_bytes(uint8_t *p, uint64_t n, unsigned size)
{
    for (; n > 0; n--, p += size)
        for (unsigned i = 0; i < size / 2; i++) {
            uint8_t b = p[i];
            p[i] = p[size - 1 - i];
            p[size - 1 - i] = b;
        }
}

static int read_dense(const struct ckpt_file *f, const struct tensor *t,
    uint64_t first, uint64_t n, void *out, struct err *e)
{
    unsigned bits = dtype_bits(t->dtype);
    uint64_t skip = first / 8 * bits + first % 8 * bits / 8;
    uint64_t len = n / 8 * bits + (n % 8 * bits + 7) / 8;

    if (t->held != NULL) {
        memcpy(out, t->held + (t->offset - t->storage_at) + skip, len);
        return 0;
    }
    return file_read_at(f->map.fd, out, len, t->offset + skip, f->path, e);
}

static int read_strided(const struct ckpt_file *f, const struct tensor *t,
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

int checkpoint_read(const struct checkpoint *c, const struct tensor *t,
    uint64_t first, uint64_t n, void *out, struct err *e)
{
    const struct ckpt_file *f = &c->files[t->file];
    bool pairs = t->dtype == DTYPE_C64 || t->dtype == DTYPE_C128;
    int rc;

    if (n == 0)
        return 0;
    if (first > t->n || n > t->n - first)
        return err_set(
            e, ERR_BUG, "tensor '%.*s': read past its end", STR_ARG(t->name));
    if (t->no_data)
        rc = err_set(e, ERR_UNSUPPORTED,
            "saved without its data (on torch's meta device)");
    else if (tensor_dense(t))
        rc = read_dense(f, t, first, n, out, e);
    else
        rc = read_strided(f, t, first, n, out, e);
    if (rc != 0)
        return err_ctx(e, "%s: tensor '%.*s'", f->path, STR_ARG(t->name));
    if (t->big_endian)
        swap_bytes(
            out, pairs ? 2 * n : n, dtype_bytes(t->dtype) / (pairs ? 2 : 1));
    return 0;
}
