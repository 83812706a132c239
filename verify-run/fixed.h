/*
 * fixed.h - vectors in fixed point, and int8 matrices times them.
 *
 * Every number of a vector becomes an integer of FIXED_BITS bits and a sign,
 * in units of the vector: a power of two, by its largest number. A number
 * within a factor of 64 of the largest one loses nothing of float32; what a
 * smaller one loses is at most half a unit. Products with int8 weights are
 * integers then, and so are their sums: exact in whatever order they are
 * taken, so that every twin, any number of threads, and one vector alone or
 * among others give the same bits. The end alone rounds: sum * unit * scale
 * in double, then to float32.
 *
 * A vector with a number that is not finite has NaN for a unit, and with it
 * for every product.
 */
#ifndef VERIFY_RUN_FIXED_H
#define VERIFY_RUN_FIXED_H

#include "base/sys.h"

enum {
    FIXED_BITS = 30,
    FIXED_PANEL = 16, /* vectors that are made, and worked on, together */
    FIXED_COLS_MAX = 1 << 24 /* or sums overflow */
};

struct fixed {
    void *digits;   /* as the twin that made them has them */
    double *units;  /* (n) */
    int64_t *sums;  /* (n): of a vector's integers, where the twin wants it */
    size_t n, cols; /* at most FIXED_COLS_MAX columns */
};

/* Y = scales W X^T */
struct fixed_rows {
    const int8_t *w;     /* [rows, x.cols], row-major */
    const float *scales; /* (rows) */
    struct fixed x;      /* made by the same twin */
    float *y;            /* (x.n, y_step); y[t * y_step + row] */
    size_t y_step;
};

struct fixed_ops {
    /* The panel-th FIXED_PANEL of f->n vectors x of f->cols, x_step apart. */
    void (*make)(
        const struct fixed *f, const float *x, size_t x_step, size_t panel);
    /* Rows first .. end-1. */
    void (*rows)(const struct fixed_rows *j, size_t first, size_t end);
};

/* fixed_bytes - what fixed_lay needs, at any address; n * cols is in memory */
size_t fixed_bytes(size_t n, size_t cols);

/* fixed_lay - n vectors of cols in this room, none of them made yet. */
struct fixed fixed_lay(void *room, size_t n, size_t cols);

size_t fixed_panels(const struct fixed *f);

/* Plain C, the reference. */
extern const struct fixed_ops fixed_scalar;

#endif
