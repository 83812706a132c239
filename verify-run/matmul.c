#include "verify-run/matmul.h"

enum {
    SHARE_BYTES = 1 << 16, /* of weights in the smallest share, about */
    SHARE_ROWS = 64,       /* in the smallest share when vectors are many */
    SMALL_WORK = 1 << 15   /* multiplications below which threads only cost */
};

_Static_assert((int)CONFIG_COUNT_MAX <= (int)FIXED_COLS_MAX,
    "no config has rows whose sums overflow");

void matmul_add(struct matmul *m, const struct weight *w,
    const struct weight *bias, const float *x, size_t n, float *y,
    size_t y_step)
{
    m->part[m->parts++] = (struct matmul_part){
        .rows = {
            .w = w->data,
            .dtype = w->dtype,
            .cols = w->cols,
            .x = x,
            .x_step = w->cols,
            .n = n,
            .y = y,
            .y_step = y_step,
        },
        .scales = w->scales,
        .bias = bias->data,
        .count = w->rows,
    };
}

static void run_int8(const struct matmul *m, const struct matmul_part *p,
    size_t first, size_t end)
{
    const struct fixed_rows j = {
        .w = p->rows.w,
        .scales = p->scales,
        .x = m->fixed,
        .y = p->rows.y,
        .y_step = p->rows.y_step,
    };

    m->ops->fixed->rows(&j, first, end);
}

static void run_rows(const struct matmul *m, const struct matmul_part *p,
    size_t first, size_t end)
{
    const struct ops_rows *j = &p->rows;

    if (j->dtype == DTYPE_I8)
        run_int8(m, p, first, end);
    else
        m->ops->rows(j, first, end);
    for (size_t t = 0; p->bias != NULL && t < j->n; t++)
        ops_add(j->y + t * j->y_step + first, p->bias + first, end - first);
}

/* Rows first .. end-1 of the round, its matrices one below the other. */
static void run_share(const struct matmul *m, size_t first, size_t end)
{
    size_t top = 0; /* row of the round that the part begins with */

    for (const struct matmul_part *p = m->part; top < end; p++) {
        size_t from = size_max(first, top);
        size_t to = size_min(end, top + p->count);

        if (from < to)
            run_rows(m, p, from - top, to - top);
        top += p->count;
    }
}

/*
 * The next share: half of what each thread would get of the rest, so that
 * shares are long (memory is read ahead along them) and yet nobody waits
 * long for another at the end. Returns its rows, 0 at the end.
 */
static size_t next_share(struct matmul *m, size_t *first)
{
    size_t n;

    *first = atomic_load(&m->next);
    do {
        size_t left = m->rows - *first;

        n = left / (2 * (size_t)pool_size(m->pool)) / m->unit * m->unit;
        n = size_min(left, size_max(n, m->unit));
    } while (
        n > 0 && !atomic_compare_exchange_weak(&m->next, first, *first + n));
    return n;
}

static void run_thread(void *ctx, size_t i)
{
    struct matmul *m = ctx;
    size_t first;
    size_t n;

    (void)i;
    while ((n = next_share(m, &first)) > 0)
        run_share(m, first, first + n);
}

static void make_panel(void *ctx, size_t i)
{
    const struct matmul *m = ctx;
    const struct ops_rows *j = &m->part[0].rows;

    m->ops->fixed->make(&m->fixed, j->x, j->x_step, i);
}

/* The vectors in fixed point, when some matrix wants them so. */
static void make_fixed(struct matmul *m)
{
    const struct ops_rows *j = &m->part[0].rows;
    size_t panels;
    bool wanted = false;

    for (size_t i = 0; i < m->parts; i++)
        wanted = wanted || m->part[i].rows.dtype == DTYPE_I8;
    if (!wanted)
        return;
    m->fixed = fixed_lay(m->room, j->n, j->cols);
    panels = fixed_panels(&m->fixed);
    if (panels > 1 && j->n * j->cols >= SMALL_WORK)
        pool_run(m->pool, panels, make_panel, m);
    else
        for (size_t i = 0; i < panels; i++)
            make_panel(m, i);
}

void matmul_run(struct matmul *m)
{
    const struct ops_rows *j = &m->part[0].rows;
    size_t row_bytes = j->cols * dtype_bytes(j->dtype);

    m->rows = 0;
    for (size_t i = 0; i < m->parts; i++)
        m->rows += m->part[i].count;
    m->unit = j->n > 1 ? SHARE_ROWS
                       : size_align(SHARE_BYTES / row_bytes + 1, MATMUL_ROWS);
    atomic_store(&m->next, 0);
    make_fixed(m);
    if (m->rows * j->cols * j->n < SMALL_WORK)
        run_share(m, 0, m->rows);
    else
        pool_run(m->pool, pool_size(m->pool), run_thread, m);
}
