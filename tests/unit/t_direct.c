/*
 * Answers that come directly: into the room that was given for them, whole,
 * cut at every byte and split at every byte; odd ones are brought by libcurl.
 */
#include "net/http.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#include "tests/unit/tap.h"

enum {
    BODY = 50,
    SOON_MS = 10000,
    LATER_US = 200000 /* the client has taken what came before, busy or not */
};

static const char whole[] =
    "HTTP/1.1 206 Partial Content\r\n"
    "Content-Length: 50\r\n"
    "Content-Range: bytes 0-49/1000\r\n"
    "\r\n"
    "01234567890123456789012345678901234567890123456789";

/* Answers one request after another, until there is no more of one. */
struct server {
    int listener;
    char url[64];
    const char *text; /* what is sent, */
    size_t len;       /* so many bytes of it, */
    size_t split;     /* the first ones by themselves, */
    unsigned gap_us;  /* the others so much later, */
    unsigned closes;  /* and closes after so many answers; 0: at the end */
    unsigned silent;  /* takes the next so many requests, and closes */
    bool trickles;    /* a little of it at a time, for longer than a stall */
    char request[4096];
    unsigned asked;
    unsigned connected;
    bool stop;
    pthread_t thread;
};

static bool asked(struct server *s, int fd)
{
    size_t len = 0;

    while (len < sizeof(s->request) - 1) {
        ssize_t n = read(fd, s->request + len, sizeof(s->request) - 1 - len);

        if (n <= 0)
            return false;
        len += (size_t)n;
        s->request[len] = '\0';
        if (strstr(s->request, "\r\n\r\n") != NULL)
            return true;
    }
    return false;
}

static bool send_all(int fd, const char *bytes, size_t len)
{
    return len == 0 || send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* 20 bytes each tenth of a second are more than a stall's 64 in one. */
static bool trickle(struct server *s, int fd)
{
    for (size_t at = 0; at < s->len; at += 20) {
        if (!send_all(fd, s->text + at, size_min(20, s->len - at)))
            return false;
        usleep(100000);
    }
    return true;
}

static void answer(struct server *s, int fd)
{
    unsigned answered = 0;

    while (asked(s, fd)) {
        s->asked++;
        if (s->silent > 0) {
            s->silent--;
            return;
        }
        if (s->trickles) {
            trickle(s, fd);
            return;
        }
        if (!send_all(fd, s->text, s->split))
            return;
        if (s->split > 0)
            usleep(s->gap_us > 0 ? s->gap_us : 500);
        if (!send_all(fd, s->text + s->split, s->len - s->split) ||
            s->len < strlen(s->text) || ++answered == s->closes)
            return;
    }
}

static void *serve(void *arg)
{
    struct server *s = arg;
    int fd, one = 1;

    while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
        s->connected++;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        answer(s, fd);
        close(fd);
    }
    return NULL;
}

static void begin(struct server *s)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
        .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(a);

    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(s->listener, (struct sockaddr *)&a, len) != 0 ||
        listen(s->listener, 64) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&a, &len) != 0 ||
        pthread_create(&s->thread, NULL, serve, s) != 0)
        exit(1);
    snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u/a%%20b?c=d",
        (unsigned)ntohs(a.sin_port));
}

static void end(struct server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
}

/* What was received, and where. */
struct taker {
    char room[BODY];
    size_t got;
    size_t most;     /* room is given so much at a time; 0: none at all */
    unsigned placed; /* bodies that came to the room */
    unsigned pauses; /* so many times it is not ready */
    bool refuses;    /* and then it is when the bytes are there */
    int then;        /* what it returns */
    unsigned turn;   /* of all takers, when it took its last bytes */
};

static unsigned turns;

static void *give_room(void *arg, size_t *len)
{
    struct taker *t = arg;

    if (t->pauses > 0 && !t->refuses) {
        t->pauses--;
        *len = 0;
        return NULL;
    }
    *len = size_min(t->most, sizeof(t->room) - t->got);
    if (*len > 0)
        return t->room + t->got;
    *len = 1;
    return NULL;
}

static int take(void *arg, const void *bytes, size_t len)
{
    struct taker *t = arg;

    if (t->pauses > 0 && t->refuses) {
        t->pauses--;
        return HTTP_PAUSE;
    }
    if (len > sizeof(t->room) - t->got)
        return -1;
    t->placed += bytes == t->room + t->got;
    if (bytes != t->room + t->got)
        memcpy(t->room + t->got, bytes, len);
    t->got += len;
    t->turn = ++turns;
    return t->then;
}

