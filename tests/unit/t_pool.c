#include "base/pool.h"

#include <stdatomic.h>

#include "tests/unit/tap.h"

struct work {
    _Atomic unsigned hits[1000];
    _Atomic unsigned total;
};

static void hit(void *ctx, size_t i)
{
    struct work *w = ctx;

    atomic_fetch_add(&w->hits[i], 1);
    atomic_fetch_add(&w->total, 1);
}

int main(void)
{
    static const unsigned sizes[] = { 1, 2, 4, 16 };
    static struct work w;

    ok(pool_cores() >= 1, "there is a core");
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        struct err e = ERR_INIT;
        struct pool *p AUTO(pool_close_auto) = pool_open(sizes[s], &e);
        bool once = true;

        memset(&w, 0, sizeof(w));
        is_int(pool_size(p), sizes[s], "as many threads as asked for");
        for (int round = 0; round < 500; round++)
            pool_run(p, (size_t)(round * 7 % 1000), hit, &w);
        memset(&w, 0, sizeof(w));
        pool_run(p, 1000, hit, &w);
        for (size_t i = 0; i < 1000; i++)
            once = once && w.hits[i] == 1;
        ok(once && w.total == 1000, "every item once with %u threads",
            sizes[s]);
        pool_run(p, 0, hit, &w);
        is_int(w.total, 1000, "no items, no work");
    }
    return done();
}
