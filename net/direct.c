#include "net/direct.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/http_internal.h"
#include "net/reply.h"
#include "net/url.h"

enum {
    /* What is received before it is known where it belongs. */
    SCRATCH = 16 << 10,
    /* What one call may take before another one has its turn: as much as the
     * disk takes at once. */
    TURN_BYTES = 1 << 20,
    STALL_BYTES_PER_S = 64,
    REQUEST_LINES_MAX = 32 << 10
};

enum stage { DIALS, ASKS, READS_HEAD, READS_BODY, IS_OVER };

struct direct {
    enum stage stage;
    enum http_end end; /* when it is over */
    bool on;           /* this call is made so */
    bool paused;
    bool more;  /* its turn was over before its bytes were */
    bool spoke; /* a byte of the answer came */
    bool cut;   /* no more will come */
    struct wire *wire;
    struct buf request;
    size_t sent;
    struct reply reply;
    uint64_t left;          /* of the body */
    const uint8_t *waiting; /* came, and was not taken yet */
    size_t n_waiting;
    uint64_t since_ms; /* what came after that is new */
    uint64_t since_bytes;
    uint8_t scratch[SCRATCH];
};

/* ---- whom to ask for what ---- */

/* What libcurl would send as it is. */
static bool plain(const char *rest, bool dots_stay)
{
    const char *query = strpbrk(rest, "?#"), *dots = strstr(rest, "/.");

    for (const char *p = rest; *p != '\0'; p++)
        if (*p <= ' ' || *p >= 0x7f)
            return false;
    return strchr(rest, '#') == NULL &&
           (dots_stay || dots == NULL || (query != NULL && query < dots));
}

bool direct_fits(const struct http *h, const struct http_call *c)
{
    struct url u;

    return h->directs && c->room != NULL && c->method == NULL &&
           c->upload == NULL && url_parse(&u, c->url) &&
           plain(u.rest, c->as_is);
}

static void say_host(struct buf *out, const struct url *u)
{
    buf_puts(out, u->host);
    if (u->port != (u->tls ? 443 : 80))
        buf_printf(out, ":%u", u->port);
}

static int write_request(const struct http *h, const struct http_call *c,
    const struct url *u, struct buf *out, struct err *e)
{
    buf_printf(out, "GET %s%s HTTP/1.1\r\nHost: ", u->rest[0] != '/' ? "/" : "",
        u->rest);
    say_host(out, u);
    buf_printf(out, "\r\nUser-Agent: %s\r\nAccept: */*\r\n", h->agent);
    if (c->ranged)
        buf_printf(out, "Range: bytes=%llu-%llu\r\n",
            (unsigned long long)c->from, (unsigned long long)c->to - 1);
    buf_puts(out, "Accept-Encoding: identity\r\n");
    if (c->token != NULL && c->token[0] != '\0')
        buf_printf(out, "Authorization: Bearer %s\r\n", c->token);
    for (const char *const *l = c->extra; l != NULL && *l != NULL; l++)
        buf_printf(out, "%s\r\n", *l);
    buf_puts(out, "\r\n");
    return buf_check(out, e);
}

/* An idle connection to there that still rests; others are dropped. */
static struct wire *idle_wire(struct http *h, const char *origin)
{
    struct wire **at = &h->idle, *w;

    while ((w = *at) != NULL) {
        if (strcmp(w->origin, origin) != 0) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        if (wire_rests(w))
            return w;
        wire_close(w);
    }
    return NULL;
}

static void close_idle(struct http *h)
{
    struct wire *w = h->idle;

    h->idle = w->next;
    wire_close(w);
}

static int dial(struct http_call *c, const char *origin, struct err *e)
{
    struct direct *d = c->direct;
    struct http *h = c->http;

    while (h->idle != NULL && h->n_wires >= h->opts.connections)
        close_idle(h);
    d->stage = DIALS;
    d->wire = wire_dial(h, c, origin, e);
    return d->wire != NULL ? 0 : -1;
}

/* There may be a token in it. */
static void forget_request(struct direct *d)
{
    explicit_bzero(d->request.p, d->request.len);
    buf_clear(&d->request);
}

static void begin(struct http_call *c)
{
    struct direct *d = c->direct;
    struct buf request;
    struct reply reply;

    forget_request(d);
    reply_clear(&d->reply);
    request = d->request;
    reply = d->reply;
    *d = (struct direct){ .on = true, .request = request, .reply = reply };
}

void direct_ready(struct http_call *c)
{
    c->direct->more = c->http->more = true;
}

