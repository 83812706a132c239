/*
 * matmul.h - matrices times vectors, shared out over threads.
 *
 * A round is up to three matrices that read the same vectors, so that the
 * threads meet once for all of them:
 *
 *     struct matmul m = { .ops = ops, .pool = pool };
 *
 *     matmul_add(&m, wq, bq, x, n, q, step);
 *     matmul_add(&m, wk, bk, x, n, k, step);
 *     matmul_run(&m);
 *
 * Every output is computed by one thread in the fixed order of ops->rows, or
 * of int8 exactly (fixed.h), so it has the same bits whatever the number of
 * threads and whether the vectors came in one round or in several.
 */
#ifndef VERIFY_RUN_MATMUL_H
#define VERIFY_RUN_MATMUL_H

#include <stdatomic.h>

#include "base/pool.h"
#include "verify-run/ops.h"
#include "verify-run/weights.h"

enum { MATMUL_PARTS = 3, MATMUL_ROWS = 4 /* read at a time */ };

struct matmul_part {
    struct ops_rows rows;
    const float *scales; /* (count), of int8 */
    const float *bias;   /* (count), or NULL */
    size_t count;        /* rows of the matrix */
};

struct matmul {
    const struct ops *ops;
    struct pool *pool;
    void *room; /* of fixed_bytes(n, cols); NULL when no matrix is int8 */
    struct matmul_part part[MATMUL_PARTS];
    size_t parts;
    /* set by matmul_run */
    struct fixed fixed;  /* the vectors, where a matrix is int8 */
    size_t rows;         /* of all parts */
    size_t unit;         /* shares are multiples of it */
    _Atomic size_t next; /* row that no share has yet */
};

/*
 * matmul_add - one more matrix of the round, at most MATMUL_PARTS
 * bias     of w->rows; its data NULL for none
 * x        (n, w->cols), the same for all of a round
 * y        out: (n, y_step), of which the first w->rows of each are written
 */
void matmul_add(struct matmul *m, const struct weight *w,
    const struct weight *bias, const float *x, size_t n, float *y,
    size_t y_step);

/* matmul_run - y = W x + b for all that was added; returns when it is done. */
void matmul_run(struct matmul *m);

#endif
