#include "convert/gguf_data.h"

#include <math.h>

#include "convert/block.h"
#include "formats/cast.h"
#include "formats/quant_q8.h"

/* One tensor of the new file. */
struct piece {
    const struct gguf_data *d;
    const struct gguf_tensor *to;
    const struct gguf_origin *from;
    enum dtype dtype; /* of the source */
    uint8_t *scratch;
};

/* Values that fit the scratch memory as read, and as floats beside. */
enum { MOST = BLOCK_SCRATCH / (8 + 4) / Q8_COUNT * Q8_COUNT };

/* The row of the source that becomes this one; *run follow it in both. */
static uint64_t source_row(
    const struct gguf_origin *o, uint64_t row, uint64_t *run)
{
    uint64_t size, head, in;

    *run = o->rows - row;
    if (o->order == ROWS_SAME)
        return row;
    if (o->order == ROWS_PAIRS) {
        size = o->rows / o->heads;
        head = row / size;
        in = row % size;
        *run = 1;
        return head * size + in % 2 * (size / 2) + in / 2;
    }
    size = o->rows / o->heads / 3;
    head = row / size % o->heads;
    in = row % size;
    *run = size - in;
    return (head * 3 + row / size / o->heads) * size + in;
}

/* Where element first stands in the source; *n shrinks to what follows it. */
static const struct tensor *locate(
    const struct gguf_origin *o, uint64_t *first, uint64_t *n)
{
    const struct tensor *t = o->parts[0];
    uint64_t run, column = *first % o->row;

    if (o->n_parts > 1) {
        t = o->parts[*first / t->n];
        *first %= t->n;
        *n = size_min(*n, t->n - *first);
        return t;
    }
    *first = source_row(o, *first / o->row, &run) * o->row + column;
    *n = size_min(*n, run * o->row - column);
    return t;
}

/* Elements first .. first+n-1 of the new order, as the source has them. */
static int gather(const struct piece *p, uint64_t first, uint64_t n,
    uint8_t *out, struct err *e)
{
    while (n > 0) {
        uint64_t at = first, now = n;
        const struct tensor *t = locate(p->from, &at, &now);

        if (checkpoint_read(p->d->c, t, at, now, out, e) != 0)
            return -1;
        out += now * dtype_bytes(p->dtype);
        first += now;
        n -= now;
    }
    return 0;
}

static int beyond(
    const struct piece *p, double value, const char *target, struct err *e)
{
    err_set(e, ERR_VERDICT,
        "tensor '%.*s' holds %.6g, which is beyond the range of %s",
        STR_ARG(p->from->parts[0]->name), value, target);
    if (p->to->type == GGML_F32)
        return err_hint(e, "use --on-overflow clamp|inf");
    return err_hint(e, "use --fp32, which has the range of most weights");
}

static int cast(const struct piece *p, enum dtype to, uint64_t n, uint8_t *out,
    struct err *e)
{
    uint64_t first;
    double worst;

    cast_array(out, to, p->scratch, p->dtype, n);
    if (cast_overflows(to, p->scratch, p->dtype, n, &first) == 0)
        return 0;
    if (p->d->recipe->on_overflow == OVERFLOW_CLAMP)
        block_clamp(out, to, p->scratch, p->dtype, n);
    if (p->d->recipe->on_overflow != OVERFLOW_ERROR)
        return 0;
    cast_array(&worst, DTYPE_F64, p->scratch + first * dtype_bytes(p->dtype),
        p->dtype, 1);
    return beyond(p, worst, to == DTYPE_F16 ? "fp16" : dtype_name(to), e);
}

static int quantise(
    const struct piece *p, uint64_t n, uint8_t *out, struct err *e)
{
    float *v = (float *)(void *)(p->scratch + (size_t)8 * MOST);

    cast_array(v, DTYPE_F32, p->scratch, p->dtype, n);
    for (uint64_t i = 0; i < n; i++)
        if (!(fabsf(v[i]) <= Q8_LARGEST))
            return beyond(p, v[i], "q8_0", e);
    q8_encode(out, v, n);
    return 0;
}

static enum dtype dtype_of(uint32_t type)
{
    if (type == GGML_F16)
        return DTYPE_F16;
    return type == GGML_BF16 ? DTYPE_BF16 : DTYPE_F32;
}

/* Whole elements, or whole blocks of Q8_0. */
static int make(const struct piece *p, uint64_t first, uint64_t n, uint8_t *out,
    struct err *e)
{
    bool q8 = p->to->type == GGML_Q8_0;
    enum dtype to = dtype_of(p->to->type);

    if (p->from->made != NULL) {
        memcpy(out, p->from->made + first, n * sizeof(float));
        return 0;
    }
    if (!q8 && to == p->dtype)
        return gather(p, first, n, out, e);
    while (n > 0) {
        uint64_t now = size_min(n, MOST);

        if (gather(p, first, now, p->scratch, e) != 0 ||
            (q8 ? quantise(p, now, out, e) : cast(p, to, now, out, e)) != 0)
            return -1;
        out += q8 ? now / Q8_COUNT * Q8_BYTES : now * dtype_bytes(to);
        first += now;
        n -= now;
    }
    return 0;
}

/* Bytes at .. at+len of the tensor; a block may be cut by either end. */
static int fill(const struct piece *p, uint64_t at, uint64_t len, uint8_t *out,
    struct err *e)
{
    uint32_t count, bytes;

    ggml_block(p->to->type, &count, &bytes);
    while (len > 0) {
        uint64_t skip = at % bytes, n = len / bytes * bytes;
        uint64_t first = at / bytes * count;
        uint8_t whole[Q8_BYTES];

        if (skip == 0 && n > 0) {
            if (make(p, first, n / bytes * count, out, e) != 0)
                return -1;
        } else {
            n = size_min(len, bytes - skip);
            if (make(p, first, count, whole, e) != 0)
                return -1;
            memcpy(out, whole + skip, n);
        }
        at += n;
        out += n;
        len -= n;
    }
    return 0;
}

/* The first tensor whose bytes, padding included, end behind at. */
static uint64_t find_tensor(const struct gguf_plan *plan, uint64_t at)
{
    uint64_t low = 0, high = plan->n;

    while (low < high) {
        uint64_t mid = (low + high) / 2;
        const struct gguf_tensor *t = &plan->out[mid];

        if (t->offset + size_align(t->bytes, GGUF_ALIGN) <= at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int gguf_data_fill(const void *data, uint64_t at, uint64_t len, uint8_t *out,
    uint8_t *scratch, struct err *e)
{
    const struct gguf_data *d = data;
    const struct gguf_plan *plan = d->plan;

    for (uint64_t i = find_tensor(plan, at); len > 0 && i < plan->n; i++) {
        const struct gguf_origin *from = &plan->from[i];
        struct piece p = { .d = d,
            .to = &plan->out[i],
            .from = from,
            .dtype = from->made != NULL ? DTYPE_F32 : from->parts[0]->dtype,
            .scratch = scratch };
        uint64_t skip = at - p.to->offset;
        uint64_t here = size_align(p.to->bytes, GGUF_ALIGN) - skip;
        uint64_t n = size_min(len, here);
        uint64_t real =
            skip < p.to->bytes ? size_min(n, p.to->bytes - skip) : 0;

        if (fill(&p, skip, real, out, e) != 0)
            return -1;
        memset(out + real, 0, n - real);
        at += n;
        out += n;
        len -= n;
    }
    return 0;
}
