/*
 * Bytes times bytes by VNNI, 64 at a time.
 *
 * It multiplies unsigned bytes by signed ones: what is made unsigned is the
 * weight where vectors are few, and the digit in a panel. 128 too much in one
 * is 128 times the sum of the other too much in the end.
 */
#include <string.h>

#include "verify-run/fixed_internal.h"

#if defined(__x86_64__)

#include "verify-run/fixed_avx512.h"

enum {
    DIGITS = FIXED_DIGITS,
    TILE_ROWS = 4,    /* 4 x 4 sums, 4 weights, a digit: 21 registers */
    STREAM = 1 << 15, /* bytes of a matrix that are read in order, about */
    AHEAD = 1 << 11,  /* bytes that are asked for early in each stream */
    PANEL_ROWS = 4,   /* with four digits of a panel: 16 sums */
    BLOCK_ROWS = 96   /* of a matrix, that stay in the second cache */
};

/* ---- few vectors ---- */

/* The sums of four vectors. */
VNNI_INLINE __m128i join(__m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i ab = _mm512_add_epi32(
        _mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(
        _mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    __m512i s = _mm512_add_epi32(
        _mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    __m256i h = _mm256_add_epi32(
        _mm512_castsi512_si256(s), _mm512_extracti64x4_epi64(s, 1));

    return _mm_add_epi32(
        _mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
}

/* Columns k .. k + 63, of which only those in mask are there. */
VNNI_INLINE void add_columns(const uint8_t *w, size_t row_bytes, size_t rows,
    const uint8_t *digits, size_t width, size_t k, __mmask64 mask,
    __m512i sum[DIGITS][TILE_ROWS])
{
    const __m512i middle = _mm512_set1_epi8((char)0x80);
    __m512i a[TILE_ROWS];

    UNROLLED
    for (size_t r = 0; r < rows; r++)
        a[r] = _mm512_xor_si512(
            middle, mask == ~(__mmask64)0
                        ? _mm512_loadu_si512(w + r * row_bytes + k)
                        : _mm512_maskz_loadu_epi8(mask, w + r * row_bytes + k));
    UNROLLED
    for (size_t d = 0; d < DIGITS; d++) {
        __m512i x = _mm512_load_si512(digits + d * width + k);

        UNROLLED
        for (size_t r = 0; r < rows; r++)
            sum[d][r] = _mm512_dpbusd_epi32(sum[d][r], a[r], x);
    }
}

/* The four digits' sums of each row, of one slice, put together. */
VNNI_INLINE __m256i sum_slice(const uint8_t *w, size_t row_bytes, size_t rows,
    const uint8_t *digits, size_t width, size_t cols, size_t ahead)
{
    __m512i sum[DIGITS][TILE_ROWS];
    __m256i total = _mm256_setzero_si256();
    size_t k = 0;

    UNROLLED
    for (size_t d = 0; d < DIGITS; d++) {
        UNROLLED
        for (size_t r = 0; r < TILE_ROWS; r++)
            sum[d][r] = _mm512_setzero_si512();
    }
    for (; k + 64 <= cols; k += 64) {
        UNROLLED
        for (size_t r = 0; ahead > 0 && r < rows; r++)
            _mm_prefetch(
                (const char *)w + r * row_bytes + k + ahead, _MM_HINT_T0);
        add_columns(w, row_bytes, rows, digits, width, k, ~(__mmask64)0, sum);
    }
    if (k < cols)
        add_columns(w, row_bytes, rows, digits, width, k,
            ((__mmask64)1 << (cols - k)) - 1, sum);
    UNROLLED
    for (size_t d = DIGITS; d-- > 0;)
        total = _mm256_add_epi64(_mm256_slli_epi64(total, 8),
            _mm256_cvtepi32_epi64(
                join(sum[d][0], sum[d][1], sum[d][2], sum[d][3])));
    return total;
}

/*
 * Row and the ones at every step-th after it. Of several the processor
 * fetches ahead on each, and on rows in other pages of memory best.
 */
VNNI_INLINE void few_rows(
    const struct fixed_rows *j, size_t row, size_t rows, size_t step, size_t v)
{
    const size_t cols = j->x.cols;
    const uint8_t *w = (const uint8_t *)j->w + row * cols;
    const uint8_t *digits = fixed_at(&j->x, v);
    const __mmask8 there = (__mmask8)((1u << rows) - 1);
    const __m128i at =
        _mm_mullo_epi32(_mm_setr_epi32(0, 1, 2, 3), _mm_set1_epi32((int)step));
    __m256i total = _mm256_set1_epi64x(-128 * j->x.sums[v]);
    __m256d y;

    for (size_t k = 0; k < cols; k += FIXED_SLICE)
        total = _mm256_add_epi64(total,
            sum_slice(w + k, step * cols, rows, digits + k, fixed_width(&j->x),
                cols - k < FIXED_SLICE ? cols - k : FIXED_SLICE,
                v == 0 ? AHEAD : 0));
    y = _mm256_mul_pd(_mm256_cvtepi64_pd(total), _mm256_set1_pd(j->x.units[v]));
    y = _mm256_mul_pd(y, _mm256_cvtps_pd(_mm_mmask_i32gather_ps(
                             _mm_setzero_ps(), there, at, j->scales + row, 4)));
    _mm_mask_i32scatter_ps(
        j->y + v * j->y_step + row, there, at, _mm256_cvtpd_ps(y), 4);
}

VNNI static void few_vectors(
    const struct fixed_rows *j, size_t first, size_t end)
{
    const size_t most = STREAM / j->x.cols + 1;
    size_t step;

    for (; (step = size_min(most, (end - first) / TILE_ROWS)) > 0;
         first += TILE_ROWS * step)
        for (size_t i = 0; i < step; i++)
            for (size_t v = 0; v < j->x.n; v++)
                few_rows(j, first + i, TILE_ROWS, step, v);
    for (; first < end; first++)
        for (size_t v = 0; v < j->x.n; v++)
            few_rows(j, first, 1, 1, v);
}

/* ---- panels ---- */

VNNI_INLINE void put_values(
    const struct fixed_rows *j, size_t row, size_t panel, __m512 y)
{
    const size_t v = panel * FIXED_PANEL;
    const __m512i at = _mm512_mullo_epi32(_mm512_set1_epi32((int)j->y_step),
        _mm512_setr_epi32(
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));

    _mm512_mask_i32scatter_ps(
        j->y + v * j->y_step + row, mask_16(j->x.n - v), at, y, 4);
}

/* Four bytes of a row, as many as there are. */
static inline int32_t four(const int8_t *w, size_t left)
{
    int32_t out = 0;

    if (left >= 4)
        memcpy(&out, w, 4);
    else
        memcpy(&out, w, left);
    return out;
}

/*
 * Columns k .. k + 3 of these rows and of a panel whose digits are a step
 * apart; flip is what makes its bytes unsigned.
 */
VNNI_INLINE void add_group(const struct fixed_rows *j, size_t row, size_t rows,
    size_t k, const uint8_t *x, size_t digit, __m512i flip,
    __m512i sum[PANEL_ROWS][DIGITS])
{
    __m512i w[PANEL_ROWS];

    UNROLLED
    for (size_t r = 0; r < rows; r++)
        w[r] = _mm512_set1_epi32(
            four(j->w + (row + r) * j->x.cols + k, j->x.cols - k));
    UNROLLED
    for (size_t d = 0; d < DIGITS; d++) {
        __m512i u = _mm512_xor_si512(
            flip, _mm512_load_si512(x + d * digit + k / 4 * 64));

        UNROLLED
        for (size_t r = 0; r < rows; r++)
            sum[r][d] = _mm512_dpbusd_epi32(sum[r][d], u, w[r]);
    }
}

/* A few rows, whose weights sum up to these, times a panel. */
VNNI_INLINE void panel_rows(const struct fixed_rows *j, size_t row, size_t rows,
    size_t panel, __m512i flip, const int64_t *weights)
{
    const uint8_t *x = fixed_at(&j->x, panel * FIXED_PANEL);
    const size_t digit = fixed_width(&j->x) * FIXED_PANEL;
    struct totals total[PANEL_ROWS];

    UNROLLED
    for (size_t r = 0; r < rows; r++)
        total[r].low = total[r].high =
            _mm512_set1_epi64(-128 * (int64_t)0x01010101 * weights[r]);
    for (size_t k = 0; k < j->x.cols;) {
        const size_t end = size_min(j->x.cols, k + FIXED_SLICE);
        __m512i sum[PANEL_ROWS][DIGITS];

        UNROLLED
        for (size_t r = 0; r < rows; r++) {
            UNROLLED
            for (size_t d = 0; d < DIGITS; d++)
                sum[r][d] = _mm512_setzero_si512();
        }
        for (; k < end; k += 4)
            add_group(j, row, rows, k, x, digit, flip, sum);
        UNROLLED
        for (size_t r = 0; r < rows; r++)
            add_digits(&total[r], sum[r]);
    }
    UNROLLED
    for (size_t r = 0; r < rows; r++)
        put_values(j, row + r, panel, values_of(j, row + r, panel, &total[r]));
}

VNNI_INLINE int64_t sum_of(const int8_t *w, size_t n)
{
    const __m512i middle = _mm512_set1_epi8((char)0x80);
    __m512i sum = _mm512_setzero_si512();

    for (size_t k = 0; k < n; k += 64) {
        const __mmask64 there =
            n - k >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << (n - k)) - 1;
        __m512i a = _mm512_maskz_loadu_epi8(there, w + k);

        sum = _mm512_add_epi64(sum, _mm512_sad_epu8(_mm512_xor_si512(a, middle),
                                        _mm512_setzero_si512()));
    }
    /* What is not there counts 128, too. */
    return _mm512_reduce_add_epi64(sum) - 128 * (int64_t)((n + 63) / 64 * 64);
}

/* Block by block, as it stays in the cache for all of the panels. */
VNNI_INLINE void panels(
    const struct fixed_rows *j, size_t first, size_t end, __m512i flip)
{
    int64_t weights[BLOCK_ROWS];

    for (; first < end; first += BLOCK_ROWS) {
        const size_t rows = size_min(BLOCK_ROWS, end - first);

        for (size_t r = 0; r < rows; r++)
            weights[r] = sum_of(j->w + (first + r) * j->x.cols, j->x.cols);
        for (size_t p = 0; p < fixed_panels(&j->x); p++) {
            size_t r = 0;

            for (; r + PANEL_ROWS <= rows; r += PANEL_ROWS)
                panel_rows(j, first + r, PANEL_ROWS, p, flip, weights + r);
            for (; r < rows; r++)
                panel_rows(j, first + r, 1, p, flip, weights + r);
        }
    }
}

VNNI void fixed_vnni_signed(
    const struct fixed_rows *j, size_t first, size_t end)
{
    panels(j, first, end, _mm512_set1_epi8((char)0x80));
}

VNNI static void rows_vnni(const struct fixed_rows *j, size_t first, size_t end)
{
    if (j->x.n < FIXED_MANY)
        few_vectors(j, first, end);
    else
        panels(j, first, end, _mm512_setzero_si512());
}

const struct fixed_ops fixed_vnni = {
    .make = fixed_make_unsigned,
    .rows = rows_vnni,
};

#endif