static struct http *open_http(unsigned stall_s)
{
    struct http_opts opts = {
        .connect_s = 5, .stall_s = stall_s, .connections = 1
    };
    struct err e = ERR_INIT;
    struct http *h = http_open(&opts, &e);

    if (h == NULL)
        exit(1);
    return h;
}

static void send_off(
    struct http *h, struct http_call *c, struct server *s, struct taker *t)
{
    struct err e = ERR_INIT;

    c->url = s->url;
    c->ranged = true;
    c->from = 0;
    c->to = BODY;
    c->body = take;
    c->room = give_room;
    c->arg = t;
    if (http_start(h, c, &e) != 0)
        exit(1);
}

static void ask(
    struct http *h, struct http_call *c, struct server *s, struct taker *t)
{
    uint64_t end = clock_ms() + SOON_MS;

    send_off(h, c, s, t);
    while (c->end == HTTP_RUNNING && clock_ms() < end) {
        http_wait(h, 20);
        http_resume(c);
    }
}

static bool right(const struct taker *t)
{
    return t->got == BODY &&
           memcmp(t->room, whole + sizeof(whole) - 1 - BODY, BODY) == 0;
}

static void check_whole(void)
{
    struct server s = { .text = whole,
        .len = sizeof(whole) - 1,
        .split = sizeof(whole) - 1 - BODY,
        .gap_us = LATER_US };
    struct taker t = { .most = 20 };
    struct http_call c = HTTP_CALL_INIT;
    struct http *h = open_http(20);

    begin(&s);
    c.token = "secret";
    ask(h, &c, &s, &t);
    ok(c.end == HTTP_ANSWERED && c.status == 206 && right(&t),
        "an answer comes directly");
    ok(t.placed >= 3, "into the room it is given");
    is_str(http_header(&c, "content-range"), "bytes 0-49/1000",
        "its headers are kept");
    ok(strncmp(s.request, "GET /a%20b?c=d HTTP/1.1\r\nHost: 127.0.0.1:", 41) ==
                0 &&
            strstr(s.request, "\r\nRange: bytes=0-49\r\n") != NULL &&
            strstr(s.request, "\r\nAccept-Encoding: identity\r\n") != NULL &&
            strstr(s.request, "\r\nAuthorization: Bearer secret\r\n") != NULL,
        "what was asked for");
    t = (struct taker){ .most = 0 };
    ask(h, &c, &s, &t);
    ok(c.end == HTTP_ANSWERED && right(&t) && t.placed == 0,
        "without room it comes as well");
    ok(s.connected == 1 && s.asked == 2 && http_requests(h) == 2,
        "over the same connection");
    c.fresh = true;
    t = (struct taker){ .most = 7, .then = -1 };
    ask(h, &c, &s, &t);
    ok(c.end == HTTP_STOPPED && s.connected == 2, "stopped, on a fresh one");
    http_call_free(&c);
    http_close(h);
    end(&s);
}

static void check_pauses(void)
{
    struct server s = { .text = whole,
        .len = sizeof(whole) - 1,
        .split = 100,
        .gap_us = LATER_US };
    struct http_call c = HTTP_CALL_INIT;
    struct http *h = open_http(20);

    begin(&s);
    for (int i = 0; i < 4; i++) {
        struct taker t = {
            .most = i % 2 == 0 ? 20 : 0, .pauses = 3, .refuses = i >= 2
        };

        ask(h, &c, &s, &t);
        ok(c.end == HTTP_ANSWERED && right(&t) && t.pauses == 0,
            "paused three times, %s room, %s the bytes are there",
            i % 2 == 0 ? "with" : "without", i >= 2 ? "when" : "before");
    }
    http_call_free(&c);
    http_close(h);
    end(&s);
}

static void check_splits(void)
{
    struct http_call c = HTTP_CALL_INIT;
    struct http *h = open_http(20);
    struct server s = { .text = whole, .len = sizeof(whole) - 1 };
    size_t bad = 0;

    begin(&s);
    for (s.split = 1; s.split < s.len; s.split++) {
        struct taker t = { .most = s.split % 2 == 0 ? 13 : 0 };

        ask(h, &c, &s, &t);
        bad += c.end != HTTP_ANSWERED || !right(&t);
    }
    is_int((long long)bad, 0, "split at every byte it is the same");
    is_int(s.connected, 1, "and one connection does");
    http_call_free(&c);
    http_close(h);
    end(&s);
}

