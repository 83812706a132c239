/* AVX2 and F16C loops; the same bits as the reference in cast.c. */
#include "formats/cast_kernel.h"

#ifdef __x86_64__

#include <immintrin.h>

#if __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>
#else
#include <cpuid.h>
#endif

#define FAST __attribute__((target("avx2,f16c")))

FAST static void load_f16(float *out, const void *in, size_t n)
{
    const uint8_t *p = in;
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i,
            _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p + 2 * i))));
    for (; i < n; i++) {
        uint16_t u;
        memcpy(&u, p + 2 * i, sizeof(u));
        out[i] = _cvtsh_ss(u);
    }
}

FAST static void load_bf16(float *out, const void *in, size_t n)
{
    const uint8_t *p = in;
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        __m128i h = _mm_loadu_si128((const void *)(p + 2 * i));
        __m256i w = _mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16);
        _mm256_storeu_si256((void *)(out + i), w);
    }
    for (; i < n; i++) {
        uint16_t u;
        uint32_t w;
        memcpy(&u, p + 2 * i, sizeof(u));
        w = (uint32_t)u << 16;
        memcpy(out + i, &w, sizeof(w));
    }
}

FAST static void store_f16(void *out, const float *in, size_t n)
{
    uint8_t *p = out;
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128(
            (void *)(p + 2 * i), _mm256_cvtps_ph(_mm256_loadu_ps(in + i),
                                     _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++) {
        uint16_t u = _cvtss_sh(in[i], _MM_FROUND_TO_NEAREST_INT);
        memcpy(p + 2 * i, &u, sizeof(u));
    }
}

/* Eight words: rounded to their upper halves, NaN kept. */
FAST static inline __m256i round_bf16(__m256i u)
{
    const __m256i one = _mm256_set1_epi32(1);
    __m256i high = _mm256_srli_epi32(u, 16);
    __m256i tie = _mm256_and_si256(high, one);
    __m256i sum =
        _mm256_add_epi32(_mm256_add_epi32(u, tie), _mm256_set1_epi32(0x7FFF));
    __m256i mag = _mm256_and_si256(u, _mm256_set1_epi32(0x7FFFFFFF));
    __m256i nan = _mm256_cmpgt_epi32(mag, _mm256_set1_epi32(0x7F800000));
    __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));

    return _mm256_blendv_epi8(_mm256_srli_epi32(sum, 16), quiet, nan);
}

FAST static void store_bf16(void *out, const float *in, size_t n)
{
    uint8_t *p = out;
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        __m256i a = _mm256_loadu_si256((const void *)(in + i));
        __m256i b = _mm256_loadu_si256((const void *)(in + i + 8));
        __m256i ab = _mm256_packus_epi32(round_bf16(a), round_bf16(b));
        _mm256_storeu_si256(
            (void *)(p + 2 * i), _mm256_permute4x64_epi64(ab, 0xD8));
    }
    for (; i < n; i++) {
        uint32_t w;
        uint16_t u;
        memcpy(&w, in + i, sizeof(w));
        w = (w & 0x7FFFFFFF) > 0x7F800000
                ? w >> 16 | 0x40
                : (w + 0x7FFF + ((w >> 16) & 1)) >> 16;
        u = (uint16_t)w;
        memcpy(p + 2 * i, &u, sizeof(u));
    }
}

FAST static size_t count_over(const float *in, size_t n, uint32_t limit)
{
    const __m256i low = _mm256_set1_epi32((int)(limit - 1));
    const __m256i inf = _mm256_set1_epi32(0x7F800000);
    const __m256i mask = _mm256_set1_epi32(0x7FFFFFFF);
    __m256i sum = _mm256_setzero_si256();
    uint32_t lane[8];
    size_t i = 0, over = 0;

    for (; i + 8 <= n; i += 8) {
        __m256i a = _mm256_loadu_si256((const void *)(in + i));
        a = _mm256_and_si256(a, mask);
        a = _mm256_and_si256(
            _mm256_cmpgt_epi32(a, low), _mm256_cmpgt_epi32(inf, a));
        sum = _mm256_sub_epi32(sum, a);
    }
    _mm256_storeu_si256((void *)lane, sum);
    for (int k = 0; k < 8; k++)
        over += lane[k];
    for (; i < n; i++) {
        uint32_t a;
        memcpy(&a, in + i, sizeof(a));
        a &= 0x7FFFFFFF;
        over += a >= limit && a < 0x7F800000;
    }
    return over;
}

/*
 * Not by __builtin_cpu_supports, where clang 14 knows no "f16c". The library
 * remembers; to ask the processor takes microseconds in a virtual machine.
 */
static bool has_f16c(void)
{
#if __has_include(<sys/platform/x86.h>)
    return x86_cpu_active(x86_cpu_F16C) != 0;
#else
    unsigned a, b, c, d;

    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
#endif
}

bool cast_kernels_x86(struct cast_kernels *out)
{
    if (!__builtin_cpu_supports("avx2") || !has_f16c())
        return false;
    out->load[DTYPE_F16] = load_f16;
    out->load[DTYPE_BF16] = load_bf16;
    out->store[DTYPE_F16] = store_f16;
    out->store[DTYPE_BF16] = store_bf16;
    out->count_over = count_over;
    return true;
}

#else

bool cast_kernels_x86(struct cast_kernels *out)
{
    (void)out;
    return false;
}

#endif
