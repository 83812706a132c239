/*
 * The AVX-512 twins.
 *
 * A dot product is cut into slices of SLICE columns. In a slice, column k is
 * added to lane k % 16 of one vector, whose lanes are joined in one order at
 * the end (join_512); the slices' sums are added from the first to the last.
 * Nothing in that depends on how many rows or vectors are worked on at a
 * time, so a token's result is the same alone and in a batch.
 *
 * One vector is a reading of the matrix from memory: the weights are widened
 * in registers, and several rows are read at a time, because the processor
 * fetches ahead on each of them. Many vectors are arithmetic: the weights
 * are widened once into a block that stays in the cache.
 */
#include "verify-run/fixed_internal.h"
#include "verify-run/ops_internal.h"

#if defined(__x86_64__)

#include <immintrin.h>

enum {
    SLICE = 1024, /* 4 rows and 6 vectors of it fit the first cache */
    TILE_ROWS = 4,
    TILE_VECTORS = 6, /* 4 x 6 sums, 4 weights and an input: 29 registers */
    BLOCK_ROWS = 64   /* widened at a time: 128 kB of the second cache */
};

/* The sums stay in registers only when their loops are gone. */
#ifdef __clang__
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED _Pragma("GCC unroll 8")
#endif

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#define AVX512_INLINE AVX512 __attribute__((always_inline)) static inline

/* 16 weights from element k on, of which only those in mask are read. */
AVX512_INLINE __m512 load(
    const uint8_t *w, enum dtype t, size_t k, __mmask16 mask)
{
    __m256i half;

    if (t == DTYPE_F32)
        return _mm512_maskz_loadu_ps(mask, w + 4 * k);
    half = _mm256_maskz_loadu_epi16(mask, w + 2 * k);
    if (t == DTYPE_F16)
        return _mm512_cvtph_ps(half);
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

AVX512_INLINE __mmask16 mask_of(size_t left)
{
    return left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
}

/* The sums of four vectors: lanes i and i + 8 first, then i + 4, 2, 1. */
AVX512_INLINE __m128 join_512(__m512 a, __m512 b, __m512 c, __m512 d)
{
    __m512 ab = _mm512_add_ps(
        _mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    __m512 cd = _mm512_add_ps(
        _mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    __m512 s = _mm512_add_ps(
        _mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));

    s = _mm512_add_ps(s, _mm512_permute_ps(s, 0x4e));
    s = _mm512_add_ps(s, _mm512_permute_ps(s, 0xb1));
    return _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, s));
}

/* Rows of weights against vectors, one slice of both. */
struct tile {
    const uint8_t *w;
    size_t row_bytes;
    const float *x;
    size_t x_step;
    size_t cols;
};

/* Columns k to k + 15, of which only those in mask are there. */
AVX512_INLINE void add_columns(const struct tile *p, enum dtype t, size_t rows,
    size_t n, size_t k, __mmask16 mask, __m512 sum[TILE_VECTORS][TILE_ROWS])
{
    __m512 a[TILE_ROWS];

    UNROLLED
    for (size_t r = 0; r < rows; r++)
        a[r] = load(p->w + r * p->row_bytes, t, k, mask);
    UNROLLED
    for (size_t v = 0; v < n; v++) {
        __m512 x = _mm512_maskz_loadu_ps(mask, p->x + v * p->x_step + k);

        UNROLLED
        for (size_t r = 0; r < rows; r++)
            sum[v][r] = _mm512_fmadd_ps(a[r], x, sum[v][r]);
    }
}

/*
 * joined[v] = the sums of the rows, at most TILE_ROWS, with vector v of n. The
 * bytes ahead of each weight are asked for; 0: the weights are in the cache.
 */
AVX512_INLINE void sum_tile(const struct tile *p, enum dtype t, size_t rows,
    size_t n, size_t ahead, __m128 joined[TILE_VECTORS])
{
    __m512 sum[TILE_VECTORS][TILE_ROWS];
    const size_t step = 64 / ops_size(t); /* a line of the cache */
    size_t k = 0;

    UNROLLED
    for (size_t v = 0; v < n; v++) {
        UNROLLED
        for (size_t r = 0; r < TILE_ROWS; r++)
            sum[v][r] = _mm512_setzero_ps();
    }
    for (; k + step <= p->cols; k += step) {
        UNROLLED
        for (size_t r = 0; ahead > 0 && r < rows; r++)
            _mm_prefetch(
                (const char *)p->w + r * p->row_bytes + k * ops_size(t) + ahead,
                _MM_HINT_T0);
        UNROLLED
        for (size_t i = 0; i < step; i += 16)
            add_columns(p, t, rows, n, k + i, 0xffff, sum);
    }
    for (; k < p->cols; k += 16)
        add_columns(p, t, rows, n, k, mask_of(p->cols - k), sum);
    UNROLLED
    for (size_t v = 0; v < n; v++)
        joined[v] = join_512(sum[v][0], sum[v][1], sum[v][2], sum[v][3]);
}

