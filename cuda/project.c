/*
 * Products of a layer's matrices: a few vectors go through our own kernel,
 * which reads every weight once for each, many through the library. Its
 * numbers of 16 bits would round the vectors, so each is given to it as the
 * sum of two.
 */
#include "cuda/blas.h"
#include "cuda/gpu_internal.h"
#include "cuda/halves.h"

static struct gpu_rows_part part_of(
    const struct plugin_state *s, const struct gpu_product *p, uint32_t i)
{
    const struct gpu_weight *w =
        gpu_at(s, p->layer, p->roles[i], p->item, false);

    return (struct gpu_rows_part){
        .data = w->data,
        .scales = w->scales,
        .bias = gpu_at(s, p->layer, p->roles[i], p->item, true)->data,
        .rows = w->rows,
        .y = p->y[i],
    };
}

/* The vectors as the library takes them: in halves, or as they are. */
static const void *vectors_for(
    const struct plugin_state *s, const struct gpu_rows *a, enum dtype t)
{
    if (t == DTYPE_F32)
        return a->x;
    gpu_halve(s->q, a->x, a->n, a->cols, a->x_step, t, s->halves, s->unscale);
    return s->halves;
}

/* A matrix of int8 is widened some rows at a time. */
static int multiply_i8(const struct plugin_state *s, const struct gpu_rows *a,
    const struct gpu_rows_part *w, const void *x, float *c, struct err *e)
{
    for (uint32_t at = 0; at < w->rows; at += TUNE_WIDE_ROWS) {
        uint32_t rows =
            w->rows - at < TUNE_WIDE_ROWS ? w->rows - at : TUNE_WIDE_ROWS;

        gpu_widen_i8(s->q, (const int8_t *)w->data + (size_t)at * a->cols,
            s->wide, (size_t)rows * a->cols);
        if (blas_products(s->blas, DTYPE_F16, s->wide, rows, a->cols, x,
                2 * a->n, c + at, w->rows, e) != 0)
            return -1;
    }
    return 0;
}

static int multiply(const struct plugin_state *s, const struct gpu_rows *a,
    const struct gpu_rows_part *w, const void *x, float *c, struct err *e)
{
    uint32_t n = a->dtype == DTYPE_F32 ? a->n : 2 * a->n;

    if (a->dtype == DTYPE_I8)
        return multiply_i8(s, a, w, x, c, e);
    return blas_products(
        s->blas, a->dtype, w->data, w->rows, a->cols, x, n, c, w->rows, e);
}

/* The norm as a kernel of its own. */
static void norm_first(const struct plugin_state *s, struct gpu_rows *a)
{
    struct gpu_norm norm;

    if (a->norm == NULL)
        return;
    norm = *a->norm;
    norm.n = a->n;
    norm.x = a->x;
    norm.y = s->h;
    gpu_norm(s->q, &norm);
    a->x = s->h;
    a->norm = NULL;
}

static int by_library(
    struct plugin_state *s, const struct gpu_rows *all, struct err *e)
{
    struct gpu_rows a = *all;
    const float *c[ROWS_PARTS] = { NULL };
    enum dtype t = a.dtype == DTYPE_I8 ? DTYPE_F16 : a.dtype;
    const void *x;
    float *to = s->products;

    norm_first(s, &a);
    x = vectors_for(s, &a, t);
    for (uint32_t i = 0; i < a.parts; i++) {
        if (multiply(s, &a, &a.part[i], x, to, e) != 0)
            return -1;
        c[i] = to;
        to += (t == DTYPE_F32 ? 1 : 2) * (size_t)a.n * a.part[i].rows;
    }
    gpu_finish_rows(s->q, &a, c, t == DTYPE_F32 ? 1 : 2,
        t == DTYPE_F32 ? NULL : s->unscale);
    return 0;
}

/* Is it worth the library, and is that there? */
static bool wants_library(struct plugin_state *s, const struct gpu_rows *a)
{
    struct err why = ERR_INIT;

    if (a->n < TUNE_GEMM_FROM || s->no_blas || a->x_step != a->cols)
        return false;
    if (s->blas == NULL)
        s->blas = blas_open(s->q, &why);
    s->no_blas = s->blas == NULL;
    return !s->no_blas;
}

/* What the library cannot do on this device, as BF16 before Ampere, our own
   kernel does from then on. */
static int run(struct plugin_state *s, struct gpu_rows *a, struct err *e)
{
    struct err why = ERR_INIT;

    if (wants_library(s, a)) {
        if (by_library(s, a, &why) == 0)
            return 0;
        if (why.kind != ERR_UNSUPPORTED) {
            *e = why;
            return -1;
        }
        s->no_blas = true;
    }
    if (!gpu_rows_hold(&s->device, a->cols))
        norm_first(s, a);
    gpu_rows(s->q, &s->device, a);
    return 0;
}

/* The gate and the other half are of two types: one after the other. */
static int gate_apart(
    struct plugin_state *s, const struct gpu_product *p, struct err *e)
{
    struct gpu_product one = *p;

    one.parts = 1;
    one.rows.finish = FINISH_ACT;
    if (gpu_project(s, &one, e) != 0)
        return -1;
    one.roles[0] = p->roles[1];
    one.y[0] = p->y[0];
    one.rows.finish = FINISH_MUL;
    return gpu_project(s, &one, e);
}

int gpu_project(
    struct plugin_state *s, const struct gpu_product *p, struct err *e)
{
    struct gpu_rows a = p->rows;
    uint32_t i = 0;

    while (i < p->parts) {
        const struct gpu_weight *w =
            gpu_at(s, p->layer, p->roles[i], p->item, false);

        a.dtype = w->dtype;
        a.cols = w->cols;
        for (a.parts = 0; i < p->parts; i++) {
            if (gpu_at(s, p->layer, p->roles[i], p->item, false)->dtype !=
                a.dtype)
                break;
            a.part[a.parts++] = part_of(s, p, i);
        }
        if (a.finish == FINISH_GATE && a.parts == 1)
            return gate_apart(s, p, e);
        if (run(s, &a, e) != 0)
            return -1;
    }
    return 0;
}
