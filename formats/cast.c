/*
 * Casts go in blocks: load to float, then store in the target type, both in
 * the first-level cache. cast_x86.c has faster loads and stores; the ones
 * here are the reference that they are tested against, bit for bit.
 */
#include "formats/cast.h"

#include <string.h>

#include "formats/cast_kernel.h"

enum { BLOCK = 1024 };

static uint32_t bits_of(float v)
{
    uint32_t u;

    memcpy(&u, &v, sizeof(u));
    return u;
}

static float float_of(uint32_t u)
{
    float v;

    memcpy(&v, &u, sizeof(v));
    return v;
}

/* Shift right, to nearest, ties to even; 1 <= by <= 31. */
static uint32_t round_shift(uint32_t v, unsigned by)
{
    uint32_t half = (uint32_t)1 << (by - 1);

    return (v + (half - 1) + ((v >> by) & 1)) >> by;
}

uint16_t cast_f32_to_f16(float v)
{
    uint32_t u = bits_of(v);
    uint32_t sign = (u >> 16) & 0x8000, a = u & 0x7FFFFFFF, e = a >> 23;

    if (a > 0x7F800000) /* NaN: made quiet, the upper payload kept */
        return (uint16_t)(sign | 0x7E00 | ((a >> 13) & 0x3FF));
    if (a >= 0x477FF000) /* 65520 and more */
        return (uint16_t)(sign | 0x7C00);
    if (e < 102) /* below half of the smallest subnormal */
        return (uint16_t)sign;
    if (e < 113) /* subnormal: in units of 2^-24 */
        return (
            uint16_t)(sign | round_shift((a & 0x7FFFFF) | 0x800000, 126 - e));
    return (uint16_t)(sign | round_shift(a - ((uint32_t)112 << 23), 13));
}

uint16_t cast_f32_to_bf16(float v)
{
    uint32_t u = bits_of(v);

    if ((u & 0x7FFFFFFF) > 0x7F800000)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7FFF + ((u >> 16) & 1)) >> 16);
}

float cast_f16_to_f32(uint16_t v)
{
    uint32_t sign = (uint32_t)(v & 0x8000) << 16;
    uint32_t e = (v >> 10) & 0x1F, m = v & 0x3FF;

    if (e == 31) /* a NaN is made quiet, as the hardware does */
        return float_of(sign | 0x7F800000 | m << 13 | (m ? 0x400000 : 0));
    if (e > 0)
        return float_of(sign | (e + 112) << 23 | m << 13);
    return float_of(sign | bits_of((float)m * 0x1p-24F));
}

float cast_bf16_to_f32(uint16_t v)
{
    return float_of((uint32_t)v << 16);
}

/* NaN by its bits: what C makes of one differs between machines. */
static float from_f64(uint64_t u)
{
    double d;

    if ((u & 0x7FFFFFFFFFFFFFFF) > 0x7FF0000000000000)
        return float_of((uint32_t)(u >> 32 & 0x80000000) | 0x7FC00000 |
                        (uint32_t)(u >> 29 & 0x3FFFFF));
    memcpy(&d, &u, sizeof(d));
    return (float)d;
}

static uint64_t to_f64(float v)
{
    uint64_t a = bits_of(v), u;
    double d = (double)v;

    if ((a & 0x7FFFFFFF) > 0x7F800000)
        return (a & 0x80000000) << 32 | 0x7FF8000000000000 |
               (a & 0x3FFFFF) << 29;
    memcpy(&u, &d, sizeof(u));
    return u;
}

static void load_f64(float *out, const void *in, size_t n)
{
    const uint8_t *p = in;

    for (size_t i = 0; i < n; i++) {
        uint64_t u;
        memcpy(&u, p + i * sizeof(u), sizeof(u));
        out[i] = from_f64(u);
    }
}

static void load_f32(float *out, const void *in, size_t n)
{
    memcpy(out, in, n * sizeof(*out));
}

static void load_f16(float *out, const void *in, size_t n)
{
    const uint8_t *p = in;

    for (size_t i = 0; i < n; i++) {
        uint16_t u;
        memcpy(&u, p + i * sizeof(u), sizeof(u));
        out[i] = cast_f16_to_f32(u);
    }
}

static void load_bf16(float *out, const void *in, size_t n)
{
    const uint8_t *p = in;

    for (size_t i = 0; i < n; i++) {
        uint16_t u;
        memcpy(&u, p + i * sizeof(u), sizeof(u));
        out[i] = cast_bf16_to_f32(u);
    }
}

static void store_f64(void *out, const float *in, size_t n)
{
    uint8_t *p = out;

    for (size_t i = 0; i < n; i++) {
        uint64_t u = to_f64(in[i]);
        memcpy(p + i * sizeof(u), &u, sizeof(u));
    }
}

