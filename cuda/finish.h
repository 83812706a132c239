/*
 * finish.h - what becomes of a row's sum, the same whether our own kernel
 * made it or the library. For kernels only.
 */
#ifndef CUDA_FINISH_H
#define CUDA_FINISH_H

#include "cuda/activate.h"
#include "cuda/normal.h"

/* A matrix's row among those of all parts. */
struct row_at {
    uint32_t part;
    uint32_t row;
};

__device__ static inline struct row_at row_find(
    const struct gpu_rows &a, uint32_t row)
{
    struct row_at at = { 0, row };

    while (at.part + 1 < a.parts && at.row >= a.part[at.part].rows)
        at.row -= a.part[at.part++].rows;
    return at;
}

/* The sum with its scale of int8 and its bias. */
__device__ static inline float row_value(
    const struct gpu_rows_part &p, uint32_t row, float sum)
{
    if (p.scales != nullptr)
        sum *= p.scales[row];
    return p.bias != nullptr ? sum + p.bias[row] : sum;
}

__device__ static inline float *row_place(
    const struct gpu_rows &a, struct row_at at, uint32_t t)
{
    return a.part[at.part].y + (size_t)t * a.y_step + at.row;
}

/* All but FINISH_GATE; v is row_value. */
__device__ static inline void row_finish(
    const struct gpu_rows &a, struct row_at at, uint32_t t, float v)
{
    float *y = row_place(a, at, t);

    if (a.finish == FINISH_ADD) {
        watch_value(watch_of(a.watch), v);
        v *= a.scale;
        if (a.also != nullptr)
            v = *y + a.scale * a.also[(size_t)t * a.y_step + at.row] + v;
        else
            v = *y + v;
        if (a.watch_sum)
            watch_value(watch_of(a.watch), v);
        *y = v;
        return;
    }
    if (a.finish == FINISH_ACT)
        v = activate(v, a.act);
    if (a.finish == FINISH_MUL)
        v *= *y;
    if (a.finish == FINISH_STORE) {
        if (a.clip > 0)
            v = clip(v, -a.clip, a.clip);
        v *= a.scale;
        if (a.cap > 0)
            v = a.cap * tanhf(v / a.cap);
    }
    watch_value(watch_of(a.watch), v);
    *y = v;
}

/* FINISH_GATE: the values of one row of the gate and of the other half. */
__device__ static inline void row_gate(
    const struct gpu_rows &a, uint32_t row, uint32_t t, float gate, float up)
{
    float v = activate(gate, a.act) * up;

    watch_value(watch_of(a.watch), v);
    *row_place(a, { 0, row }, t) = v;
}

#endif
