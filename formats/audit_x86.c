/* The AVX2 loop of audit.c; the same sums as the reference there. */
#include "formats/audit_kernel.h"

#ifdef __x86_64__

#include <immintrin.h>

#define FAST __attribute__((target("avx2")))

/* Eight counters or maxima at once, one per lane. */
struct lanes {
    __m256i nan, inf, overflow, underflow, subnormal, error, largest;
};

FAST static inline void look(
    struct lanes *l, __m256 x, __m256 y, __m256i before, __m256i after)
{
    const __m256i top = _mm256_set1_epi32(0x7F800000);
    const __m256i mask = _mm256_set1_epi32(0x7FFFFFFF);
    const __m256i zero = _mm256_setzero_si256();
    __m256i a = _mm256_and_si256(_mm256_castps_si256(x), mask);
    __m256i b = _mm256_and_si256(_mm256_castps_si256(y), mask);
    __m256i d =
        _mm256_and_si256(_mm256_castps_si256(_mm256_sub_ps(x, y)), mask);
    __m256i finite = _mm256_cmpgt_epi32(top, a);
    __m256i stays = _mm256_cmpgt_epi32(top, b);
    __m256i gone = _mm256_cmpeq_epi32(b, zero);
    __m256i small = _mm256_cmpgt_epi32(after, b);
    __m256i was_small = _mm256_cmpgt_epi32(before, a);

    /* A true lane is -1. */
    l->nan = _mm256_sub_epi32(l->nan, _mm256_cmpgt_epi32(a, top));
    l->inf = _mm256_sub_epi32(l->inf, _mm256_cmpeq_epi32(a, top));
    l->overflow =
        _mm256_sub_epi32(l->overflow, _mm256_andnot_si256(stays, finite));
    l->underflow = _mm256_sub_epi32(
        l->underflow, _mm256_andnot_si256(_mm256_cmpeq_epi32(a, zero), gone));
    l->subnormal = _mm256_sub_epi32(l->subnormal,
        _mm256_andnot_si256(_mm256_or_si256(gone, was_small), small));
    l->largest = _mm256_max_epi32(l->largest, _mm256_and_si256(finite, a));
    l->error = _mm256_max_epi32(
        l->error, _mm256_and_si256(d, _mm256_and_si256(finite, stays)));
}

/*
 * Nearly all values are like this: finite, normal and so after the cast.
 * Returns false, and has done nothing, when one of the eight is not.
 */
FAST static inline bool look_plain(
    struct lanes *l, __m256 x, __m256 y, __m256i after)
{
    const __m256i mask = _mm256_set1_epi32(0x7FFFFFFF);
    const __m256i finite = _mm256_set1_epi32(0x7F7FFFFF);
    __m256i a = _mm256_and_si256(_mm256_castps_si256(x), mask);
    __m256i b = _mm256_and_si256(_mm256_castps_si256(y), mask);
    __m256i d =
        _mm256_and_si256(_mm256_castps_si256(_mm256_sub_ps(x, y)), mask);
    __m256i odd =
        _mm256_or_si256(_mm256_cmpgt_epi32(_mm256_max_epi32(a, b), finite),
            _mm256_cmpgt_epi32(after, b));

    if (!_mm256_testz_si256(odd, odd))
        return false;
    l->largest = _mm256_max_epi32(l->largest, a);
    l->error = _mm256_max_epi32(l->error, d);
    return true;
}

FAST static uint32_t total(__m256i v)
{
    uint32_t lane[8], sum = 0;

    _mm256_storeu_si256((void *)lane, v);
    for (int i = 0; i < 8; i++)
        sum += lane[i];
    return sum;
}

FAST static uint32_t most(__m256i v)
{
    uint32_t lane[8], top = 0;

    _mm256_storeu_si256((void *)lane, v);
    for (int i = 0; i < 8; i++)
        top = lane[i] > top ? lane[i] : top;
    return top;
}

FAST static void audit_block(struct audit_sums *out, const float *x,
    const float *y, size_t n, struct audit_limits limits)
{
    const __m256i before = _mm256_set1_epi32((int)limits.before);
    const __m256i after = _mm256_set1_epi32((int)limits.after);
    const __m256i zero = _mm256_setzero_si256();
    struct lanes l = { zero, zero, zero, zero, zero, zero, zero };
    float x_end[8] = { 0 }, y_end[8] = { 0 };
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        __m256 was = _mm256_loadu_ps(x + i), is = _mm256_loadu_ps(y + i);

        if (!look_plain(&l, was, is, after))
            look(&l, was, is, before, after);
    }
    /* The rest, filled up with zeros, which count as nothing. */
    memcpy(x_end, x + i, (n - i) * sizeof(*x));
    memcpy(y_end, y + i, (n - i) * sizeof(*y));
    look(&l, _mm256_loadu_ps(x_end), _mm256_loadu_ps(y_end), before, after);
    *out = (struct audit_sums){ .nan = total(l.nan),
        .inf = total(l.inf),
        .overflow = total(l.overflow),
        .underflow = total(l.underflow),
        .subnormal = total(l.subnormal),
        .error = most(l.error),
        .largest = most(l.largest) };
}

audit_block_fn *audit_block_x86(void)
{
    return __builtin_cpu_supports("avx2") ? audit_block : NULL;
}

#else

audit_block_fn *audit_block_x86(void)
{
    return NULL;
}

#endif
