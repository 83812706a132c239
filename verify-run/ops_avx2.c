/*
 * The AVX2 twins, with FMA and F16C.
 *
 * A dot product keeps four running vectors; element k always goes to vector
 * (k / 8) % 4, lane k % 8, and they are joined in one order at the end. The
 * order does not depend on the number of vectors worked on at a time, so a
 * token's result is the same alone and in a batch.
 */
#include "verify-run/fixed_internal.h"
#include "verify-run/ops_internal.h"

#if defined(__x86_64__)

#include <immintrin.h>

enum { SUMS = 4 }; /* for each vector of a pass */

#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

/* The last left < 8 floats, the rest zero: nothing past the end is read. */
AVX2_INLINE __m256 tail_256(const float *x, size_t left)
{
    float padded[8] = { 0 };

    memcpy(padded, x, left * sizeof(*x));
    return _mm256_loadu_ps(padded);
}

AVX2_INLINE __m256 widen_256(__m128i half, enum dtype t)
{
    if (t == DTYPE_F16)
        return _mm256_cvtph_ps(half);
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

AVX2_INLINE __m256 load_256(const uint8_t *w, enum dtype t, size_t k)
{
    if (t == DTYPE_F32)
        return _mm256_loadu_ps((const float *)(const void *)(w + 4 * k));
    return widen_256(
        _mm_loadu_si128((const __m128i *)(const void *)(w + 2 * k)), t);
}

AVX2_INLINE __m256 load_tail_256(
    const uint8_t *w, enum dtype t, size_t k, size_t left)
{
    uint8_t padded[32] = { 0 };

    memcpy(padded, w + ops_size(t) * k, ops_size(t) * left);
    return load_256(padded, t, 0);
}

AVX2_INLINE float join_256(__m256 v)
{
    __m128 q =
        _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}

/* n is 1 or 2: 2 x 4 sums and 4 weights fit 16 registers. */
AVX2_INLINE void row_256(const uint8_t *w, enum dtype t, size_t cols,
    const float *x, size_t x_step, size_t n, float *y, size_t y_step)
{
    __m256 sum[2][SUMS];
    size_t k = 0;
    int s = 0;

    for (size_t v = 0; v < n; v++)
        for (s = 0; s < SUMS; s++)
            sum[v][s] = _mm256_setzero_ps();
    for (; k + 32 <= cols; k += 32) {
        for (s = 0; s < SUMS; s++) {
            size_t at = k + 8 * (size_t)s;
            __m256 a = load_256(w, t, at);

            for (size_t v = 0; v < n; v++)
                sum[v][s] = _mm256_fmadd_ps(
                    a, _mm256_loadu_ps(x + v * x_step + at), sum[v][s]);
        }
    }
    for (s = 0; k + 8 <= cols; s++, k += 8) {
        __m256 a = load_256(w, t, k);

        for (size_t v = 0; v < n; v++)
            sum[v][s] = _mm256_fmadd_ps(
                a, _mm256_loadu_ps(x + v * x_step + k), sum[v][s]);
    }
    if (k < cols) {
        __m256 a = load_tail_256(w, t, k, cols - k);

        for (size_t v = 0; v < n; v++)
            sum[v][s] = _mm256_fmadd_ps(
                a, tail_256(x + v * x_step + k, cols - k), sum[v][s]);
    }
    for (size_t v = 0; v < n; v++)
        y[v * y_step] =
            join_256(_mm256_add_ps(_mm256_add_ps(sum[v][0], sum[v][1]),
                _mm256_add_ps(sum[v][2], sum[v][3])));
}

AVX2_INLINE void rows_256_of(
    const struct ops_rows *j, enum dtype t, size_t first, size_t end)
{
    size_t row_bytes = j->cols * ops_size(t);

    for (size_t row = first; row < end; row++) {
        const uint8_t *w = (const uint8_t *)j->w + row * row_bytes;
        float *y = j->y + row;
        size_t v = 0;

        for (; v + 2 <= j->n; v += 2)
            row_256(w, t, j->cols, j->x + v * j->x_step, j->x_step, 2,
                y + v * j->y_step, j->y_step);
        if (v < j->n)
            row_256(w, t, j->cols, j->x + v * j->x_step, j->x_step, 1,
                y + v * j->y_step, j->y_step);
    }
}

AVX2 static void rows_256(const struct ops_rows *j, size_t first, size_t end)
{
    if (j->dtype == DTYPE_F32)
        rows_256_of(j, DTYPE_F32, first, end);
    else if (j->dtype == DTYPE_F16)
        rows_256_of(j, DTYPE_F16, first, end);
    else
        rows_256_of(j, DTYPE_BF16, first, end);
}

AVX2_INLINE void axpy(float *y, float a, const float *x, size_t n)
{
    __m256 f = _mm256_set1_ps(a);
    size_t k = 0;

    for (; k + 8 <= n; k += 8)
        _mm256_storeu_ps(y + k,
            _mm256_fmadd_ps(f, _mm256_loadu_ps(x + k), _mm256_loadu_ps(y + k)));
    for (; k < n; k++)
        y[k] += a * x[k];
}

AVX2 static void mix_256(const struct ops_mix *m, size_t first, size_t end)
{
    for (size_t t = 0; t < m->n; t++)
        for (size_t i = first; i < end; i++)
            axpy(m->y + t * m->y_step, m->weights[t * m->weights_step + i],
                m->values + i * m->cols, m->cols);
}

const struct ops ops_avx2 = {
    .name = "avx2",
    .rows = rows_256,
    .mix = mix_256,
    .fixed = &fixed_avx2,
};

#endif
