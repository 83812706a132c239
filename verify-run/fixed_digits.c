/* Vectors as digits of a byte, by AVX-512. */
#include "verify-run/fixed_internal.h"

#if defined(__x86_64__)

#include "verify-run/fixed_avx512.h"

VNNI_INLINE uint32_t most_of(const float *x, size_t n)
{
    __m512i most = _mm512_setzero_si512();

    for (size_t k = 0; k < n; k += 16) {
        __m512i bits =
            _mm512_castps_si512(_mm512_maskz_loadu_ps(mask_16(n - k), x + k));

        most = _mm512_max_epu32(
            most, _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff)));
    }
    return (uint32_t)_mm512_reduce_max_epu32(most);
}

/* Dword d of lane i: digit d, from the lowest, of elements 4 i .. 4 i + 3. */
VNNI_INLINE __m512i digits_of(__m512i q)
{
    const __m512i middle = _mm512_set1_epi32((int)0x80808080);
    const __m512i by_digit = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));

    q = _mm512_xor_si512(_mm512_add_epi32(q, middle), middle);
    return _mm512_shuffle_epi8(q, by_digit);
}

VNNI_INLINE void put_few(uint8_t *to, size_t width, size_t k, __m512i digits)
{
    const __m512i by_digit =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i d = _mm512_permutexvar_epi32(by_digit, digits);

    _mm_store_si128((void *)(to + k), _mm512_castsi512_si128(d));
    _mm_store_si128((void *)(to + width + k), _mm512_extracti32x4_epi32(d, 1));
    _mm_store_si128(
        (void *)(to + 2 * width + k), _mm512_extracti32x4_epi32(d, 2));
    _mm_store_si128(
        (void *)(to + 3 * width + k), _mm512_extracti32x4_epi32(d, 3));
}

/* 16 integers from column k on, and zeros behind the last one. */
VNNI_INLINE __m512i integers(
    const float *x, size_t k, size_t cols, __mmask16 finite, __m512 power)
{
    __mmask16 there = k < cols ? mask_16(cols - k) & finite : 0;

    return _mm512_cvtps_epi32(
        _mm512_scalef_ps(_mm512_maskz_loadu_ps(there, x + k), power));
}

VNNI_INLINE void make_few(const struct fixed *f, const float *x, size_t v)
{
    const size_t width = fixed_width(f);
    const int s = fixed_unit(most_of(x, f->cols), &f->units[v]);
    const __m512 power = _mm512_set1_ps((float)s);
    const __mmask16 finite = f->units[v] == f->units[v] ? 0xffff : 0;
    __m512i sum = _mm512_setzero_si512();

    for (size_t k = 0; k < width; k += 16) {
        __m512i q = integers(x, k, f->cols, finite, power);

        sum = _mm512_add_epi64(
            sum, _mm512_cvtepi32_epi64(_mm512_castsi512_si256(q)));
        sum = _mm512_add_epi64(
            sum, _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(q, 1)));
        put_few(fixed_at(f, v), width, k, digits_of(q));
    }
    f->sums[v] = _mm512_reduce_add_epi64(sum);
}

/* ---- panels ---- */

/* Four groups of columns; r has those of each vector, lane by lane. */
VNNI_INLINE void put_panel(
    uint8_t *to, size_t digit, const __m512i r[FIXED_PANEL])
{
    __m512i out[FIXED_PANEL];

    transpose(out, r);
    UNROLLED
    for (size_t i = 0; i < FIXED_PANEL; i++)
        _mm512_store_si512(
            to + i % FIXED_DIGITS * digit + i / FIXED_DIGITS * 64, out[i]);
}

/* What fills up the last panel is zeros. */
VNNI_INLINE void make_panel(const struct fixed *f, const float *x,
    size_t x_step, size_t first, __m512i flip)
{
    const size_t width = fixed_width(f);
    const size_t n = size_min(FIXED_PANEL, f->n - first);
    uint8_t *to = fixed_at(f, first);
    __mmask16 finite[FIXED_PANEL] = { 0 };
    __m512 power[FIXED_PANEL];

    x += first * x_step;
    for (size_t v = 0; v < n; v++) {
        double *unit = &f->units[first + v];

        power[v] = _mm512_set1_ps(
            (float)fixed_unit(most_of(x + v * x_step, f->cols), unit));
        finite[v] = *unit == *unit ? 0xffff : 0;
    }
    for (size_t k = 0; k < width; k += 16) {
        __m512i r[FIXED_PANEL];

        for (size_t v = 0; v < FIXED_PANEL; v++)
            r[v] = v >= n ? flip
                          : _mm512_xor_si512(
                                flip, digits_of(integers(x + v * x_step, k,
                                          f->cols, finite[v], power[v])));
        put_panel(to + k * FIXED_PANEL, width * FIXED_PANEL, r);
    }
}

VNNI_INLINE void make(const struct fixed *f, const float *x, size_t x_step,
    size_t panel, __m512i flip)
{
    size_t first = panel * FIXED_PANEL;

    if (f->n >= FIXED_MANY)
        make_panel(f, x, x_step, first, flip);
    else
        for (size_t v = 0; v < f->n; v++)
            make_few(f, x + v * x_step, v);
}

VNNI void fixed_make_unsigned(
    const struct fixed *f, const float *x, size_t x_step, size_t panel)
{
    make(f, x, x_step, panel, _mm512_set1_epi8((char)0x80));
}

VNNI void fixed_make_signed(
    const struct fixed *f, const float *x, size_t x_step, size_t panel)
{
    make(f, x, x_step, panel, _mm512_setzero_si512());
}

#endif
