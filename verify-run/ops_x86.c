/*
 * Fast twins for x86: AVX2 with FMA and F16C, and AVX-512. This is the one
 * place that asks the processor what it can do.
 *
 * A dot product keeps four running vectors; element k always goes to vector
 * (k / lanes) % 4, lane k % lanes, and they are joined in one order at the
 * end. The order does not depend on the number of vectors worked on at a
 * time, so a token's result is the same alone and in a batch.
 *
 * Bytes of int8 matrices become floats in registers and their sum is scaled
 * once. Multiplying bytes by bytes (VNNI) would ask for rounded activations,
 * which is another model.
 */
#include "verify-run/ops_internal.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

/* Vectors per pass over a row: 4 x 4 sums and 4 weights fit 32 registers. */
enum { PASS_512 = 4, SUMS = 4 };

/* The sums stay in registers only when their loops are gone. */
#ifdef __clang__
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED _Pragma("GCC unroll 4")
#endif

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#define AVX512_INLINE AVX512 __attribute__((always_inline)) static inline
#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) static inline

static inline size_t size_of(enum dtype t)
{
    return t == DTYPE_F32 ? 4 : t == DTYPE_I8 ? 1 : 2;
}

/* ---- AVX-512 ---- */

/* 16 weights from element k on, of which only those in mask are read. */
AVX512_INLINE __m512 load_512(
    const uint8_t *w, enum dtype t, size_t k, __mmask16 mask)
{
    __m256i half;

    if (t == DTYPE_F32)
        return _mm512_maskz_loadu_ps(mask, w + 4 * k);
    if (t == DTYPE_I8)
        return _mm512_cvtepi32_ps(
            _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, w + k)));
    half = _mm256_maskz_loadu_epi16(mask, w + 2 * k);
    if (t == DTYPE_F16)
        return _mm512_cvtph_ps(half);
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

AVX512_INLINE __mmask16 mask_512(size_t left)
{
    return left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
}

/* n <= PASS_512 vectors against one row; sums[t][s] in a fixed order. */
AVX512_INLINE void row_512(const uint8_t *w, enum dtype t, size_t cols,
    const float *x, size_t x_step, size_t n, float scale, float *y,
    size_t y_step)
{
    __m512 sum[PASS_512][SUMS];
    size_t size = size_of(t);
    size_t k = 0;

    UNROLLED
    for (size_t v = 0; v < n; v++) {
        UNROLLED
        for (int s = 0; s < SUMS; s++)
            sum[v][s] = _mm512_setzero_ps();
    }
    for (; k + 64 <= cols; k += 64) {
        __m512 a[SUMS];

        /* One row ahead: the matrix is read once, from memory. */
        for (size_t at = 0; at < 64 * size; at += 64)
            _mm_prefetch((const char *)w + (k + cols) * size + at, _MM_HINT_T0);
        UNROLLED
        for (int s = 0; s < SUMS; s++)
            a[s] = load_512(w, t, k + 16 * (size_t)s, 0xffff);
        UNROLLED
        for (size_t v = 0; v < n; v++) {
            UNROLLED
            for (int s = 0; s < SUMS; s++)
                sum[v][s] = _mm512_fmadd_ps(a[s],
                    _mm512_loadu_ps(x + v * x_step + k + 16 * (size_t)s),
                    sum[v][s]);
        }
    }
    for (int s = 0; s < SUMS && k < cols; s++, k += 16) {
        __mmask16 m = mask_512(cols - k);
        __m512 a = load_512(w, t, k, m);

        UNROLLED
        for (size_t v = 0; v < n; v++)
            sum[v][s] = _mm512_fmadd_ps(
                a, _mm512_maskz_loadu_ps(m, x + v * x_step + k), sum[v][s]);
    }
    UNROLLED
    for (size_t v = 0; v < n; v++)
        y[v * y_step] = scale * _mm512_reduce_add_ps(_mm512_add_ps(
                                    _mm512_add_ps(sum[v][0], sum[v][1]),
                                    _mm512_add_ps(sum[v][2], sum[v][3])));
}

/* The type and the count are constants in each copy of the loop. */
AVX512_INLINE void rows_512_of(
    const struct ops_rows *j, enum dtype t, size_t first, size_t end)
{
    size_t row_bytes = j->cols * size_of(t);

    for (size_t row = first; row < end; row++) {
        const uint8_t *w = (const uint8_t *)j->w + row * row_bytes;
        float scale = t == DTYPE_I8 ? j->scales[row] : 1.0f;
        float *y = j->y + row;
        const float *x = j->x;
        size_t left = j->n;

        for (; left >= PASS_512; left -= PASS_512) {
            row_512(w, t, j->cols, x, j->x_step, PASS_512, scale, y, j->y_step);
            x += PASS_512 * j->x_step;
            y += PASS_512 * j->y_step;
        }
        for (; left > 0; left--) {
            row_512(w, t, j->cols, x, j->x_step, 1, scale, y, j->y_step);
            x += j->x_step;
            y += j->y_step;
        }
    }
}

