/*
 * sys.h - the few words of C that every room uses: cleanup attributes,
 * checked size arithmetic, array length. Nothing else belongs here.
 */
#ifndef BASE_SYS_H
#define BASE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * AUTO(fn) - run fn(&variable) when the variable leaves its scope.
 * Declare and initialise on one line. AUTO abandons, it never finishes: a
 * file that must be kept is committed by hand before its scope ends.
 */
#define AUTO(fn) __attribute__((cleanup(fn)))
#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Sums and products of sizes: true and *out set when the result fits. */
MUST_USE static inline bool size_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

MUST_USE static inline bool size_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* Round up to a power of two; the caller knows that a + align fits. */
static inline uint64_t size_align(uint64_t a, uint64_t align)
{
    return (a + align - 1) & ~(align - 1);
}

static inline uint64_t size_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t size_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
