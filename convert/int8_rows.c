#include "convert/int8_rows.h"

#include "formats/cast.h"
#include "formats/quant_int8.h"

/* The parts of a scratch: elements as they are, as floats, as read back. */
enum {
    RAW_BYTES = INT8_PIECE * 8,
    FLOAT_BYTES = INT8_PIECE * 4,
    FLOATS_AT = RAW_BYTES,
    BACK_AT = FLOATS_AT + FLOAT_BYTES
};

_Static_assert(BACK_AT + FLOAT_BYTES <= BLOCK_SCRATCH, "a piece fits");

/* ---- what is remembered ---- */

static uint64_t rows_of(const struct tensor *t)
{
    return t->shape[0];
}

static uint64_t cols_of(const struct tensor *t)
{
    return t->shape[1];
}

static int make_room(
    struct layout *p, bool for_long, uint64_t *left, struct err *e)
{
    struct int8_rows *v = p->int8;

    for (uint64_t i = 0; i < p->n; i++) {
        const struct tensor *t = p->from[i];
        _Atomic uint32_t *kept;

        if (layout_made(p, i) != MADE_INT8 ||
            (cols_of(t) > INT8_PIECE) != for_long || rows_of(t) > *left)
            continue;
        kept = arena_alloc(&p->arena, rows_of(t), sizeof(*kept), e);
        if (kept == NULL)
            return -1;
        v->kept[t - v->base] = kept;
        *left -= rows_of(t);
    }
    return 0;
}

int int8_rows_make(struct layout *p, const struct checkpoint *c, struct err *e)
{
    uint64_t left = INT8_ROWS_KEPT;

    p->int8 = arena_alloc(&p->arena, 1, sizeof(*p->int8), e);
    if (p->int8 == NULL)
        return -1;
    p->int8->base = c->tensors;
    p->int8->kept =
        arena_alloc(&p->arena, c->n_tensors, sizeof(*p->int8->kept), e);
    if (p->int8->kept == NULL || make_room(p, true, &left, e) != 0)
        return -1;
    return make_room(p, false, &left, e);
}

/* One matrix, while some of it is made. */
struct work {
    const struct checkpoint *c;
    const struct tensor *t;
    _Atomic uint32_t *kept;
    uint8_t *raw;
    float *in, *back;
};

static struct work work_on(
    const struct block_job *j, uint64_t i, uint8_t *scratch)
{
    const struct tensor *t = j->layout->from[i];
    const struct int8_rows *v = j->layout->int8;

    return (struct work){ .c = j->c,
        .t = t,
        .kept = v->kept[t - v->base],
        .raw = scratch,
        .in = (float *)(void *)(scratch + FLOATS_AT),
        .back = (float *)(void *)(scratch + BACK_AT) };
}

/* 0 while it is unknown: no scale is. */
static float known(const struct work *w, uint64_t row)
{
    uint32_t bits = 0;
    float scale;

    if (w->kept != NULL)
        bits = atomic_load_explicit(&w->kept[row], memory_order_relaxed);
    memcpy(&scale, &bits, sizeof(scale));
    return scale;
}

/* Whoever finds it finds the same. */
static float remember(const struct work *w, uint64_t row, float most)
{
    float scale = int8_scale(most);
    uint32_t bits;

    memcpy(&bits, &scale, sizeof(bits));
    if (w->kept != NULL)
        atomic_store_explicit(&w->kept[row], bits, memory_order_relaxed);
    return scale;
}

/* ---- rows ---- */

static int read_floats(
    const struct work *w, uint64_t first, uint64_t n, struct err *e)
{
    if (checkpoint_read(w->c, w->t, first, n, w->raw, e) != 0)
        return -1;
    cast_array(w->in, DTYPE_F32, w->raw, w->t->dtype, n);
    return 0;
}

/* The scale of one row, which is read for it when it is unknown. */
static int row_scale(
    const struct work *w, uint64_t row, float *scale, struct err *e)
{
    uint64_t cols = cols_of(w->t), n;
    float most = 0;

    *scale = known(w, row);
    if (*scale > 0)
        return 0;
    for (uint64_t at = 0; at < cols; at += n) {
        n = size_min(cols - at, INT8_PIECE);
        if (read_floats(w, row * cols + at, n, e) != 0)
            return -1;
        most = int8_most(most, w->in, n);
    }
    *scale = remember(w, row, most);
    return 0;
}

