/* The one place that asks an x86 processor what it can do. */
#include "verify-run/ops_internal.h"

#if defined(__x86_64__)

#include <cpuid.h>

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
