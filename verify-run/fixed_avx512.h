/*
 * fixed_avx512.h - what the AVX-512 twins of fixed.h share. An integer is
 * four digits of a byte, each between -128 and 127; weights are multiplied by
 * all digits of one number, 64 at a time (fixed_vnni.c) or 16 rows by 16
 * vectors at a time (fixed_amx.c), and the four sums make one at the end.
 *
 * Fewer than FIXED_MANY vectors lie one after the other, in each all bytes of
 * one digit side by side: [digit][column]. More lie in panels of 16, where
 * four bytes of each are side by side: [digit][column / 4][vector][4], which
 * is what a tile of AMX is. Stays in this room.
 */
#ifndef VERIFY_RUN_FIXED_AVX512_H
#define VERIFY_RUN_FIXED_AVX512_H

#include <immintrin.h>

#include "verify-run/fixed_internal.h"

enum { FIXED_DIGITS = 4 };

/* Sums stay in registers only when their loops are gone. */
#ifdef __clang__
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

#define VNNI                                                                   \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define VNNI_INLINE VNNI __attribute__((always_inline)) static inline

/* Digits of vectors as signed bytes, and as those plus 128 in panels. */
void fixed_make_signed(
    const struct fixed *f, const float *x, size_t x_step, size_t panel);
void fixed_make_unsigned(
    const struct fixed *f, const float *x, size_t x_step, size_t panel);

/* Rows first .. end-1 with panels whose digits are signed. */
void fixed_vnni_signed(const struct fixed_rows *j, size_t first, size_t end);

VNNI_INLINE __mmask16 mask_16(size_t left)
{
    return left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
}

/* Sums of 16 vectors. */
struct totals {
    __m512i low, high;
};

/* The digits' sums of one slice, the highest digit's last. */
VNNI_INLINE void add_digits(struct totals *t, const __m512i sum[FIXED_DIGITS])
{
    __m512i low = _mm512_setzero_si512();
    __m512i high = _mm512_setzero_si512();

    UNROLLED
    for (size_t d = FIXED_DIGITS; d-- > 0;) {
        low = _mm512_add_epi64(_mm512_slli_epi64(low, 8),
            _mm512_cvtepi32_epi64(_mm512_castsi512_si256(sum[d])));
        high = _mm512_add_epi64(_mm512_slli_epi64(high, 8),
            _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(sum[d], 1)));
    }
    t->low = _mm512_add_epi64(t->low, low);
    t->high = _mm512_add_epi64(t->high, high);
}

/* One row's products with the vectors of a panel. */
VNNI_INLINE __m512 values_of(const struct fixed_rows *j, size_t row,
    size_t panel, const struct totals *t)
{
    const double *units = j->x.units + panel * FIXED_PANEL;
    const __m512d scale = _mm512_set1_pd((double)j->scales[row]);
    __m512d low =
        _mm512_mul_pd(_mm512_cvtepi64_pd(t->low), _mm512_loadu_pd(units));
    __m512d high =
        _mm512_mul_pd(_mm512_cvtepi64_pd(t->high), _mm512_loadu_pd(units + 8));
    __m512 y =
        _mm512_castps256_ps512(_mm512_cvtpd_ps(_mm512_mul_pd(low, scale)));

    return _mm512_insertf32x8(
        y, _mm512_cvtpd_ps(_mm512_mul_pd(high, scale)), 1);
}

/* out[i] = dword i of each of in: pairs of dwords, of qwords, of lanes. */
VNNI_INLINE void transpose(__m512i out[16], const __m512i in[16])
{
    __m512i a[16];
    __m512i b[16];

    UNROLLED
    for (size_t i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_epi32(in[i], in[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi32(in[i], in[i + 1]);
    }
    UNROLLED
    for (size_t i = 0; i < 16; i += 4) {
        b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm512_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm512_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm512_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    UNROLLED
    for (size_t i = 0; i < 4; i++) {
        __m512i even = _mm512_shuffle_i32x4(b[i], b[4 + i], 0x88);
        __m512i odd = _mm512_shuffle_i32x4(b[i], b[4 + i], 0xdd);
        __m512i more_even = _mm512_shuffle_i32x4(b[8 + i], b[12 + i], 0x88);
        __m512i more_odd = _mm512_shuffle_i32x4(b[8 + i], b[12 + i], 0xdd);

        out[i] = _mm512_shuffle_i32x4(even, more_even, 0x88);
        out[4 + i] = _mm512_shuffle_i32x4(odd, more_odd, 0x88);
        out[8 + i] = _mm512_shuffle_i32x4(even, more_even, 0xdd);
        out[12 + i] = _mm512_shuffle_i32x4(odd, more_odd, 0xdd);
    }
}

#endif
