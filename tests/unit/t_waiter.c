/* Waiting for many sockets, and being woken. */
#include "net/waiter.h"

#include <unistd.h>

#include "base/clock.h"
#include "fetch/pull.h"
#include "tests/unit/tap.h"

/* Who is not told of might be taken for one that has nothing. */
static void all_are_told_of(struct waiter *w)
{
    struct waited v[WAITED_MAX];
    int ends[PULL_JOBS_MAX][2];
    bool told = true;
    unsigned n;

    for (unsigned i = 0; i < PULL_JOBS_MAX; i++)
        told = pipe(ends[i]) == 0 && write(ends[i][1], "x", 1) == 1 &&
               waiter_watch(w, ends[i][0], true, false) == 0 && told;
    ok(told, "%d pipes hold a byte each", PULL_JOBS_MAX);
    n = waiter_wait(w, 1000, v);
    is_int(n, PULL_JOBS_MAX, "all are told of at once");
    for (unsigned i = 0; i < n; i++)
        told = v[i].in && !v[i].out && !v[i].broken && told;
    ok(told, "that they can be read");
    for (unsigned i = 0; i < PULL_JOBS_MAX; i++)
        waiter_forget(w, ends[i][0]);
    is_int(waiter_wait(w, 0, v), 0, "who is forgotten is not told of");
    for (unsigned i = 0; i < PULL_JOBS_MAX; i++) {
        close(ends[i][0]);
        close(ends[i][1]);
    }
}

int main(void)
{
    struct waiter w = WAITER_INIT;
    struct waited v[WAITED_MAX];
    struct err e = ERR_INIT;
    uint64_t begin = clock_ms();

    is_int(waiter_open(&w, &e), 0, "a waiter");
    waiter_wake(&w);
    waiter_wake(&w);
    is_int(waiter_wait(&w, 60000, v), 0, "a wake tells of no socket");
    ok(clock_ms() - begin < 30000, "and ends the wait");
    begin = clock_ms();
    waiter_wait(&w, 50, v);
    ok(clock_ms() - begin >= 49, "but not the next one");
    all_are_told_of(&w);
    waiter_close(&w);
    waiter_close(&w);
    return done();
}
