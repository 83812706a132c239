/*
 * The AVX2 twin of fixed.h. An integer is two halves of 16 bits, which are
 * multiplied by weights of 16 bits; two products make a sum of 32 bits.
 */
#include "verify-run/fixed_internal.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

enum {
    /* Columns whose sums stay in 32 bits: 2^23 is the most of two products. */
    SLICE = 16 * 128,
    ROWS = 2 /* at a time: 2 x 2 x 2 sums, for two vectors */
};

#define AVX2 __attribute__((target("avx2")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

#ifdef __clang__
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED _Pragma("GCC unroll 4")
#endif

/* ---- making ---- */

AVX2_INLINE uint32_t most_of(const float *x, size_t n)
{
    const __m256i positive = _mm256_set1_epi32(0x7fffffff);
    __m256i lanes = _mm256_setzero_si256();
    uint32_t lane[8];
    uint32_t most = 0;

    for (size_t k = 0; k < n; k += 8) {
        float padded[8] = { 0 };
        const float *at = x + k;

        if (n - k < 8)
            at = memcpy(padded, x + k, (n - k) * sizeof(*x));
        lanes = _mm256_max_epu32(
            lanes, _mm256_and_si256(positive,
                       _mm256_loadu_si256((const __m256i *)(const void *)at)));
    }
    _mm256_storeu_si256((__m256i *)(void *)lane, lanes);
    for (int i = 0; i < 8; i++)
        most = lane[i] > most ? lane[i] : most;
    return most;
}

/* Eight integers. */
AVX2_INLINE __m256i integers(const float *x, __m256d times)
{
    __m128i low = _mm256_cvtpd_epi32(
        _mm256_mul_pd(_mm256_cvtps_pd(_mm_loadu_ps(x)), times));
    __m128i high = _mm256_cvtpd_epi32(
        _mm256_mul_pd(_mm256_cvtps_pd(_mm_loadu_ps(x + 4)), times));

    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

/* The low halves, between -2^15 and 2^15 - 1, then the high ones. */
AVX2_INLINE void put_halves(int16_t *low, int16_t *high, __m256i q)
{
    __m256i l = _mm256_srai_epi32(_mm256_slli_epi32(q, 16), 16);
    __m256i h = _mm256_srai_epi32(_mm256_sub_epi32(q, l), 16);
    __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(l, h), 0xd8);

    _mm_storeu_si128((__m128i *)(void *)low, _mm256_castsi256_si128(both));
    _mm_storeu_si128(
        (__m128i *)(void *)high, _mm256_extracti128_si256(both, 1));
}

AVX2_INLINE void make_one(const struct fixed *f, const float *x, size_t v)
{
    const size_t width = fixed_width(f);
    int s = fixed_unit(most_of(x, f->cols), &f->units[v]);
    int16_t *low = (void *)fixed_at(f, v);
    bool finite = f->units[v] == f->units[v];
    /* 2^s by its bits */
    __m256d times =
        _mm256_castsi256_pd(_mm256_set1_epi64x((int64_t)(1023 + s) << 52));

    for (size_t k = 0; k < width; k += 8) {
        float padded[8] = { 0 };
        const float *at = padded;

        if (finite && k + 8 <= f->cols)
            at = x + k;
        else if (finite && k < f->cols)
            memcpy(padded, x + k, (f->cols - k) * sizeof(*x));
        put_halves(low + k, low + width + k, integers(at, times));
    }
}

AVX2 static void make_avx2(
    const struct fixed *f, const float *x, size_t x_step, size_t panel)
{
    size_t first = panel * FIXED_PANEL;

    for (size_t v = first; v < size_min(first + FIXED_PANEL, f->n); v++)
        make_one(f, x + v * x_step, v);
}

/* ---- rows ---- */

/* 16 weights, of which left are there. */
AVX2_INLINE __m256i weights(const int8_t *w, size_t left)
{
    int8_t padded[16] = { 0 };

    if (left < 16)
        w = memcpy(padded, w, left);
    return _mm256_cvtepi8_epi16(
        _mm_loadu_si128((const __m128i *)(const void *)w));
}

