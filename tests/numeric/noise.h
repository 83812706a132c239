/* noise.h - the same random numbers at every run, and room that is guarded. */
#ifndef TESTS_NUMERIC_NOISE_H
#define TESTS_NUMERIC_NOISE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "formats/cast.h"

static uint64_t noise_seed = 12345;

/* -1 .. 1 */
static inline float noise(void)
{
    noise_seed = noise_seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(noise_seed >> 40) / 8388608.0 - 1.0);
}

static inline void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = noise();
}

/* Memory that faults right behind its end; given back by unguard, or never. */
static inline void *guarded(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t len = ((bytes + page - 1) / page + 1) * page;
    uint8_t *p = mmap(
        NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || mprotect(p + len - page, page, PROT_NONE) != 0) {
        printf("Bail out! mmap\n");
        _exit(1);
    }
    return p + len - page - bytes;
}

static inline void unguard(void *p, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t len = (bytes + page - 1) / page * page;

    munmap((uint8_t *)p + bytes - len, len + page);
}

/* n numbers between -1 and 1 as dtype; int8 in steps of 1/128. */
static inline void store(void *out, enum dtype t, const float *x, size_t n)
{
    int8_t *bytes = out;

    if (t != DTYPE_I8)
        cast_array(out, t, x, DTYPE_F32, n);
    else
        for (size_t i = 0; i < n; i++)
            bytes[i] = (int8_t)lrintf(fminf(x[i] * 128, 127));
}

#endif