AVX512 static void rows_512(const struct ops_rows *j, size_t first, size_t end)
{
    if (j->dtype == DTYPE_F32)
        rows_512_of(j, DTYPE_F32, first, end);
    else if (j->dtype == DTYPE_F16)
        rows_512_of(j, DTYPE_F16, first, end);
    else if (j->dtype == DTYPE_I8)
        rows_512_of(j, DTYPE_I8, first, end);
    else
        rows_512_of(j, DTYPE_BF16, first, end);
}

AVX512 static float dot_512(const float *a, const float *b, size_t n)
{
    float out;

    row_512((const uint8_t *)a, DTYPE_F32, n, b, 0, 1, 1.0f, &out, 0);
    return out;
}

AVX512 static void axpy_512(float *y, float a, const float *x, size_t n)
{
    __m512 f = _mm512_set1_ps(a);

    for (size_t k = 0; k < n; k += 16) {
        __mmask16 m = mask_512(n - k);
        __m512 sum = _mm512_fmadd_ps(f, _mm512_maskz_loadu_ps(m, x + k),
            _mm512_maskz_loadu_ps(m, y + k));

        _mm512_mask_storeu_ps(y + k, m, sum);
    }
}

static const struct ops ops_avx512 = {
    .name = "avx512",
    .rows = rows_512,
    .dot = dot_512,
    .axpy = axpy_512,
};

/* ---- AVX2 ---- */

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
    if (t == DTYPE_I8)
        return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(
            _mm_loadl_epi64((const __m128i *)(const void *)(w + k))));
    return widen_256(
        _mm_loadu_si128((const __m128i *)(const void *)(w + 2 * k)), t);
}

AVX2_INLINE __m256 load_tail_256(
    const uint8_t *w, enum dtype t, size_t k, size_t left)
{
    uint8_t padded[32] = { 0 };

    memcpy(padded, w + size_of(t) * k, size_of(t) * left);
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
    const float *x, size_t x_step, size_t n, float scale, float *y,
    size_t y_step)
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
            scale * join_256(_mm256_add_ps(_mm256_add_ps(sum[v][0], sum[v][1]),
                        _mm256_add_ps(sum[v][2], sum[v][3])));
}

AVX2_INLINE void rows_256_of(
    const struct ops_rows *j, enum dtype t, size_t first, size_t end)
{
    size_t row_bytes = j->cols * size_of(t);

    for (size_t row = first; row < end; row++) {
        const uint8_t *w = (const uint8_t *)j->w + row * row_bytes;
        float scale = t == DTYPE_I8 ? j->scales[row] : 1.0f;
        float *y = j->y + row;
        size_t v = 0;

        for (; v + 2 <= j->n; v += 2)
            row_256(w, t, j->cols, j->x + v * j->x_step, j->x_step, 2, scale,
                y + v * j->y_step, j->y_step);
        if (v < j->n)
            row_256(w, t, j->cols, j->x + v * j->x_step, j->x_step, 1, scale,
                y + v * j->y_step, j->y_step);
    }
}

AVX2 static void rows_256(const struct ops_rows *j, size_t first, size_t end)
{
    if (j->dtype == DTYPE_F32)
        rows_256_of(j, DTYPE_F32, first, end);
    else if (j->dtype == DTYPE_F16)
        rows_256_of(j, DTYPE_F16, first, end);
    else if (j->dtype == DTYPE_I8)
        rows_256_of(j, DTYPE_I8, first, end);
    else
        rows_256_of(j, DTYPE_BF16, first, end);
}

AVX2 static float dot_256(const float *a, const float *b, size_t n)
{
    float out;

    row_256((const uint8_t *)a, DTYPE_F32, n, b, 0, 1, 1.0f, &out, 0);
    return out;
}

AVX2 static void axpy_256(float *y, float a, const float *x, size_t n)
{
    __m256 f = _mm256_set1_ps(a);
    size_t k = 0;

    for (; k + 8 <= n; k += 8)
        _mm256_storeu_ps(y + k,
            _mm256_fmadd_ps(f, _mm256_loadu_ps(x + k), _mm256_loadu_ps(y + k)));
    for (; k < n; k++)
        y[k] += a * x[k];
}

static const struct ops ops_avx2 = {
    .name = "avx2",
    .rows = rows_256,
    .dot = dot_256,
    .axpy = axpy_256,
};

/* Clang 14's __builtin_cpu_supports does not know f16c. */
static bool has_f16c(void)
{
    unsigned a;
    unsigned b;
    unsigned c = 0;
    unsigned d;

    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
}

const struct ops *ops_x86_nth(size_t i)
{
    bool avx2 = __builtin_cpu_supports("avx2") &&
                __builtin_cpu_supports("fma") && has_f16c();
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                  __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512vl");

    if (i == 0 && avx2)
        return &ops_avx2;
    return i == 1 && avx512 ? &ops_avx512 : NULL;
}

#else

const struct ops *ops_x86_nth(size_t i)
{
    (void)i;
    return NULL;
}

#endif
