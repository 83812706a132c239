#include "verify/measure.h"

#include <math.h>

#include "formats/cast.h"

enum { PIECE = 256 }; /* elements whose values are taken at a time */

bool measure_can(enum dtype dtype)
{
    switch (dtype) {
    case DTYPE_BOOL:
    case DTYPE_U8:
    case DTYPE_I8:
    case DTYPE_I16:
    case DTYPE_U16:
    case DTYPE_I32:
    case DTYPE_U32:
    case DTYPE_I64:
    case DTYPE_U64:
        return true;
    default:
        return dtype_is_float(dtype);
    }
}

/* One integer, in this machine's byte order. */
static double integer_at(const uint8_t *p, unsigned size, bool is_signed)
{
    uint8_t v1;
    uint16_t v2;
    uint32_t v4;
    uint64_t v8;

    switch (size) {
    case 1:
        v1 = *p;
        return is_signed ? (int8_t)v1 : v1;
    case 2:
        memcpy(&v2, p, 2);
        return is_signed ? (int16_t)v2 : v2;
    case 4:
        memcpy(&v4, p, 4);
        return is_signed ? (double)(int32_t)v4 : v4;
    default:
        memcpy(&v8, p, 8);
        return is_signed ? (double)(int64_t)v8 : (double)v8;
    }
}

static void values_of(
    double *out, enum dtype dtype, const uint8_t *p, uint64_t n)
{
    unsigned size = dtype_bytes(dtype);
    bool is_signed = dtype == DTYPE_I8 || dtype == DTYPE_I16 ||
                     dtype == DTYPE_I32 || dtype == DTYPE_I64;

    if (dtype_is_float(dtype)) {
        cast_array(out, DTYPE_F64, p, dtype, n);
        return;
    }
    for (uint64_t i = 0; i < n; i++)
        out[i] = integer_at(p + i * size, size, is_signed);
}

/* Same numbers, and NaN and NaN, are no distance apart. */
static double distance(double a, double b)
{
    if (a == b || (isnan(a) && isnan(b)))
        return 0;
    if (isnan(a) || isnan(b))
        return INFINITY;
    return fabs(a - b);
}

/* A double cannot tell neighbours of 64 bits apart; their distance it can. */
static double distance_wide(const uint8_t *a, const uint8_t *b, bool is_signed)
{
    uint64_t x, y;
    bool less;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    less = is_signed ? (int64_t)x < (int64_t)y : x < y;
    return (double)(less ? y - x : x - y);
}

static double relative(double by, double a, double b)
{
    double most = fmax(fabs(a), fabs(b));

    if (by == 0 || !isfinite(by))
        return by;
    return by / most;
}

static void keep_most(
    struct diff_most *m, bool first, double by, uint64_t at, double a, double b)
{
    if (first || by > m->by)
        *m = (struct diff_most){ by, at, a, b };
}

static bool note(struct measure *m, uint64_t at)
{
    bool first = m->n++ == 0;

    if (first)
        m->first = at;
    return first;
}

/* At most PIECE elements, some of which differ. */
static void add_piece(struct measure *m, enum dtype dtype, const uint8_t *a,
    const uint8_t *b, uint64_t at, uint64_t n)
{
    unsigned size = dtype_bytes(dtype);
    bool values = measure_can(dtype);
    double x[PIECE], y[PIECE];

    if (values) {
        values_of(x, dtype, a, n);
        values_of(y, dtype, b, n);
    }
    for (uint64_t i = 0; i < n; i++) {
        bool first;
        double by;

        if (memcmp(a + i * size, b + i * size, size) == 0)
            continue;
        first = note(m, at + i);
        if (!values)
            continue;
        by = dtype == DTYPE_I64 || dtype == DTYPE_U64
                 ? distance_wide(a + i * size, b + i * size, dtype == DTYPE_I64)
                 : distance(x[i], y[i]);
        keep_most(&m->absolute, first, by, at + i, x[i], y[i]);
        keep_most(
            &m->relative, first, relative(by, x[i], y[i]), at + i, x[i], y[i]);
    }
}

/* Elements smaller than a byte: which of them a byte's bits belong to. */
static void add_packed(struct measure *m, unsigned bits, const uint8_t *a,
    const uint8_t *b, uint64_t at, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        bool differ = false;

        for (uint64_t bit = i * bits; bit < (i + 1) * bits; bit++)
            differ = differ || ((a[bit / 8] ^ b[bit / 8]) >> (bit % 8) & 1);
        if (differ)
            note(m, at + i);
    }
}

void measure_add(struct measure *m, enum dtype dtype, const void *a,
    const void *b, uint64_t at, uint64_t n)
{
    unsigned size = dtype_bytes(dtype), bits = dtype_bits(dtype);
    const uint8_t *x = a, *y = b;

    if (memcmp(x, y, (n * bits + 7) / 8) == 0)
        return;
    if (size == 0) {
        add_packed(m, bits, x, y, at, n);
        return;
    }
    for (uint64_t i = 0; i < n; i += PIECE) {
        uint64_t now = size_min(PIECE, n - i);

        if (memcmp(x + i * size, y + i * size, now * size) != 0)
            add_piece(m, dtype, x + i * size, y + i * size, at + i, now);
    }
}

void measure_join(struct measure *m, const struct measure *other)
{
    if (other->n == 0)
        return;
    if (m->n == 0) {
        *m = *other;
        return;
    }
    m->n += other->n;
    if (other->absolute.by > m->absolute.by)
        m->absolute = other->absolute;
    if (other->relative.by > m->relative.by)
        m->relative = other->relative;
}