static void store_f32(void *out, const float *in, size_t n)
{
    memcpy(out, in, n * sizeof(*in));
}

static void store_f16(void *out, const float *in, size_t n)
{
    uint8_t *p = out;

    for (size_t i = 0; i < n; i++) {
        uint16_t u = cast_f32_to_f16(in[i]);
        memcpy(p + i * sizeof(u), &u, sizeof(u));
    }
}

static void store_bf16(void *out, const float *in, size_t n)
{
    uint8_t *p = out;

    for (size_t i = 0; i < n; i++) {
        uint16_t u = cast_f32_to_bf16(in[i]);
        memcpy(p + i * sizeof(u), &u, sizeof(u));
    }
}

/* Finite, and at least limit: becomes infinite when stored. */
static size_t count_over(const float *in, size_t n, uint32_t limit)
{
    size_t over = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t a = bits_of(in[i]) & 0x7FFFFFFF;
        over += a >= limit && a < 0x7F800000;
    }
    return over;
}

void cast_kernels_plain(struct cast_kernels *out)
{
    *out = (struct cast_kernels){
        .load = { [DTYPE_F64] = load_f64,
            [DTYPE_F32] = load_f32,
            [DTYPE_F16] = load_f16,
            [DTYPE_BF16] = load_bf16 },
        .store = { [DTYPE_F64] = store_f64,
            [DTYPE_F32] = store_f32,
            [DTYPE_F16] = store_f16,
            [DTYPE_BF16] = store_bf16 },
        .count_over = count_over,
    };
}

void cast_kernels_best(struct cast_kernels *out)
{
    cast_kernels_plain(out);
    cast_kernels_x86(out);
}

const float *cast_floats(const struct cast_kernels *k, const void *in,
    enum dtype t, size_t n, float *room)
{
    if (t == DTYPE_F32 && (uintptr_t)in % _Alignof(float) == 0)
        return in;
    k->load[t](room, in, n);
    return room;
}

void cast_array_with(const struct cast_kernels *k, void *out, enum dtype to,
    const void *in, enum dtype from, uint64_t n)
{
    float block[BLOCK];
    const uint8_t *src = in;
    uint8_t *dst = out;

    if (from == to) {
        memmove(out, in, n * dtype_bytes(to));
        return;
    }
    while (n > 0) {
        size_t now = (size_t)size_min(n, BLOCK);
        k->store[to](dst, cast_floats(k, src, from, now, block), now);
        src += now * dtype_bytes(from);
        dst += now * dtype_bytes(to);
        n -= now;
    }
}

void cast_array(
    void *out, enum dtype to, const void *in, enum dtype from, uint64_t n)
{
    struct cast_kernels k;

    cast_kernels_best(&k);
    cast_array_with(&k, out, to, in, from, n);
}

/* The smallest magnitude, as float bits, that rounds to infinity. */
static uint32_t over_limit(enum dtype to)
{
    if (to == DTYPE_F16)
        return 0x477FF000;
    return to == DTYPE_BF16 ? 0x7F7F8000 : 0x7F800000;
}

/* A double may leave the range of float on the way: ask the original. */
static size_t count_over_f64(const uint8_t *in, size_t n, uint32_t limit)
{
    size_t over = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t u;
        memcpy(&u, in + i * sizeof(u), sizeof(u));
        over += (u & 0x7FFFFFFFFFFFFFFF) < 0x7FF0000000000000 &&
                (bits_of(from_f64(u)) & 0x7FFFFFFF) >= limit;
    }
    return over;
}

static size_t count_block(const struct cast_kernels *k, const uint8_t *in,
    enum dtype from, size_t n, uint32_t limit)
{
    float block[BLOCK];

    if (from == DTYPE_F64)
        return count_over_f64(in, n, limit);
    k->load[from](block, in, n);
    return k->count_over(block, n, limit);
}

uint64_t cast_overflows(
    enum dtype to, const void *in, enum dtype from, uint64_t n, uint64_t *first)
{
    const uint8_t *p = in;
    uint32_t limit = over_limit(to);
    struct cast_kernels k;
    uint64_t over = 0;

    if (from == to || to == DTYPE_F64 || from == DTYPE_F16 ||
        (to == DTYPE_F32 && from != DTYPE_F64))
        return 0;
    cast_kernels_best(&k);
    for (uint64_t at = 0; at < n; at += BLOCK) {
        size_t now = (size_t)size_min(n - at, BLOCK);
        size_t here = count_block(&k, p, from, now, limit);

        if (here > 0 && over == 0 && first != NULL) {
            *first = at;
            while (count_block(&k, p + (*first - at) * dtype_bytes(from), from,
                       1, limit) == 0)
                ++*first;
        }
        over += here;
        p += now * dtype_bytes(from);
    }
    return over;
}
