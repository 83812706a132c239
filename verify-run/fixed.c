#include "verify-run/fixed.h"

#include <math.h>
#include <string.h>

#include "verify-run/fixed_internal.h"

enum { LINE = 64 /* of the cache, where everything begins */ };

size_t fixed_panels(const struct fixed *f)
{
    return (f->n + FIXED_PANEL - 1) / FIXED_PANEL;
}

size_t fixed_bytes(size_t n, size_t cols)
{
    struct fixed f = { .n = n, .cols = cols };
    size_t vectors = fixed_panels(&f) * FIXED_PANEL;

    return LINE + vectors * (fixed_width(&f) * sizeof(int32_t) +
                                sizeof(*f.units) + sizeof(*f.sums));
}

struct fixed fixed_lay(void *room, size_t n, size_t cols)
{
    struct fixed f = { .n = n, .cols = cols };
    size_t vectors = fixed_panels(&f) * FIXED_PANEL;

    f.digits = (uint8_t *)room + (-(uintptr_t)room & (LINE - 1));
    f.units = (void *)fixed_at(&f, vectors);
    f.sums = (void *)(f.units + vectors);
    return f;
}

int fixed_unit(uint32_t most, double *unit)
{
    const uint32_t infinity = 0x7f800000;
    int above = (int)(most >> 23) - 126; /* most < 2^above */

    /* Numbers too small for an exponent are multiples of one that is not. */
    if (above < -125)
        above = -125;
    *unit = most >= infinity ? (double)NAN : ldexp(1, above - FIXED_BITS);
    return most >= infinity ? 0 : FIXED_BITS - above;
}

/* ---- the reference: one integer after the other ---- */

static uint32_t most_of(const float *x, size_t n)
{
    uint32_t most = 0;

    for (size_t k = 0; k < n; k++) {
        uint32_t bits;

        memcpy(&bits, x + k, sizeof(bits));
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    return most;
}

static void make_one(const struct fixed *f, const float *x, size_t vector)
{
    int32_t *q = (void *)fixed_at(f, vector);
    int s = fixed_unit(most_of(x, f->cols), &f->units[vector]);
    bool finite = !isnan(f->units[vector]);
    double times = ldexp(1, s);

    for (size_t k = 0; k < f->cols; k++)
        q[k] = finite ? (int32_t)nearbyint((double)x[k] * times) : 0;
}

static void make_scalar(
    const struct fixed *f, const float *x, size_t x_step, size_t panel)
{
    size_t first = panel * FIXED_PANEL;

    for (size_t v = first; v < size_min(first + FIXED_PANEL, f->n); v++)
        make_one(f, x + v * x_step, v);
}

static void rows_scalar(const struct fixed_rows *j, size_t first, size_t end)
{
    for (size_t row = first; row < end; row++) {
        const int8_t *w = j->w + row * j->x.cols;

        for (size_t v = 0; v < j->x.n; v++) {
            const int32_t *q = (const void *)fixed_at(&j->x, v);
            int64_t sum = 0;

            for (size_t k = 0; k < j->x.cols; k++)
                sum += (int64_t)w[k] * q[k];
            j->y[v * j->y_step + row] =
                fixed_value(sum, j->x.units[v], j->scales[row]);
        }
    }
}

const struct fixed_ops fixed_scalar = {
    .make = make_scalar,
    .rows = rows_scalar,
};