/* ---- one vector ---- */

AVX512_INLINE void few_rows(
    const struct ops_rows *j, enum dtype t, size_t row, size_t rows)
{
    const size_t row_bytes = j->cols * ops_size(t);
    const __mmask8 there = (__mmask8)((1u << rows) - 1);
    __m128 total = _mm_setzero_ps();

    for (size_t k = 0; k < j->cols; k += SLICE) {
        struct tile p = {
            .w = (const uint8_t *)j->w + row * row_bytes + k * ops_size(t),
            .row_bytes = row_bytes,
            .x = j->x + k,
            .cols = size_min(SLICE, j->cols - k),
        };
        __m128 sum[TILE_VECTORS];

        sum_tile(&p, t, rows, 1, TILE_ROWS * row_bytes, sum);
        total = k == 0 ? sum[0] : _mm_add_ps(total, sum[0]);
    }
    _mm_mask_storeu_ps(j->y + row, there, total);
}

AVX512_INLINE void one_vector(
    const struct ops_rows *j, enum dtype t, size_t first, size_t end)
{
    size_t row = first;

    for (; row + TILE_ROWS <= end; row += TILE_ROWS)
        few_rows(j, t, row, TILE_ROWS);
    for (; row < end; row++)
        few_rows(j, t, row, 1);
}

/* ---- many vectors ---- */

/* A block of the matrix in float32: at most BLOCK_ROWS rows of a slice. */
struct block {
    float w[BLOCK_ROWS][SLICE];
    size_t row;  /* the first one's place in the matrix */
    size_t rows; /* in use */
    size_t k;    /* the first column's */
    size_t cols; /* in use */
};

/* A few rows side by side, as they are read for one vector. */
AVX512_INLINE void widen_rows(struct block *b, const struct ops_rows *j,
    enum dtype t, size_t row, size_t rows)
{
    const size_t size = ops_size(t);
    const size_t row_bytes = j->cols * size;
    const uint8_t *w =
        (const uint8_t *)j->w + (b->row + row) * row_bytes + b->k * size;

    for (size_t k = 0; k < b->cols; k += 16) {
        __mmask16 m = mask_of(b->cols - k);

        UNROLLED
        for (size_t r = 0; r < rows; r++)
            _mm512_mask_storeu_ps(
                &b->w[row + r][k], m, load(w + r * row_bytes, t, k, m));
    }
}

/* Rows that fill up the last tile are zeros, whose sums nobody stores. */
AVX512_INLINE void widen(
    struct block *b, const struct ops_rows *j, enum dtype t)
{
    size_t row = 0;

    for (; row + TILE_ROWS <= b->rows; row += TILE_ROWS)
        widen_rows(b, j, t, row, TILE_ROWS);
    for (; row < b->rows; row++)
        widen_rows(b, j, t, row, 1);
    for (; row % TILE_ROWS != 0; row++)
        memset(b->w[row], 0, b->cols * sizeof(float));
}

/* Add the sums of a slice to y. */
AVX512_INLINE void add_sums(const struct ops_rows *j, const struct block *b,
    size_t v, size_t r, __m128 sum)
{
    const size_t rows = size_min(TILE_ROWS, b->rows - r);
    const __mmask8 there = (__mmask8)((1u << rows) - 1);
    float *y = j->y + v * j->y_step + b->row + r;

    if (b->k > 0)
        sum = _mm_add_ps(_mm_maskz_loadu_ps(there, y), sum);
    _mm_mask_storeu_ps(y, there, sum);
}

/* The whole block with n vectors from v on; n is a constant. */
AVX512_INLINE void block_vectors(
    const struct ops_rows *j, const struct block *b, size_t v, size_t n)
{
    for (size_t r = 0; r < b->rows; r += TILE_ROWS) {
        const struct tile p = {
            .w = (const uint8_t *)b->w[r],
            .row_bytes = sizeof(b->w[r]),
            .x = j->x + v * j->x_step + b->k,
            .x_step = j->x_step,
            .cols = b->cols,
        };
        __m128 sum[TILE_VECTORS];

        sum_tile(&p, DTYPE_F32, TILE_ROWS, n, 0, sum);
        UNROLLED
        for (size_t i = 0; i < n; i++)
            add_sums(j, b, v + i, r, sum[i]);
    }
}

