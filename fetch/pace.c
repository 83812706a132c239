#include "fetch/pace.h"

enum { BUCKET_MS = 200 };

int pace_check(uint64_t rate, struct err *e)
{
    if (rate == 0 || rate >= PACE_MIN)
        return 0;
    return err_set(e, ERR_USAGE,
        "--limit-rate: %llu bytes a second look like a connection that "
        "stalls; %d are the least",
        (unsigned long long)rate, PACE_MIN);
}

struct pace pace_begin(uint64_t rate, uint64_t now_ms)
{
    return (struct pace){ .rate = size_min(rate, (uint64_t)1 << 40),
        .at_ms = now_ms };
}

static void fill(struct pace *p, uint64_t now_ms)
{
    int64_t most = (int64_t)(p->rate * BUCKET_MS);

    /* More than ten seconds at once are either owed or forgotten. */
    p->left += (int64_t)(p->rate * size_min(now_ms - p->at_ms, 10000));
    if (p->left > most)
        p->left = most;
    p->at_ms = now_ms;
}

bool pace_take(struct pace *p, uint64_t bytes, uint64_t now_ms)
{
    if (p->rate == 0)
        return true;
    fill(p, now_ms);
    if (p->left <= 0)
        return false;
    p->left -= (int64_t)bytes * 1000;
    return true;
}

void pace_undo(struct pace *p, uint64_t bytes)
{
    if (p->rate > 0)
        p->left += (int64_t)bytes * 1000;
}

uint64_t pace_wait_ms(struct pace *p, uint64_t now_ms)
{
    if (p->rate == 0)
        return 0;
    fill(p, now_ms);
    if (p->left > 0)
        return 0;
    return size_min(1000, (uint64_t)-p->left / p->rate + 1);
}
