/*
 * Every one of the 2^32 float32 values, to F16 and BF16: the fast loops give
 * the bits of the reference. `make casts`; minutes, all cores.
 */
#include "base/pool.h"
#include "formats/cast_kernel.h"
#include "tests/unit/tap.h"

enum { CHUNK = 4096, CHUNKS = 1 << 20 };

struct job {
    struct cast_kernels plain, fast;
    enum dtype to;
    _Atomic uint64_t wrong;
};

static void compare(void *ctx, size_t i)
{
    struct job *j = ctx;
    float in[CHUNK];
    uint16_t want[CHUNK], got[CHUNK];

    for (uint32_t k = 0; k < CHUNK; k++) {
        uint32_t u = (uint32_t)i * CHUNK + k;
        memcpy(&in[k], &u, sizeof(u));
    }
    j->plain.store[j->to](want, in, CHUNK);
    j->fast.store[j->to](got, in, CHUNK);
    if (memcmp(want, got, sizeof(got)) != 0)
        j->wrong++;
}

int main(void)
{
    static const enum dtype types[] = { DTYPE_F16, DTYPE_BF16 };
    struct err e = ERR_INIT;
    struct pool *pool AUTO(pool_close_auto) = pool_open(0, &e);

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        static struct job j;

        cast_kernels_plain(&j.plain);
        cast_kernels_plain(&j.fast);
        j.to = types[i];
        j.wrong = 0;
        if (!cast_kernels_x86(&j.fast)) {
            skip(dtype_name(j.to), "this processor has no fast loops");
            continue;
        }
        pool_run(pool, CHUNKS, compare, &j);
        is_int((long long)j.wrong, 0, dtype_name(j.to));
    }
    return done();
}
