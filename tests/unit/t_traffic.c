/* Who is connected: nobody is let go of before his time. */
#include "serve/traffic.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#include "tests/unit/tap.h"

enum { BUSY = 4, TEST_MS = 1500 };

struct client {
    struct traffic *traffic;
    struct passage *passage;
    atomic_bool *stop;
};

/* One request after the other. */
static void *ask(void *arg)
{
    struct client *c = arg;

    while (!atomic_load(c->stop)) {
        traffic_begin(c->traffic, c->passage);
        traffic_send(c->traffic, c->passage, "", 0, RESPONSE_HELD);
        traffic_end(c->traffic, c->passage, ROUTE_RESOLVE, 200, true);
    }
    return NULL;
}

/* A tick that has to wait for others is not of an earlier time than theirs. */
static void busy(void)
{
    struct err e = ERR_INIT;
    struct traffic *t = traffic_open(60, &e);
    struct client v[BUSY];
    pthread_t threads[BUSY];
    int fds[BUSY][2];
    atomic_bool stop = false;
    static struct tally tally;
    uint64_t end = clock_ms() + TEST_MS;

    for (int i = 0; i < BUSY; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]) != 0)
            return;
        v[i] = (struct client){ t, traffic_come(t, fds[i][0], "x:1"), &stop };
        pthread_create(&threads[i], NULL, ask, &v[i]);
    }
    while (clock_ms() < end)
        traffic_tick(t);
    atomic_store(&stop, true);
    for (int i = 0; i < BUSY; i++)
        pthread_join(threads[i], NULL);
    traffic_tally(t, &tally);
    is_int((long long)tally.let_go, 0, "who is at work is not let go of");
    for (int i = 0; i < BUSY; i++) {
        traffic_go(t, v[i].passage);
        close(fds[i][0]);
        close(fds[i][1]);
    }
    traffic_close(t);
}

int main(void)
{
    busy();
    return done();
}
