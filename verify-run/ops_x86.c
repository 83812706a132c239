/* The one place that asks an x86 processor what it can do. */
#include "verify-run/ops_internal.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Clang 14's __builtin_cpu_supports does not know f16c. */
static bool has_f16c(void)
{
    unsigned a;
    unsigned b;
    unsigned c = 0;
    unsigned d;

    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
}

/* The processor has tiles of bytes, and the kernel lets us use them. */
static bool has_amx(void)
{
    enum { REQUEST = 0x1023, TILE_DATA = 18 }; /* arch_prctl, since 5.16 */
    const unsigned tiles = 3u << 24;           /* AMX-TILE, AMX-INT8 */
    unsigned a;
    unsigned b;
    unsigned c;
    unsigned d = 0;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & tiles) == tiles &&
           syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

const struct ops *ops_x86_nth(size_t i)
{
    bool avx2 = __builtin_cpu_supports("avx2") &&
                __builtin_cpu_supports("fma") && has_f16c();
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                  __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512vl");

    bool vnni = avx512 && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vnni");

    if (i == 0 && avx2)
        return &ops_avx2;
    if (i == 1 && avx512)
        return &ops_avx512;
    if (i == 2 && vnni)
        return &ops_vnni;
    return i == 3 && vnni && has_amx() ? &ops_amx : NULL;
}

#else

const struct ops *ops_x86_nth(size_t i)
{
    (void)i;
    return NULL;
}

#endif