static void check_cuts(void)
{
    size_t bad = 0, head = sizeof(whole) - 1 - BODY;
    struct server s = { .text = whole };
    struct http *h = open_http(20);

    begin(&s);
    for (s.len = 0; s.len < sizeof(whole) - 1; s.len++) {
        struct http_call c = HTTP_CALL_INIT;
        struct taker t = { .most = s.len % 2 == 0 ? 13 : 0 };

        ask(h, &c, &s, &t);
        bad += c.end != HTTP_CUT || c.why[0] == '\0' ||
               t.got != s.len - size_min(s.len, head) ||
               memcmp(t.room, whole + head, t.got) != 0;
        http_call_free(&c);
    }
    is_int((long long)bad, 0, "cut at every byte, what came is had");
    http_close(h);
    end(&s);
}

/* What is not taken directly is asked for once more, by libcurl. */
static void check_odd(void)
{
    static const char chunked[] =
        "HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\n\r\n"
        "32\r\n01234567890123456789012345678901234567890123456789\r\n0\r\n\r\n";
    static const char old[] =
        "HTTP/1.0 206 Partial Content\r\nContent-Length: 50\r\n\r\n"
        "01234567890123456789012345678901234567890123456789";
    static const char *const texts[] = { chunked, old };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct server s = {
            .text = texts[i], .len = strlen(texts[i]), .closes = 1
        };
        struct http_call c = HTTP_CALL_INIT;
        struct http *h = open_http(20);
        struct taker t = { .most = 13 }, again = { .most = 13 };

        begin(&s);
        ask(h, &c, &s, &t);
        ok(c.end == HTTP_ANSWERED && c.status == 206 && right(&t) &&
                t.placed == 0,
            "%s: libcurl brings it %s", i == 0 ? "in chunks" : "HTTP/1.0",
            c.why);
        is_int(s.asked, 2, "asked for twice");
        ask(h, &c, &s, &again);
        ok(c.end == HTTP_ANSWERED && right(&again) && s.asked == 3,
            "the next one is libcurl's at once");
        http_call_free(&c);
        http_close(h);
        end(&s);
    }
}

static void check_refusal(void)
{
    static const char text[] = "HTTP/1.1 503 Slow Down\r\nRetry-After: 7\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    struct server s = { .text = text, .len = sizeof(text) - 1 };
    struct http_call c = HTTP_CALL_INIT;
    struct http *h = open_http(20);
    struct taker t = { .most = 13 };

    begin(&s);
    ask(h, &c, &s, &t);
    ok(c.end == HTTP_ANSWERED && c.status == 503 && s.asked == 1,
        "a refusal is not asked for again");
    is_str(http_header(&c, "Retry-After"), "7", "and says when");
    http_call_free(&c);
    http_close(h);
    end(&s);
}

/* A kept connection that is closed meanwhile, before or after it is asked. */
static void check_kept(void)
{
    struct server s = { .text = whole, .len = sizeof(whole) - 1, .closes = 1 };
    struct http_call c = HTTP_CALL_INIT;
    struct http *h = open_http(20);

    begin(&s);
    for (int i = 0; i < 3; i++) {
        struct taker t = { .most = 13 };

        s.closes = i < 2;
        ask(h, &c, &s, &t);
        ok(c.end == HTTP_ANSWERED && right(&t),
            "a new connection where the old one was closed: %d", i);
        usleep(20000);
    }
    s.silent = 1;
    for (int i = 0; i < 2; i++) {
        struct taker t = { .most = 13 };

        ask(h, &c, &s, &t);
        ok(c.end == HTTP_ANSWERED && right(&t),
            "or closes when it is asked: %d", i);
    }
    http_call_free(&c);
    http_close(h);
    end(&s);
}