static void audit(
    struct block_job *j, uint64_t i, const struct work *w, uint64_t n)
{
    enum dtype from = w->t->dtype;
    struct audit a = { 0 };

    audit_back(&a, w->back, w->raw, from, n);
    a.overflow += a.inf;
    if (from == DTYPE_F64)
        a.overflow += cast_overflows(DTYPE_F32, w->raw, from, n, NULL);
    block_note(j, i, &a, w->raw, n);
}

static void encode(
    const struct work *w, uint64_t at, uint64_t n, float scale, uint8_t *out)
{
    int8_t *q = (int8_t *)out + at;

    int8_encode(q, w->in + at, n, scale);
    int8_decode(w->back + at, q, n, int8_kept(scale));
}

/* Whole rows, as many as fit a piece, read once. */
static int fill_rows(struct block_job *j, uint64_t i, const struct work *w,
    uint64_t row, uint64_t rows, uint8_t *out, struct err *e)
{
    uint64_t cols = cols_of(w->t), n = rows * cols;

    if (read_floats(w, row * cols, n, e) != 0)
        return -1;
    for (uint64_t r = 0; r < rows; r++) {
        float scale = known(w, row + r);

        if (scale == 0)
            scale = remember(w, row + r, int8_most(0, w->in + r * cols, cols));
        encode(w, r * cols, cols, scale, out);
    }
    audit(j, i, w, n);
    return 0;
}

/* Some of a row, whose scale may ask for all of it. */
static int fill_part(struct block_job *j, uint64_t i, const struct work *w,
    uint64_t first, uint64_t n, uint8_t *out, struct err *e)
{
    float scale;

    if (row_scale(w, first / cols_of(w->t), &scale, e) != 0 ||
        read_floats(w, first, n, e) != 0)
        return -1;
    encode(w, 0, n, scale, out);
    audit(j, i, w, n);
    return 0;
}

int int8_rows_fill(struct block_job *j, uint64_t i, uint64_t first, uint64_t n,
    uint8_t *out, uint8_t *scratch, struct err *e)
{
    struct work w = work_on(j, i, scratch);
    uint64_t cols = cols_of(w.t), now;

    for (; n > 0; first += now, out += now, n -= now) {
        uint64_t left = cols - first % cols;
        int rc;

        now = size_min(n, INT8_PIECE);
        if (left == cols && now >= cols) {
            now = now / cols * cols;
            rc = fill_rows(j, i, &w, first / cols, now / cols, out, e);
        } else {
            now = size_min(now, left);
            rc = fill_part(j, i, &w, first, now, out, e);
        }
        if (rc != 0)
            return -1;
    }
    return 0;
}

/* Scales of a few rows at w->back; more than one only when all fit a piece. */
static int some_scales(
    const struct work *w, uint64_t row, uint64_t rows, struct err *e)
{
    uint64_t cols = cols_of(w->t);
    bool all = true;

    if (cols > INT8_PIECE)
        return row_scale(w, row, w->back, e);
    for (uint64_t r = 0; r < rows; r++) {
        w->back[r] = known(w, row + r);
        all = all && w->back[r] > 0;
    }
    if (all)
        return 0;
    if (read_floats(w, row * cols, rows * cols, e) != 0)
        return -1;
    for (uint64_t r = 0; r < rows; r++)
        w->back[r] = remember(w, row + r, int8_most(0, w->in + r * cols, cols));
    return 0;
}

int int8_rows_scales(struct block_job *j, uint64_t i, uint64_t first,
    uint64_t n, uint8_t *out, uint8_t *scratch, struct err *e)
{
    struct work w = work_on(j, i, scratch);
    uint64_t most = INT8_PIECE / size_min(cols_of(w.t), INT8_PIECE);
    enum dtype to = j->layout->out[i].dtype;

    while (n > 0) {
        uint64_t now = size_min(n, most);

        if (some_scales(&w, first, now, e) != 0)
            return -1;
        cast_array(out, to, w.back, DTYPE_F32, now);
        out += now * dtype_bytes(to);
        first += now;
        n -= now;
    }
    return 0;
}