int direct_start(struct http *h, struct http_call *c, struct err *e)
{
    struct buf origin AUTO(buf_free) =
        BUF_INIT(sizeof(((struct wire *)0)->origin) - 1);
    struct direct *d = c->direct;
    struct url u;

    if (d == NULL) {
        d = c->direct = calloc(1, sizeof(*d));
        if (d == NULL)
            return err_set(e, ERR_NOMEM, "out of memory for a request");
        d->request = (struct buf)BUF_INIT(URL_MAX + REQUEST_LINES_MAX);
        d->reply = (struct reply)REPLY_INIT;
    }
    begin(c);
    url_parse(&u, c->url);
    buf_printf(&origin, "%s://", u.tls ? "https" : "http");
    say_host(&origin, &u);
    if (buf_check(&origin, e) != 0 ||
        write_request(h, c, &u, &d->request, e) != 0)
        return -1;
    if (!c->fresh)
        d->wire = idle_wire(h, origin.p);
    if (d->wire == NULL)
        return dial(c, origin.p, e);
    wire_lend(d->wire, c);
    d->stage = ASKS;
    direct_ready(c);
    d->since_ms = clock_ms();
    return 0;
}

bool direct_runs(const struct http_call *c)
{
    return c->direct != NULL && c->direct->on && c->direct->stage != IS_OVER;
}

bool direct_over(const struct http_call *c)
{
    return c->direct != NULL && c->direct->on && c->direct->stage == IS_OVER;
}

enum http_end direct_end(const struct http_call *c)
{
    return c->direct->end;
}

bool direct_dials(const struct http_call *c)
{
    return direct_runs(c) && c->direct->stage == DIALS;
}

/* ---- the end of it ---- */

static void be_over(struct http_call *c, enum http_end end, const char *why)
{
    c->direct->stage = IS_OVER;
    c->direct->end = end;
    if (c->why[0] == '\0' || end == HTTP_ANSWERED || end == HTTP_STALLED)
        snprintf(c->why, sizeof(c->why), "%.255s", why);
}

void direct_leave(struct http_call *c)
{
    struct direct *d = c->direct;
    struct wire *w = d != NULL ? d->wire : NULL;

    if (w == NULL)
        return;
    d->wire = NULL;
    d->stage = IS_OVER;
    c->fd = -1;
    if (c->end != HTTP_ANSWERED || !d->reply.keeps || d->left > 0 ||
        d->n_waiting > 0 || w->http->n_wires > w->http->opts.connections) {
        wire_close(w);
        return;
    }
    waiter_forget(&w->http->waiter, w->fd);
    wire_lend(w, NULL);
    w->used = true;
    w->next = w->http->idle;
    w->http->idle = w;
}

/* Somebody else is to make sense of it. */
static void hand_over(struct http_call *c)
{
    struct err e = ERR_INIT;

    c->http->directs = false;
    direct_leave(c);
    c->direct->on = false;
    c->status = 0;
    c->why[0] = '\0';
    if (http_start_curl(c->http, c, &e) == 0)
        return;
    c->direct->on = true;
    be_over(c, HTTP_BROKEN, e.msg);
}

/* The connection ended. An old one may have done so before it was asked. */
static void lost(struct http_call *c)
{
    struct direct *d = c->direct;
    char origin[sizeof(d->wire->origin)];
    struct err e = ERR_INIT;

    if (d->spoke || !d->wire->used) {
        be_over(c, HTTP_CUT,
            d->spoke ? "the connection was closed before all had come"
                     : "the connection was closed without an answer");
        return;
    }
    snprintf(origin, sizeof(origin), "%s", d->wire->origin);
    wire_close(d->wire);
    d->wire = NULL;
    d->sent = 0;
    d->cut = false;
    c->fd = -1;
    c->why[0] = '\0';
    if (dial(c, origin, &e) != 0)
        be_over(c, HTTP_BROKEN, e.msg);
}

/* ---- bytes ---- */

void direct_up(struct http_call *c)
{
    struct direct *d = c->direct;

    if (wire_up(d->wire) != 0) {
        be_over(c, HTTP_UNREACHED, "the connection is gone");
        return;
    }
    d->stage = ASKS;
    d->since_ms = clock_ms();
    direct_go_on(c);
}

static void watch(struct http_call *c, bool in, bool out)
{
    c->fd = c->direct->wire->fd;
    if (waiter_watch(&c->http->waiter, c->fd, in, out) != 0)
        be_over(c, HTTP_BROKEN, "the connection cannot be waited for");
}

static void ask(struct http_call *c)
{
    struct direct *d = c->direct;
    size_t n;

    while (d->sent < d->request.len) {
        enum wire_did did = wire_send(
            d->wire, d->request.p + d->sent, d->request.len - d->sent, &n);

        if (did == WIRE_LATER) {
            d->more = false;
            watch(c, false, true);
            return;
        }
        if (did != WIRE_DID) {
            lost(c);
            return;
        }
        d->sent += n;
    }
    d->stage = READS_HEAD;
    watch(c, true, false);
}

static void pause_it(struct http_call *c)
{
    c->direct->paused = true;
    waiter_forget(&c->http->waiter, c->fd);
}

