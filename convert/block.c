#include "convert/block.h"

#include <float.h>
#include <math.h>

#include "convert/int8_rows.h"
#include "convert/verdict.h"
#include "formats/cast.h"

enum { SOME = 256 }; /* values looked at together */

uint64_t block_tensor(const struct layout *layout, uint64_t at)
{
    uint64_t low = 0, high = layout->n;

    while (low < high) {
        uint64_t mid = (low + high) / 2;
        const struct tensor *t = &layout->out[mid];
        if (t->offset + tensor_bytes(t) <= at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static float largest(enum dtype t)
{
    if (t == DTYPE_F16)
        return 65504.0F;
    return t == DTYPE_BF16 ? cast_bf16_to_f32(0x7F7F) : FLT_MAX;
}

void block_clamp(
    uint8_t *out, enum dtype to, const uint8_t *in, enum dtype from, uint64_t n)
{
    double was[SOME], is[SOME];
    unsigned size = dtype_bytes(to);

    for (; n > 0; n -= size_min(n, SOME)) {
        uint64_t now = size_min(n, SOME);

        cast_array(was, DTYPE_F64, in, from, now);
        cast_array(is, DTYPE_F64, out, to, now);
        for (uint64_t i = 0; i < now; i++) {
            float v = was[i] < 0 ? -largest(to) : largest(to);
            if (isfinite(was[i]) && isinf(is[i]))
                cast_array(out + i * size, to, &v, DTYPE_F32, 1);
        }
        in += now * dtype_bytes(from);
        out += now * size;
    }
}

void block_note(struct block_job *j, uint64_t i, const struct audit *a,
    const uint8_t *in, uint64_t n)
{
    struct spectrum s = { 0 };

    if (verdict_refuses(j->layout, i, j->recipe, a))
        j->refused = true;
    if (j->spectra != NULL)
        spectrum_add(&s, in, j->layout->from[i]->dtype, n);
    pthread_mutex_lock(&j->lock);
    audit_join(&j->audits[i], a);
    if (j->spectra != NULL)
        spectrum_join(j->spectra[i], &s);
    pthread_mutex_unlock(&j->lock);
}

/* Elements first .. first+n-1 of output tensor i, in another type. */
static int fill_cast(struct block_job *j, uint64_t i, uint64_t first,
    uint64_t n, uint8_t *out, uint8_t *scratch, struct err *e)
{
    const struct tensor *from = j->layout->from[i];
    enum dtype to = j->layout->out[i].dtype;
    uint64_t most = BLOCK_SCRATCH / dtype_bytes(from->dtype);

    while (n > 0) {
        uint64_t now = size_min(n, most);
        struct audit a = { 0 };

        if (checkpoint_read(j->c, from, first, now, scratch, e) != 0)
            return -1;
        cast_array(out, to, scratch, from->dtype, now);
        audit_cast(&a, out, to, scratch, from->dtype, now);
        block_note(j, i, &a, scratch, now);
        if (a.overflow > 0 && j->recipe->on_overflow == OVERFLOW_CLAMP)
            block_clamp(out, to, scratch, from->dtype, now);
        out += now * dtype_bytes(to);
        first += now;
        n -= now;
    }
    return 0;
}

/* The same without a cast: only what is not finite is news. */
static int fill_kept(struct block_job *j, uint64_t i, uint64_t first,
    uint64_t n, uint8_t *out, struct err *e)
{
    const struct tensor *from = j->layout->from[i];
    struct audit a = { 0 };

    if (checkpoint_read(j->c, from, first, n, out, e) != 0)
        return -1;
    if (dtype_is_float(from->dtype)) {
        audit_cast(&a, out, from->dtype, out, from->dtype, n);
        block_note(j, i, &a, out, n);
    }
    return 0;
}

/* Bytes at .. at+len of output tensor i. */
static int fill_tensor(struct block_job *j, uint64_t i, uint64_t at,
    uint64_t len, uint8_t *out, uint8_t *scratch, struct err *e)
{
    const struct tensor *from = j->layout->from[i];
    const struct tensor *to = &j->layout->out[i];
    unsigned size = dtype_bytes(to->dtype);
    struct tensor packed;
    uint64_t bytes = tensor_bytes(to);

    switch (layout_made(j->layout, i)) {
    case MADE_INT8:
        return int8_rows_fill(j, i, at, len, out, scratch, e);
    case MADE_SCALES:
        return int8_rows_scales(j, i, at / size, len / size, out, scratch, e);
    case MADE_CAST:
        break;
    }
    if (from->dtype != to->dtype)
        return fill_cast(j, i, at / size, len / size, out, scratch, e);
    if (size > 0)
        return fill_kept(j, i, at / size, len / size, out, e);
    if (!tensor_dense(from))
        return checkpoint_read(j->c, from, 0, from->n, out, e);
    /* Elements smaller than a byte may straddle blocks; bytes do not. */
    packed = *from;
    packed.dtype = DTYPE_U8;
    packed.rank = 1;
    packed.shape = &bytes;
    packed.stride = NULL;
    packed.n = bytes;
    return checkpoint_read(j->c, &packed, at, len, out, e);
}

int block_fill(struct block_job *j, uint64_t at, uint64_t len, uint8_t *out,
    uint8_t *scratch, struct err *e)
{
    const struct layout *p = j->layout;

    if (at < p->header.len) {
        uint64_t n = size_min(len, p->header.len - at);
        memcpy(out, p->header.p + at, n);
        at += n;
        out += n;
        len -= n;
    }
    if (p->fill != NULL && len > 0)
        return p->fill(p->fill_from, at, len, out, scratch, e);
    for (uint64_t i = block_tensor(p, at); len > 0 && i < p->n; i++) {
        const struct tensor *t = &p->out[i];
        uint64_t skip = at - t->offset;
        uint64_t n = size_min(len, tensor_bytes(t) - skip);

        if (n == 0)
            continue;
        if (fill_tensor(j, i, skip, n, out, scratch, e) != 0)
            return -1;
        at += n;
        out += n;
        len -= n;
    }
    return 0;
}
