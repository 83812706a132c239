#include "verify-run/matmul.h"

enum {
    PIECE_BYTES = 1 << 16, /* of weights in one item of work, about */
    SMALL_WORK = 1 << 15   /* multiplications below which threads only cost */
};

void matmul_add(struct matmul *m, const struct weight *w,
    const struct weight *bias, const float *x, size_t n, float *y,
    size_t y_step)
{
    m->part[m->parts++] = (struct matmul_part){
        .rows = {
            .w = w->data,
            .dtype = w->dtype,
            .scales = w->scales,
            .cols = w->cols,
            .x = x,
            .x_step = w->cols,
            .n = n,
            .y = y,
            .y_step = y_step,
        },
        .bias = bias->data,
        .count = w->rows,
    };
}

static void run_rows(const struct matmul *m, const struct matmul_part *p,
    size_t first, size_t end)
{
    const struct ops_rows *j = &p->rows;

    m->ops->rows(j, first, end);
    for (size_t t = 0; p->bias != NULL && t < j->n; t++)
        ops_add(j->y + t * j->y_step + first, p->bias + first, end - first);
}

static void run_item(void *ctx, size_t i)
{
    const struct matmul *m = ctx;
    const struct matmul_part *p = m->part;
    size_t first;

    while (i >= p->items)
        i -= p++->items;
    first = i * m->piece;
    run_rows(m, p, first, size_min(first + m->piece, p->count));
}

void matmul_run(struct matmul *m)
{
    size_t cols = m->part[0].rows.cols;
    size_t work = 0;
    size_t items = 0;

    m->piece = size_max(1, PIECE_BYTES / (cols * dtype_bytes(DTYPE_F16)));
    for (size_t i = 0; i < m->parts; i++) {
        struct matmul_part *p = &m->part[i];

        p->items = (p->count + m->piece - 1) / m->piece;
        items += p->items;
        work += p->count * cols * p->rows.n;
    }
    if (work >= SMALL_WORK) {
        pool_run(m->pool, items, run_item, m);
        return;
    }
    for (size_t i = 0; i < m->parts; i++)
        run_rows(m, &m->part[i], 0, m->part[i].count);
}
