/* Requests to a server that says little: paused, resumed, stopped, one more. */
#include "net/http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#include "tests/unit/tap.h"

enum { BODY = 40000, SENT = 30000, SOON_MS = 5000 };

struct server {
    int listener;
    char url[64];
    size_t brings; /* of the BODY bytes that are announced; then silence */
};

/* One connection: every request gets the same. */
static void *serve(void *arg)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n"
                               "\r\n";
    static const char body[BODY];
    const struct server *s = arg;
    int fd = accept(s->listener, NULL, NULL);
    char request[4096];

    while (read(fd, request, sizeof(request)) > 0)
        if (write(fd, head, sizeof(head) - 1) < 0 ||
            write(fd, body, s->brings) < 0)
            break;
    close(fd);
    return NULL;
}

static pthread_t begin(struct server *s, size_t brings, void *(*run)(void *))
{
    struct sockaddr_in a = { .sin_family = AF_INET,
        .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(a);
    pthread_t thread;

    s->brings = brings;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(s->listener, (struct sockaddr *)&a, len) != 0 ||
        listen(s->listener, 8) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&a, &len) != 0 ||
        pthread_create(&thread, NULL, run, s) != 0)
        exit(1);
    snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u/",
        (unsigned)ntohs(a.sin_port));
    return thread;
}

/* What the body function is to do, and what it saw. */
struct taker {
    bool pause; /* the next bytes */
    int then;   /* what it returns for all others */
    unsigned called;
    size_t got;
};

static int take(void *arg, const void *bytes, size_t len)
{
    struct taker *t = arg;

    (void)bytes;
    t->called++;
    if (t->pause) {
        t->pause = false;
        return HTTP_PAUSE;
    }
    t->got += len;
    return t->then;
}

/* Until it is over, or for so long, or until the taker was called. */
static void go_on(struct http *h, struct http_call *c, uint64_t ms, bool called)
{
    const struct taker *t = c->arg;
    uint64_t end = clock_ms() + ms;

    while (c->end == HTTP_RUNNING && clock_ms() < end &&
           !(called && t->called > 0))
        http_wait(h, 50);
}

static void after_a_pause(
    size_t brings, int then, enum http_end end, const char *name)
{
    struct http_opts opts = { .connect_s = 5, .stall_s = 20, .connections = 2 };
    struct err e = ERR_INIT;
    struct http *h = http_open(&opts, &e);
    struct taker t = { .pause = true, .then = then };
    struct http_call c = HTTP_CALL_INIT;
    struct server s;
    pthread_t thread = begin(&s, brings, serve);

    c.url = s.url;
    c.body = take;
    c.arg = &t;
    if (!ok(h != NULL && http_start(h, &c, &e) == 0, "%s: sent", name))
        exit(1);
    go_on(h, &c, SOON_MS, true);
    go_on(h, &c, 1500, false);
    is_int(t.called, 1, "nothing is brought before it is resumed");
    http_resume(&c);
    go_on(h, &c, SOON_MS, false);
    is_int(c.end, end, name);
    ok(then != 0 ? t.called == 2 : t.got == BODY, "with what it was to bring");
    http_stop(h, &c);
    http_call_free(&c);
    http_close(h);
    shutdown(s.listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(s.listener);
}

/* A byte now and then is no answer. */
static void *dribble(void *arg)
{
    const struct server *s = arg;
    int fd = accept(s->listener, NULL, NULL);
    char request[4096];
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n"
                               "\r\n";

    if (read(fd, request, sizeof(request)) > 0 &&
        write(fd, head, sizeof(head) - 1) > 0)
        while (send(fd, head, 16, MSG_NOSIGNAL) > 0)
            usleep(20 * 1000);
    close(fd);
    return NULL;
}

static void in_time(void)
{
    struct http_opts opts = { .connect_s = 5, .stall_s = 20, .connections = 2 };
    struct err e = ERR_INIT;
    struct http *h = http_open(&opts, &e);
    struct http_call c = HTTP_CALL_INIT;
    struct server s;
    pthread_t thread = begin(&s, 0, dribble);
    uint64_t begun = clock_ms();

    c.url = s.url;
    c.limit_ms = 1000;
    ok(h != NULL && http_run(h, &c, &e) == 0, "an answer that dribbles");
    is_int(c.end, HTTP_STALLED, "ends when its time is over");
    ok(clock_ms() - begun < SOON_MS && strstr(c.why, "not whole after 1 s"),
        "and why is said: %s", c.why);
    http_call_free(&c);
    http_close(h);
    shutdown(s.listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(s.listener);
}

int main(void)
{
    after_a_pause(BODY, 0, HTTP_ANSWERED, "after a pause all of it comes");
    after_a_pause(BODY, -1, HTTP_STOPPED, "all there, and stopped then");
    after_a_pause(SENT, -1, HTTP_STOPPED, "stopped then, and no more to come");
    in_time();
    return done();
}
