#include "fetch/spare.h"

#include <time.h>

#include "base/clock.h"
#include "base/pool.h"

enum { BUSY_PERCENT = 90 };

static uint64_t worked_ns(clockid_t whose)
{
    struct timespec t;

    if (clock_gettime(whose, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool spare_between(
    const struct spare *was, const struct spare *now, unsigned cores)
{
    uint64_t ns = now->at_ns - was->at_ns;

    return (now->thread_ns - was->thread_ns) * 100 < ns * BUSY_PERCENT &&
           (now->process_ns - was->process_ns) * 2 < ns * cores;
}

bool spare_look(struct spare *s)
{
    struct spare was = *s;

    *s = (struct spare){ .process_ns = worked_ns(CLOCK_PROCESS_CPUTIME_ID),
        .thread_ns = worked_ns(CLOCK_THREAD_CPUTIME_ID),
        .at_ns = clock_ns() };
    return was.at_ns == 0 || spare_between(&was, s, pool_cores());
}