AVX512 static void block_times(const struct ops_rows *j, const struct block *b)
{
    size_t v = 0;

    for (; v + TILE_VECTORS <= j->n; v += TILE_VECTORS)
        block_vectors(j, b, v, TILE_VECTORS);
    for (; v + 2 <= j->n; v += 2)
        block_vectors(j, b, v, 2);
    if (v < j->n)
        block_vectors(j, b, v, 1);
}

AVX512_INLINE void many_vectors(
    const struct ops_rows *j, enum dtype t, size_t first, size_t end)
{
    _Alignas(64) struct block b;

    for (b.row = first; b.row < end; b.row += BLOCK_ROWS) {
        b.rows = size_min(BLOCK_ROWS, end - b.row);
        for (b.k = 0; b.k < j->cols; b.k += SLICE) {
            b.cols = size_min(SLICE, j->cols - b.k);
            widen(&b, j, t);
            block_times(j, &b);
        }
    }
}

/* The type is a constant in each copy of the loops. */
AVX512_INLINE void rows_of(
    const struct ops_rows *j, enum dtype t, size_t first, size_t end)
{
    if (j->n == 1)
        one_vector(j, t, first, end);
    else
        many_vectors(j, t, first, end);
}

AVX512 static void rows_512(const struct ops_rows *j, size_t first, size_t end)
{
    if (j->dtype == DTYPE_F32)
        rows_of(j, DTYPE_F32, first, end);
    else if (j->dtype == DTYPE_F16)
        rows_of(j, DTYPE_F16, first, end);
    else
        rows_of(j, DTYPE_BF16, first, end);
}

/* ---- sums of values ---- */

/* n vectors' columns d to d + 16 cols - 1, of which the last in mask only. */
AVX512_INLINE void mix_tile(const struct ops_mix *m, size_t t, size_t n,
    size_t d, size_t cols, __mmask16 last, size_t first, size_t end)
{
    __m512 sum[TILE_VECTORS][TILE_ROWS];
    float *y = m->y + t * m->y_step + d;

    UNROLLED
    for (size_t v = 0; v < n; v++) {
        UNROLLED
        for (size_t c = 0; c < cols; c++)
            sum[v][c] = _mm512_maskz_loadu_ps(
                c + 1 == cols ? last : 0xffff, y + v * m->y_step + 16 * c);
    }
    for (size_t i = first; i < end; i++) {
        const float *x = m->values + i * m->cols + d;
        __m512 a[TILE_ROWS];

        UNROLLED
        for (size_t c = 0; c < cols; c++)
            a[c] = _mm512_maskz_loadu_ps(
                c + 1 == cols ? last : 0xffff, x + 16 * c);
        UNROLLED
        for (size_t v = 0; v < n; v++) {
            __m512 w =
                _mm512_set1_ps(m->weights[(t + v) * m->weights_step + i]);

            UNROLLED
            for (size_t c = 0; c < cols; c++)
                sum[v][c] = _mm512_fmadd_ps(w, a[c], sum[v][c]);
        }
    }
    UNROLLED
    for (size_t v = 0; v < n; v++) {
        UNROLLED
        for (size_t c = 0; c < cols; c++)
            _mm512_mask_storeu_ps(y + v * m->y_step + 16 * c,
                c + 1 == cols ? last : 0xffff, sum[v][c]);
    }
}

AVX512_INLINE void mix_vectors(
    const struct ops_mix *m, size_t t, size_t n, size_t first, size_t end)
{
    size_t d = 0;

    for (; d + 64 <= m->cols; d += 64)
        mix_tile(m, t, n, d, 4, 0xffff, first, end);
    for (; d < m->cols; d += 16)
        mix_tile(m, t, n, d, 1, mask_of(m->cols - d), first, end);
}

AVX512 static void mix_512(const struct ops_mix *m, size_t first, size_t end)
{
    size_t t = 0;

    for (; t + TILE_VECTORS <= m->n; t += TILE_VECTORS)
        mix_vectors(m, t, TILE_VECTORS, first, end);
    for (; t < m->n; t++)
        mix_vectors(m, t, 1, first, end);
}

const struct ops ops_avx512 = {
    .name = "avx512",
    .rows = rows_512,
    .mix = mix_512,
    .fixed = &fixed_avx2, /* plain AVX-512 has no products of bytes */
};

const struct ops ops_vnni = {
    .name = "avx512, vnni",
    .rows = rows_512,
    .mix = mix_512,
    .fixed = &fixed_vnni,
};

const struct ops ops_amx = {
    .name = "avx512, amx",
    .rows = rows_512,
    .mix = mix_512,
    .fixed = &fixed_amx,
};

#endif