AVX2_INLINE int64_t join(__m256i low, __m256i high)
{
    __m256i sum = _mm256_setzero_si256();
    int64_t lane[4];

    sum = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(high)),
        _mm256_cvtepi32_epi64(_mm256_extracti128_si256(high, 1)));
    sum = _mm256_slli_epi64(sum, 16);
    sum = _mm256_add_epi64(
        sum, _mm256_cvtepi32_epi64(_mm256_castsi256_si128(low)));
    sum = _mm256_add_epi64(
        sum, _mm256_cvtepi32_epi64(_mm256_extracti128_si256(low, 1)));
    _mm256_storeu_si256((__m256i *)(void *)lane, sum);
    return lane[0] + lane[1] + lane[2] + lane[3];
}

/* Rows of weights against vectors, ROWS and 2 of them or fewer. */
struct part {
    const int8_t *w;
    const int16_t *x; /* low halves; the high ones are x_width behind */
    size_t cols, width;
    size_t rows, n; /* constants */
};

AVX2_INLINE void add_columns(const struct part *p, size_t k, size_t left,
    __m256i low[2][ROWS], __m256i high[2][ROWS])
{
    __m256i a[ROWS];

    UNROLLED
    for (size_t r = 0; r < p->rows; r++)
        a[r] = weights(p->w + r * p->cols + k, left);
    UNROLLED
    for (size_t v = 0; v < p->n; v++) {
        const int16_t *x = p->x + v * 2 * p->width + k;
        __m256i l = _mm256_loadu_si256((const __m256i *)(const void *)x);
        __m256i h =
            _mm256_loadu_si256((const __m256i *)(const void *)(x + p->width));

        UNROLLED
        for (size_t r = 0; r < p->rows; r++) {
            low[v][r] = _mm256_add_epi32(low[v][r], _mm256_madd_epi16(a[r], l));
            high[v][r] =
                _mm256_add_epi32(high[v][r], _mm256_madd_epi16(a[r], h));
        }
    }
}

AVX2_INLINE void sum_slice(
    const struct part *p, size_t first, size_t end, int64_t total[2][ROWS])
{
    __m256i low[2][ROWS];
    __m256i high[2][ROWS];
    size_t k = first;

    UNROLLED
    for (size_t v = 0; v < p->n; v++) {
        UNROLLED
        for (size_t r = 0; r < p->rows; r++)
            low[v][r] = high[v][r] = _mm256_setzero_si256();
    }
    for (; k + 16 <= end; k += 16)
        add_columns(p, k, 16, low, high);
    if (k < end)
        add_columns(p, k, end - k, low, high);
    UNROLLED
    for (size_t v = 0; v < p->n; v++) {
        UNROLLED
        for (size_t r = 0; r < p->rows; r++)
            total[v][r] += join(low[v][r], high[v][r]);
    }
}

AVX2_INLINE void few(const struct fixed_rows *j, size_t row, size_t rows,
    size_t vector, size_t n)
{
    const struct part p = {
        .w = j->w + row * j->x.cols,
        .x = (const void *)fixed_at(&j->x, vector),
        .cols = j->x.cols,
        .width = fixed_width(&j->x),
        .rows = rows,
        .n = n,
    };
    int64_t total[2][ROWS] = { { 0 } };

    for (size_t k = 0; k < p.cols; k += SLICE)
        sum_slice(&p, k, size_min(p.cols, k + SLICE), total);
    for (size_t v = 0; v < n; v++)
        for (size_t r = 0; r < rows; r++)
            j->y[(vector + v) * j->y_step + row + r] = fixed_value(
                total[v][r], j->x.units[vector + v], j->scales[row + r]);
}

AVX2 static void rows_avx2(const struct fixed_rows *j, size_t first, size_t end)
{
    for (; first < end; first += ROWS) {
        bool both = first + ROWS <= end;
        size_t v = 0;

        for (; v + 2 <= j->x.n && both; v += 2)
            few(j, first, ROWS, v, 2);
        for (; v < j->x.n && both; v++)
            few(j, first, ROWS, v, 1);
        for (; v < j->x.n; v++)
            few(j, first, 1, v, 1);
    }
}

const struct fixed_ops fixed_avx2 = {
    .make = make_avx2,
    .rows = rows_avx2,
};

#endif
