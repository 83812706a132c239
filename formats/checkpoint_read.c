/* The dense form of any tensor, read with pread, in numbers. */
#include "formats/checkpoint.h"

#include "base/file.h"
#include "formats/panel.h"

enum { CHANNELS = 256 };

const void *checkpoint_data(const struct checkpoint *c, const struct tensor *t)
{
    unsigned size = dtype_bytes(t->dtype);
    const uint8_t *p = c->files[t->file].map.p;

    if (t->held != NULL)
        p = t->held - t->storage_at;
    if (t->no_data || t->quant != NULL || t->big_endian || p == NULL ||
        !tensor_dense(t))
        return NULL;
    if (size > 8) /* complex double: two doubles */
        size = 8;
    if (size > 1 && t->offset % size != 0)
        return NULL;
    return p + t->offset;
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

static int read_raw(const struct checkpoint *c, const struct tensor *t,
    uint64_t first, uint64_t n, void *out, struct err *e)
{
    const struct ckpt_file *f = &c->files[t->file];
    bool pairs = t->dtype == DTYPE_C64 || t->dtype == DTYPE_C128;
    int rc;

    if (tensor_dense(t))
        rc = read_dense(f, t, first, n, out, e);
    else if (c->panels != NULL && t->held == NULL)
        rc = panels_read(c->panels, f, t, first, n, out, e);
    else
        rc = gather_read(f, t, first, n, out, e);
    if (rc == 0 && t->big_endian)
        swap_bytes(
            out, pairs ? 2 * n : n, dtype_bytes(t->dtype) / (pairs ? 2 : 1));
    return rc;
}

/* ---- quantised tensors ---- */

/* Scales and zero points of some channels in a row. */
struct channels {
    uint64_t first, n;
    bool floats;
    double scale[CHANNELS];
    int64_t zero[CHANNELS];
    float float_scale[CHANNELS];
    float float_zero[CHANNELS];
};

static int read_channels(const struct checkpoint *c, const struct tensor *t,
    uint64_t first, struct channels *ch, struct err *e)
{
    struct tensor scales = t->quant->scales, zeros = t->quant->zeros;
    bool floats = scales.dtype == DTYPE_F32;

    scales.file = zeros.file = t->file;
    ch->first = first;
    ch->n = size_min(CHANNELS, scales.n - first);
    ch->floats = floats;
    if (read_raw(c, &scales, first, ch->n,
            floats ? (void *)ch->float_scale : (void *)ch->scale, e) != 0)
        return -1;
    return read_raw(c, &zeros, first, ch->n,
        floats ? (void *)ch->float_zero : (void *)ch->zero, e);
}

static int32_t stored_at(const uint8_t *p, enum dtype t, uint64_t i)
{
    int32_t wide;
    int8_t narrow;

    if (t == DTYPE_U8)
        return p[i];
    if (t == DTYPE_I8) {
        memcpy(&narrow, p + i, 1);
        return narrow;
    }
    memcpy(&wide, p + 4 * i, 4);
    return wide;
}

static void put_float(uint8_t *out, uint64_t i, float v)
{
    memcpy(out + 4 * i, &v, 4);
}

/*
 * As torch rounds them: with one scale for all in float, after a difference
 * of 32 bits; with one per channel in double, after a difference of floats.
 */
static void scale_all(
    uint8_t *out, const uint8_t *in, const struct tensor_quant *q, uint64_t n)
{
    float scale = (float)q->scale;

    for (uint64_t i = 0; i < n; i++) {
        uint32_t wrapped =
            (uint32_t)stored_at(in, q->stored, i) - (uint32_t)q->zero;
        int32_t difference;

        memcpy(&difference, &wrapped, sizeof(difference));
        put_float(out, i, scale * (float)difference);
    }
}

static void scale_channel(uint8_t *out, const uint8_t *in, enum dtype stored,
    const struct channels *ch, uint64_t k, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        float v = (float)stored_at(in, stored, i);

        if (ch->floats)
            v = (v - ch->float_zero[k]) * ch->float_scale[k];
        else
            v = (float)((double)(v - (float)ch->zero[k]) * ch->scale[k]);
        put_float(out, i, v);
    }
}

static int scale_channels(const struct checkpoint *c, const struct tensor *t,
    uint64_t first, uint64_t n, uint8_t *out, const uint8_t *in, struct err *e)
{
    const struct tensor_quant *q = t->quant;
    unsigned size = dtype_bytes(q->stored);
    struct channels ch = { .n = 0 };
    uint64_t inner = 1;

    for (uint32_t i = q->axis + 1; i < t->rank; i++)
        inner *= t->shape[i];
    while (n > 0) {
        uint64_t channel = first / inner % t->shape[q->axis];
        uint64_t now = size_min(n, inner - first % inner);

        if ((channel < ch.first || channel - ch.first >= ch.n) &&
            read_channels(c, t, channel, &ch, e) != 0)
            return -1;
        scale_channel(out, in, q->stored, &ch, channel - ch.first, now);
        out += 4 * now;
        in += size * now;
        first += now;
        n -= now;
    }
    return 0;
}

/* The integers lie at the end of out: the numbers never overtake them. */
static int read_quant(const struct checkpoint *c, const struct tensor *t,
    uint64_t first, uint64_t n, uint8_t *out, struct err *e)
{
    const struct tensor_quant *q = t->quant;
    uint8_t *in = out + n * (4 - dtype_bytes(q->stored));
    struct tensor stored = *t;

    stored.dtype = q->stored;
    stored.quant = NULL;
    if (read_raw(c, &stored, first, n, in, e) != 0)
        return -1;
    if (q->per_channel)
        return scale_channels(c, t, first, n, out, in, e);
    scale_all(out, in, q, n);
    return 0;
}

int checkpoint_read(const struct checkpoint *c, const struct tensor *t,
    uint64_t first, uint64_t n, void *out, struct err *e)
{
    int rc;

    if (n == 0)
        return 0;
    if (first > t->n || n > t->n - first)
        return err_set(
            e, ERR_BUG, "tensor '%.*s': read past its end", STR_ARG(t->name));
    if (t->alien != NULL)
        rc = err_set(e, ERR_UNSUPPORTED, "it is %.300s", t->alien);
    else if (t->no_data)
        rc = err_set(e, ERR_UNSUPPORTED,
            "saved without its data (on torch's meta device)");
    else if (t->quant != NULL)
        rc = read_quant(c, t, first, n, out, e);
    else
        rc = read_raw(c, t, first, n, out, e);
    return rc == 0 ? 0
                   : err_ctx(e, "%s: tensor '%.*s'", c->files[t->file].path,
                         STR_ARG(t->name));
}
