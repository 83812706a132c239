/* Requests that bring something: what reaches the other side, to the byte. */
#include "net/http.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"

#include "tests/unit/tap.h"

enum { BODY = 3 << 20, HEAD_MAX = 16 << 10, CONNECTIONS = 8 };

/* It closes a connection after so many answers, and keeps the last request. */
struct server {
    int listener;
    char url[64];
    unsigned answers_each;
    bool hangs_up; /* on the second request of a connection, unread */
    struct buf head;
    struct buf body;
};

static bool read_head(struct server *s, int fd)
{
    char c;

    /* The last one stays until there is another. */
    if (read(fd, &c, 1) != 1)
        return false;
    buf_clear(&s->head);
    buf_putc(&s->head, c);
    while (s->head.len < 4 ||
           memcmp(s->head.p + s->head.len - 4, "\r\n\r\n", 4) != 0) {
        if (read(fd, &c, 1) != 1)
            return false;
        buf_putc(&s->head, c);
    }
    return true;
}

static size_t announced(const struct server *s)
{
    const char *p = strstr(s->head.p, "Content-Length: ");

    return p != NULL ? strtoul(p + 16, NULL, 10) : 0;
}

static void read_body(struct server *s, int fd)
{
    static char room[65536];
    size_t left = announced(s);

    buf_clear(&s->body);
    if (strstr(s->head.p, "100-continue") != NULL &&
        write(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25) != 25)
        return;
    while (left > 0) {
        ssize_t n = read(fd, room, size_min(left, sizeof(room)));

        if (n <= 0)
            return;
        buf_put(&s->body, room, (size_t)n);
        left -= (size_t)n;
    }
}

static void answer(struct server *s, int fd)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
                               "ETag: \"x\"\r\n\r\nhello";
    bool bare = strncmp(s->head.p, "HEAD ", 5) == 0;

    if (write(fd, text, sizeof(text) - 1 - (bare ? 5 : 0)) < 0)
        perror("answer");
}

static void *serve(void *arg)
{
    struct server *s = arg;
    int fd;

    while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
        for (unsigned n = 0; n < s->answers_each && read_head(s, fd); n++) {
            if (s->hangs_up && n == 1)
                break;
            read_body(s, fd);
            answer(s, fd);
        }
        close(fd);
    }
    return NULL;
}

static pthread_t begin(struct server *s)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
        .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(a);
    pthread_t thread;

    s->head = (struct buf)BUF_INIT(HEAD_MAX);
    s->body = (struct buf)BUF_INIT(BODY);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(s->listener, (struct sockaddr *)&a, len) != 0 ||
        listen(s->listener, CONNECTIONS) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&a, &len) != 0 ||
        pthread_create(&thread, NULL, serve, s) != 0)
        exit(1);
    snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u/a/../b?c=%%2F",
        (unsigned)ntohs(a.sin_port));
    return thread;
}

static void end(struct server *s, pthread_t thread)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(s->listener);
    buf_free(&s->head);
    buf_free(&s->body);
}

static char byte_at(uint64_t at)
{
    return (char)(at * 31 + (at >> 11));
}

static int read_some(void *arg, uint64_t at, void *room, size_t len)
{
    bool *fails = arg;
    char *p = room;

    if (fails != NULL && *fails && at > 0)
        return -1;
    for (size_t i = 0; i < len; i++)
        p[i] = byte_at(at + i);
    return 0;
}

static bool arrived(const struct server *s, uint64_t len)
{
    for (uint64_t i = 0; i < s->body.len; i++)
        if (s->body.p[i] != byte_at(i))
            return false;
    return s->body.len == len;
}

static bool has(const struct server *s, const char *line)
{
    return strstr(s->head.p, line) != NULL;
}

static struct http *http(void)
{
    struct http_opts opts = { .connect_s = 5, .stall_s = 20, .connections = 2 };
    struct err e = ERR_INIT;

    return http_open(&opts, &e);
}

static void methods(void)
{
    static const char *const extra[] = { "x-one: 1", "x-two: 2", NULL };
    struct server s = { .answers_each = 100 };
    pthread_t thread = begin(&s);
    struct http *h = http();
    struct http_upload u = { .len = BODY, .read = read_some };
    struct http_call c = HTTP_CALL_INIT;
    struct err e = ERR_INIT;

    c.url = s.url;
    c.extra = extra;
    c.as_is = true;
    c.upload = &u;
    http_run(h, &c, &e);
    is_int(c.status, 200, "a PUT of 3 MB");
    ok(arrived(&s, BODY), "all of it arrives");
    ok(has(&s, "PUT /a/../b?c=%2F HTTP/1.1\r\n"), "the path goes as it is");
    ok(has(&s, "\r\nx-one: 1\r\nx-two: 2\r\n"), "with the caller's headers");
    is_str(http_header(&c, "etag"), "\"x\"", "the answer's header");
    u.len = 0;
    c.method = "POST";
    http_run(h, &c, &e);
    ok(has(&s, "POST ") && has(&s, "Content-Length: 0\r\n"),
        "a POST of nothing says so");
    c.upload = NULL;
    c.method = "DELETE";
    http_run(h, &c, &e);
    ok(has(&s, "DELETE ") && !has(&s, "Content-Length"), "a DELETE");
    c.method = "HEAD";
    http_run(h, &c, &e);
    ok(c.end == HTTP_ANSWERED && c.status == 200 && has(&s, "HEAD "),
        "a HEAD, whose length is no body's");
    c.method = NULL;
    c.extra = NULL;
    http_run(h, &c, &e);
    ok(c.status == 200 && has(&s, "GET ") && !has(&s, "x-one"),
        "the next is a GET again, with nothing of the last");
    http_call_free(&c);
    http_close(h);
    end(&s, thread);
}

static void again(void)
{
    struct server s = { .answers_each = 2, .hangs_up = true };
    pthread_t thread = begin(&s);
    struct http *h = http();
    struct http_upload u = { .len = 70000, .read = read_some };
    struct http_call c = HTTP_CALL_INIT;
    struct err e = ERR_INIT;
    bool good = true;

    c.url = s.url;
    c.upload = &u;
    for (int i = 0; i < 3; i++)
        good = http_run(h, &c, &e) == 0 && c.end == HTTP_ANSWERED &&
               arrived(&s, u.len) && good;
    ok(good, "a connection that was closed meanwhile: sent again, whole");
    http_call_free(&c);
    http_close(h);
    end(&s, thread);
}

static void unreadable(void)
{
    struct server s = { .answers_each = 1 };
    pthread_t thread = begin(&s);
    struct http *h = http();
    bool fails = true;
    struct http_upload u = { .len = BODY, .read = read_some, .arg = &fails };
    struct http_call c = HTTP_CALL_INIT;
    struct err e = ERR_INIT;

    c.url = s.url;
    c.upload = &u;
    http_run(h, &c, &e);
    is_int(c.end, HTTP_STOPPED, "a body that cannot be read ends the call");
    is_str(c.why, "what is to be sent cannot be read", "and it says so");
    http_call_free(&c);
    http_close(h);
    end(&s, thread);
}

int main(void)
{
    methods();
    again();
    unreadable();
    return done();
}