static void check_silence(void)
{
    static const char text[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n0123456789";
    struct server s = { .text = text, .len = sizeof(text) - 1 };
    struct http_call c = HTTP_CALL_INIT;
    struct http *h = open_http(1);
    struct taker t = { .most = 13 };

    begin(&s);
    ask(h, &c, &s, &t);
    ok(c.end == HTTP_STALLED && t.got == 10, "silence is a stall");
    is_str(c.why, "nothing came for 1 s", "and is called so");
    http_call_free(&c);
    http_close(h);
    end(&s);
}

/* A head has the stall's time for all of it; a body may come slowly. */
static void check_trickle(void)
{
    static const char last[] =
        "Content-Length: 50\r\n\r\n"
        "01234567890123456789012345678901234567890123456789";
    struct buf text AUTO(buf_free) = BUF_INIT(4096);
    struct server s = { .trickles = true };
    struct http_call c = HTTP_CALL_INIT;
    struct http *h = open_http(1);
    struct taker t = { .most = 13 };
    uint64_t from = clock_ms();

    buf_puts(&text, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 60; i++)
        buf_puts(&text, "X-Wait: 0123456789\r\n");
    buf_puts(&text, last);
    s.text = text.p;
    s.len = text.len;
    begin(&s);
    ask(h, &c, &s, &t);
    ok(c.end == HTTP_STALLED && t.got == 0 && clock_ms() - from < 4000,
        "a head that only trickles is a stall");
    http_call_free(&c);
    http_close(h);
    end(&s);
}

/* Stopped while it is paused, it is over: there is nothing to resume. */
static void check_stopped(void)
{
    struct server s = { .text = whole, .len = sizeof(whole) - 1 };
    struct http_call c = HTTP_CALL_INIT;
    struct http *h = open_http(20);
    struct taker t = { .most = 20, .pauses = 2, .refuses = true };

    begin(&s);
    send_off(h, &c, &s, &t);
    for (int i = 0; i < 100 && t.pauses == 2; i++)
        http_wait(h, 20);
    http_stop(h, &c);
    http_resume(&c);
    ok(c.end == HTTP_STOPPED && t.pauses == 1 && t.got == 0,
        "stopped while paused, it does not go on");
    http_call_free(&c);
    http_close(h);
    end(&s);
}

/* Connections of the one kind do not push out those of the other. */
static void check_beside(void)
{
    struct server far = { .text = whole, .len = sizeof(whole) - 1 };
    struct server hub = { .text = whole, .len = sizeof(whole) - 1 };
    struct http_call c = HTTP_CALL_INIT, asks = HTTP_CALL_INIT;
    struct http *h = open_http(20);

    begin(&far);
    begin(&hub);
    for (int i = 0; i < 3; i++) {
        struct taker t = { .most = 13 };
        struct err e = ERR_INIT;

        ask(h, &c, &far, &t);
        asks.url = hub.url;
        ok(right(&t) && http_run(h, &asks, &e) == 0 &&
                asks.end == HTTP_ANSWERED,
            "one directly, one by libcurl: %d", i);
    }
    ok(far.connected == 1 && hub.connected == 1, "both connections are kept");
    http_call_free(&c);
    http_call_free(&asks);
    http_close(h);
    end(&far);
    end(&hub);
}

/* Both have bytes waiting: the one that was asked for first has the first. */
static void check_order(void)
{
    const struct server head_first = { .text = whole,
        .len = sizeof(whole) - 1,
        .split = sizeof(whole) - 1 - BODY,
        .gap_us = LATER_US };
    struct server s[2] = { head_first, head_first };
    struct taker t[2] = { { .most = BODY, .pauses = 1 },
        { .most = BODY, .pauses = 1 } };
    struct http_call c[2] = { HTTP_CALL_INIT, HTTP_CALL_INIT };
    struct http *h = open_http(20);
    uint64_t until = clock_ms() + SOON_MS;

    for (int i = 0; i < 2; i++) {
        begin(&s[i]);
        send_off(h, &c[i], &s[i], &t[i]);
    }
    while ((t[0].pauses > 0 || t[1].pauses > 0) && clock_ms() < until)
        http_wait(h, 20);
    usleep(2 * LATER_US); /* all bytes are there */
    http_resume(&c[1]);
    http_resume(&c[0]);
    while ((t[0].got == 0 || t[1].got == 0) && clock_ms() < until)
        http_wait(h, 20);
    ok(right(&t[0]) && right(&t[1]) && t[0].turn < t[1].turn,
        "who was asked first has the first turn");
    for (int i = 0; i < 2; i++) {
        http_stop(h, &c[i]);
        http_call_free(&c[i]);
    }
    http_close(h);
    end(&s[0]);
    end(&s[1]);
}

int main(void)
{
    check_whole();
    check_pauses();
    check_splits();
    check_cuts();
    check_odd();
    check_refusal();
    check_kept();
    check_silence();
    check_trickle();
    check_stopped();
    check_beside();
    check_order();
    return done();
}