/* Bytes of the body have come. */
static void deliver(struct http_call *c, const uint8_t *bytes, size_t n)
{
    struct direct *d = c->direct;
    int rc = c->body != NULL ? c->body(c->arg, bytes, n) : 0;

    if (rc == HTTP_PAUSE) {
        d->waiting = bytes;
        d->n_waiting = n;
        pause_it(c);
        return;
    }
    d->n_waiting = 0;
    d->left -= n;
    if (rc != 0)
        be_over(c, HTTP_STOPPED, "stopped");
}

/* Returns how many bytes came. */
static size_t receive(struct http_call *c, void *room, size_t len)
{
    struct direct *d = c->direct;
    size_t n;

    switch (wire_recv(d->wire, room, len, &n)) {
    case WIRE_DID:
        d->spoke = true;
        d->since_bytes += n;
        return n;
    case WIRE_LATER:
        d->more = false;
        return 0;
    case WIRE_ENDED:
    case WIRE_FAILED:
        d->cut = true;
        return 0;
    }
    return 0;
}

static void read_head(struct http_call *c)
{
    struct direct *d = c->direct;
    size_t n, used;

    if (d->cut) {
        lost(c);
        return;
    }
    n = receive(c, d->scratch, SCRATCH);
    if (n == 0)
        return;
    switch (reply_feed(&d->reply, d->scratch, n, &used)) {
    case REPLY_PART:
        return;
    case REPLY_ODD:
        hand_over(c);
        return;
    case REPLY_WHOLE:
        break;
    }
    c->status = d->reply.status;
    d->left = d->reply.length;
    d->stage = READS_BODY;
    d->since_ms = clock_ms();
    d->since_bytes = 0;
    d->waiting = d->scratch + used;
    d->n_waiting = size_min(n - used, d->left);
    /* More than was announced: who knows what comes next. */
    if (n - used > d->n_waiting)
        d->reply.keeps = false;
}

/* What there is, up to so much, at once: each handing over has its cost. */
static size_t fill(struct http_call *c, uint8_t *room, size_t len)
{
    size_t sum = 0, n;

    do {
        n = receive(c, room + sum, len - sum);
        sum += n;
    } while (n > 0 && sum < len); /* 0: LATER, or cut */
    return sum;
}

static void read_body(struct http_call *c)
{
    struct direct *d = c->direct;
    size_t len = SCRATCH, n;
    uint8_t *room;

    if (d->left == 0) {
        be_over(c, HTTP_ANSWERED, "");
        return;
    }
    if (d->n_waiting > 0) {
        deliver(c, d->waiting, d->n_waiting);
        return;
    }
    if (d->cut) {
        lost(c);
        return;
    }
    room = c->room(c->arg, &len);
    if (room == NULL && len == 0) {
        pause_it(c);
        return;
    }
    if (room == NULL) {
        room = d->scratch;
        len = SCRATCH;
    }
    n = fill(c, room, size_min(len, d->left));
    if (n > 0)
        deliver(c, room, n);
}

void direct_go_on(struct http_call *c)
{
    struct direct *d = c->direct;
    uint64_t stop = d->since_bytes + TURN_BYTES;

    d->more = true;
    if (d->stage == ASKS)
        ask(c);
    while (direct_runs(c) && d->stage > ASKS && d->more && !d->paused &&
           d->since_bytes < stop) {
        if (d->stage == READS_HEAD)
            read_head(c);
        else
            read_body(c);
    }
    c->http->more = c->http->more || direct_more(c);
}

bool direct_more(const struct http_call *c)
{
    return direct_runs(c) && c->direct->more && !c->direct->paused &&
           c->direct->stage != DIALS;
}

void direct_look(struct http_call *c, uint64_t now_ms)
{
    struct direct *d = c->direct;
    uint64_t s = c->http->opts.stall_s;

    if (d->stage == DIALS || d->stage == IS_OVER)
        return;
    /* A head that trickles would never end: all of it has that long. */
    if (d->paused ||
        (d->stage == READS_BODY && d->since_bytes >= s * STALL_BYTES_PER_S)) {
        d->since_ms = now_ms;
        d->since_bytes = 0;
    } else if (now_ms - d->since_ms >= s * 1000) {
        be_over(c, HTTP_STALLED, "");
    }
}

void direct_resume(struct http_call *c)
{
    struct direct *d = c->direct;

    if (!direct_runs(c) || !d->paused)
        return;
    d->paused = false;
    direct_ready(c);
    watch(c, true, false);
}

void *direct_easy(const struct http_call *c)
{
    const struct direct *d = c->direct;

    return d != NULL && d->wire != NULL ? d->wire->easy : NULL;
}

bool direct_kept(const struct http_call *c)
{
    return direct_easy(c) != NULL && c->direct->wire->used;
}

const struct reply *direct_head(const struct http_call *c)
{
    return c->direct != NULL && c->direct->on ? &c->direct->reply : NULL;
}

void direct_free(struct http_call *c)
{
    if (c->direct == NULL)
        return;
    direct_leave(c);
    forget_request(c->direct);
    buf_free(&c->direct->request);
    reply_free(&c->direct->reply);
    free(c->direct);
    c->direct = NULL;
}
