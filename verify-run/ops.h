/*
 * ops.h - the arithmetic of a forward pass in float32.
 *
 * struct ops holds what is worth a fast twin: two inner loops, and those of
 * int8 matrices (fixed.h). ops_scalar is the reference, plain C that sums in
 * double; ops_best is the fastest this machine runs, chosen in one place. All
 * the other operations are small and have one form. For one set of ops every
 * result is the same whatever the number of threads and however tokens are
 * batched. Source: architectures, sections 2 and 3.
 */
#ifndef VERIFY_RUN_OPS_H
#define VERIFY_RUN_OPS_H

#include "formats/dtype.h"
#include "verify-run/fixed.h"
#include "verify-run/kinds.h"

/* Rows first .. end-1 of Y = X W^T. */
struct ops_rows {
    const void *w;    /* [rows, cols] of dtype, row-major */
    enum dtype dtype; /* F32, F16 or BF16; I8: fixed.h */
    size_t cols;
    const float *x; /* (n, x_step); the first cols of each are read */
    size_t x_step;
    size_t n; /* vectors */
    float *y; /* (n, y_step); y[t * y_step + row] */
    size_t y_step;
};

/* Sums of values, each weighed: the second half of attention. */
struct ops_mix {
    const float *weights; /* (n, weights_step) */
    size_t weights_step;
    const float *values; /* (.., cols) */
    size_t cols;
    size_t n;
    float *y; /* (n, y_step), of which the first cols are written */
    size_t y_step;
};

struct ops {
    const char *name; /* "scalar", "avx2", "avx512", ... */
    /* y[t][row] = sum_k w[row][k] x[t][k], each sum in a fixed order */
    void (*rows)(const struct ops_rows *j, size_t first, size_t end);
    /* y[t][d] += weights[t][i] values[i][d], i = first .. end-1 in order */
    void (*mix)(const struct ops_mix *m, size_t first, size_t end);
    const struct fixed_ops *fixed;
};

extern const struct ops ops_scalar;

/* ops_best - the fastest this machine can run. */
const struct ops *ops_best(void);

/* ops_nth - every one this machine can run, the reference first; then NULL. */
const struct ops *ops_nth(size_t i);

/* out[k] = row[k] widened; F32, F16, BF16, or I8, whose scale is left out. */
void ops_widen(float *out, const void *row, enum dtype dtype, size_t n);

/* y = x / sqrt(mean(x^2) + eps) * w; y may be x. */
void ops_rmsnorm(
    float *y, const float *x, const float *w, size_t n, double eps);

/* The same, times 1 + w. */
void ops_rmsnorm_plus_one(
    float *y, const float *x, const float *w, size_t n, double eps);

/* y = (x - mean) / sqrt(var + eps) * w + b, w or b may be NULL; y may be x. */
void ops_layernorm(float *y, const float *x, const float *w, const float *b,
    size_t n, double eps);

/* cs[0..half) = cos(pos * inv_freq), cs[half..2 half) = sin. */
void ops_rope_table(
    float *cs, const float *inv_freq, size_t half, uint32_t pos);

/*
 * Rotate the first 2*half entries of one head in place; entry i pairs with
 * entry i + half. The rest of the head passes through.
 */
void ops_rope(float *head, const float *cs, size_t half);

/* The same where entry 2i pairs with entry 2i + 1. */
void ops_rope_adjacent(float *head, const float *cs, size_t half);

/* x = softmax(x), by the largest subtracted first. */
void ops_softmax(float *x, size_t n);

/* x[k] = act(x[k]) */
void ops_activate(float *x, size_t n, enum activation act);

/* x[k] += y[k] */
void ops_add(float *x, const float *y, size_t n);

/* x[k] *= a */
void ops_scale(float *x, float a, size_t n);

/* x[k] into -limit .. limit; a NaN stays. */
void ops_clip(float *x, float limit, size_t n);

/* x[k] = cap tanh(x[k] / cap) */
void ops_softcap(float *x, float cap, size_t n);

/* One head of queries at positions that follow each other. */
struct ops_attention {
    const float *q; /* (queries, q_step), of which head_dim are read */
    size_t q_step;
    size_t queries; /* at least one */
    const float *k; /* (n + queries - 1, head_dim), from position 0 on */
    const float *v; /* the same */
    size_t n;       /* keys before and at the first query */
    size_t window;  /* of those the nearest that a query sees; 0: all */
    size_t head_dim;
    float scale;
    float softcap;     /* of the scaled scores, or 0 */
    float slope;       /* ALiBi: what a key one nearer to the last has more */
    const float *bias; /* (n + queries - 1) added to the score of each key, by
                          its position; or NULL */
    float *scores;     /* scratch, queries * (n + queries - 1) */
    float *out;        /* (queries, out_step), of which head_dim are written */
    size_t out_step;
};

/*
 * out = softmax(softcap(scale q K^T) + slope * position + bias) V, the same
 * bits for a query alone and among others.
 */
void ops_attention(const struct ops *o, const struct ops_attention *a);

/* Every one is a number, none infinite. */
bool ops_finite(const float *x, size_t n);

/* Index of the largest, the first of equals. n > 0. */
size_t ops_argmax(const float *x, size_t n);

/* log of the sum of exponentials, in doubles; NAN when some x is none. */
double ops_log_sum(const float *x, size_t n);

#endif
