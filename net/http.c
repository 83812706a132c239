#include "net/http.h"

#include <curl/curl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/version.h"
#include "net/direct.h"
#include "net/http_internal.h"
#include "net/proxy.h"
#include "net/reply.h"
#include "net/roots.h"
#include "net/tls.h"

_Static_assert(sizeof(((struct http_call *)0)->why) >= CURL_ERROR_SIZE,
    "libcurl writes its message there");

#define NEVER UINT64_MAX

/* ---- what libcurl waits for ---- */

static int on_socket(
    CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    struct http *h = arg;
    char *private = NULL;
    struct http_call *c;

    (void)unused;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    c = (struct http_call *)(void *)private;
    if (what == CURL_POLL_REMOVE) {
        /* While it connects there may be two, one for each address. */
        if (c != NULL && c->fd == fd)
            c->fd = -1;
        waiter_forget(&h->waiter, fd);
        return 0;
    }
    /* Since 8.10 libcurl closes with a handle of its own: that is no call. */
    if (c != NULL && c->fd != fd) {
        c->fd = fd;
        c->fd_ns = clock_ns();
    }
    return waiter_watch(
        &h->waiter, fd, what != CURL_POLL_OUT, what != CURL_POLL_IN);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    struct http *h = arg;

    (void)multi;
    h->due_ms = ms < 0 ? NEVER : clock_ms() + (uint64_t)ms;
    return 0;
}

static void be_told(struct http *h)
{
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
}

struct http *http_open(const struct http_opts *opts, struct err *e)
{
    struct http *h = calloc(1, sizeof(*h));
    const curl_version_info_data *v;
    struct utsname u;

    if (h == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
        (h->multi = curl_multi_init()) == NULL) {
        free(h);
        err_set(e, ERR_NOMEM, "cannot start the HTTP library");
        return NULL;
    }
    v = curl_version_info(CURLVERSION_NOW);
    h->due_ms = NEVER;
    /* TLS inside of TLS: nothing tells what the outer one has read ahead. */
    h->ahead = tls_is_ours(v->ssl_version) && !proxy_named("https:");
    h->directs = !proxy_named("");
    h->waiter = (struct waiter)WAITER_INIT;
    if (waiter_open(&h->waiter, e) != 0) {
        http_close(h);
        return NULL;
    }
    be_told(h);
    h->opts = *opts;
    snprintf(h->agent, sizeof(h->agent), "mlfetch/%s; linux/%.60s", ML_VERSION,
        uname(&u) == 0 ? u.machine : "unknown");
    roots_find(v->cainfo, v->capath, h->ca_file, h->ca_dir);
    curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    /* Those of wire.h are in libcurl's count, too. */
    curl_multi_setopt(
        h->multi, CURLMOPT_MAXCONNECTS, 2 * (long)opts->connections);
    return h;
}

void http_close(struct http *h)
{
    if (h == NULL)
        return;
    for (struct wire *w = h->idle, *next; w != NULL; w = next) {
        next = w->next;
        wire_close(w);
    }
    curl_multi_cleanup(h->multi);
    waiter_close(&h->waiter);
    tls_roots_free(h->roots);
    free(h);
}

/* ---- a request ---- */

static void leave(struct http_call *c)
{
    struct http_call **at = &c->http->running;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
}

static void join(struct http *h, struct http_call *c)
{
    struct http_call **at = &h->running;

    while (*at != NULL)
        at = &(*at)->next;
    c->next = NULL;
    *at = c;
}

int http_start_curl(struct http *h, struct http_call *c, struct err *e)
{
    if (c->easy == NULL)
        c->easy = curl_easy_init();
    else
        curl_easy_reset(c->easy);
    if (c->easy == NULL)
        return err_set(e, ERR_NOMEM, "out of memory for a request");
    http_set(h, c->easy, c->url);
    if (!http_set_request(c) || curl_multi_add_handle(h->multi, c->easy) != 0)
        return err_set(e, ERR_NOMEM, "out of memory for a request");
    h->requests++;
    return 0;
}

int http_start(struct http *h, struct http_call *c, struct err *e)
{
    bool fits = direct_fits(h, c);

    c->end = HTTP_RUNNING;
    c->status = 0;
    c->why[0] = '\0';
    c->http = h;
    c->fd = -1;
    c->failed = CURLE_OK;
    c->sent = 0;
    c->unread = false;
    if (!fits)
        direct_free(c);
    if ((fits ? direct_start(h, c, e) : http_start_curl(h, c, e)) != 0) {
        c->end = HTTP_BROKEN;
        return -1;
    }
    h->requests += fits;
    join(h, c);
    return 0;
}

/* libcurl's handle that the call has now, or had last. */
static CURL *easy_of(const struct http_call *c)
{
    return direct_head(c) != NULL ? direct_easy(c) : c->easy;
}

static enum http_end end_of(CURLcode code, const struct http_call *c)
{
    switch (code) {
    case CURLE_OK:
        return HTTP_ANSWERED;
    case CURLE_WRITE_ERROR:
        return HTTP_STOPPED;
    case CURLE_ABORTED_BY_CALLBACK:
        return c->unread ? HTTP_STOPPED : HTTP_BROKEN;
    case CURLE_OPERATION_TIMEDOUT:
        return c->status == 0 ? HTTP_UNREACHED : HTTP_STALLED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        return HTTP_UNREACHED;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return HTTP_UNTRUSTED;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return HTTP_CUT;
    default:
        return HTTP_BROKEN;
    }
}

/* Its text quotes the address where it has no host: with name and password. */
static bool quotes_proxy(const struct http_call *c, CURLcode code)
{
    return code == CURLE_COULDNT_RESOLVE_PROXY ||
           (code != CURLE_OK && strstr(c->why, "proxy") != NULL &&
               strpbrk(c->why, "@'") != NULL);
}

/* libcurl's words that would mislead, or tell too much. */
static void reword(struct http_call *c, CURLcode code)
{
    long proxy = 0;

    curl_easy_getinfo(easy_of(c), CURLINFO_HTTP_CONNECTCODE, &proxy);
    if (code != CURLE_OK && proxy >= 400) {
        c->end = HTTP_UNREACHED;
        snprintf(c->why, sizeof(c->why), "the proxy refuses (%ld)%s", proxy,
            proxy == 407 ? ": it wants a user name and a password" : "");
    }
    if (quotes_proxy(c, code))
        snprintf(c->why, sizeof(c->why),
            "the proxy that the environment names (http_proxy, https_proxy, "
            "all_proxy) has no address that can be used: '@', '/', ':' and '#' "
            "in its password are %%40, %%2F, %%3A and %%23");
    /* A line of 100 kB is where it has no more room for one. */
    if (code == CURLE_OUT_OF_MEMORY)
        snprintf(
            c->why, sizeof(c->why), "a header is too large, or memory ran out");
    if (code == CURLE_SSL_CACERT_BADFILE)
        roots_why(c->http->ca_file, c->why, sizeof(c->why));
    if (code == CURLE_ABORTED_BY_CALLBACK)
        snprintf(c->why, sizeof(c->why), "%s",
            c->unread ? "what is to be sent cannot be read"
                      : "its socket cannot be waited for");
}

/* What libcurl's code means. */
static void judge(struct http_call *c, CURLcode code)
{
    double connected = 0;

    curl_easy_getinfo(easy_of(c), CURLINFO_RESPONSE_CODE, &c->status);
    c->end = end_of(code, c);
    if (code == CURLE_OPERATION_TIMEDOUT) {
        /* A timeout behind the connect is a stall, whatever had come. */
        curl_easy_getinfo(easy_of(c), CURLINFO_PRETRANSFER_TIME, &connected);
        if (connected > 0)
            c->end = HTTP_STALLED;
    }
    if (c->end != HTTP_ANSWERED && c->why[0] == '\0')
        snprintf(c->why, sizeof(c->why), "%s", curl_easy_strerror(code));
    else if (c->end == HTTP_ANSWERED)
        c->why[0] = '\0';
    reword(c, code);
}

static void say_stalled(const struct http *h, struct http_call *c)
{
    curl_off_t us = 0;

    if (c->limit_ms > 0)
        curl_easy_getinfo(easy_of(c), CURLINFO_TOTAL_TIME_T, &us);
    /* The shorter one comes first, whatever libcurl's clock says. */
    if (c->limit_ms > 0 && (c->limit_ms < h->opts.stall_s * UINT64_C(1000) ||
                               (uint64_t)us / 1000 >= c->limit_ms))
        snprintf(c->why, sizeof(c->why), "its answer was not whole after %u s",
            (unsigned)(c->limit_ms / 1000));
    else
        snprintf(
            c->why, sizeof(c->why), "nothing came for %u s", h->opts.stall_s);
}

static struct http_call *finish(struct http *h, struct http_call *c)
{
    leave(c);
    if (c->end == HTTP_STALLED)
        say_stalled(h, c);
    if (direct_head(c) != NULL) {
        direct_leave(c);
    } else {
        curl_multi_remove_handle(h->multi, c->easy);
        curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, NULL);
    }
    return c;
}

/* libcurl has a call that is over, unless it had only to connect it. */
static struct http_call *next_told(struct http *h)
{
    char *private = NULL;
    struct http_call *c;
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
        CURLcode code = m->data.result;

        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
        c = (struct http_call *)(void *)private;
        if (m->msg != CURLMSG_DONE || c == NULL)
            continue;
        if (direct_dials(c) && code == CURLE_OK) {
            direct_up(c);
            continue;
        }
        judge(c, code);
        return c;
    }
    return NULL;
}

static struct http_call *next_done(struct http *h)
{
    struct http_call *c = next_told(h);

    if (c != NULL)
        return finish(h, c);
    for (c = h->running; c != NULL; c = c->next) {
        if (c->failed != CURLE_OK)
            judge(c, (CURLcode)c->failed);
        else if (direct_over(c))
            c->end = direct_end(c);
        else
            continue;
        return finish(h, c);
    }
    return NULL;
}

static void act(struct http *h, curl_socket_t fd, int what)
{
    int running;

    curl_multi_socket_action(h->multi, fd, what, &running);
}

/* Bytes that TLS has read, so that the socket has nothing to tell. */
static bool buffered(const struct http_call *c)
{
    struct curl_tlssessioninfo *tls = NULL;

    return c->fd >= 0 &&
           curl_easy_getinfo(c->easy, CURLINFO_TLS_SSL_PTR, &tls) == CURLE_OK &&
           tls != NULL && tls->backend == CURLSSLBACKEND_OPENSSL &&
           tls_buffered(tls->internals);
}

/*
 * Once around, in the order in which they were asked for: what was asked for
 * first is waited for. Who has more has it again next time, after the sockets.
 */
static void drain(struct http *h)
{
    h->more = false;
    for (struct http_call *c = h->running; c != NULL; c = c->next) {
        if (direct_more(c)) {
            direct_go_on(c);
        } else if (!direct_runs(c) && h->ahead && buffered(c)) {
            h->more = true;
            act(h, c->fd, CURL_CSELECT_IN);
        }
    }
}

/* The call that is made directly over that socket, or NULL. */
static struct http_call *direct_on(struct http *h, int fd)
{
    struct http_call *c = h->running;

    while (c != NULL && !(c->fd == fd && direct_runs(c) && !direct_dials(c)))
        c = c->next;
    return c;
}

static void tell(struct http *h, const struct waited *w)
{
    struct http_call *c = direct_on(h, w->fd);

    if (c != NULL)
        direct_ready(c);
    else
        act(h, w->fd,
            (w->in ? CURL_CSELECT_IN : 0) | (w->out ? CURL_CSELECT_OUT : 0) |
                (w->broken ? CURL_CSELECT_ERR : 0));
}

static void look(struct http *h)
{
    uint64_t now = clock_ms();

    for (struct http_call *c = h->running; c != NULL; c = c->next)
        if (direct_runs(c))
            direct_look(c, now);
    if (h->due_ms <= now) {
        h->due_ms = NEVER;
        act(h, CURL_SOCKET_TIMEOUT, 0);
    }
}

static unsigned wait_ms(const struct http *h, unsigned ms)
{
    uint64_t now = clock_ms();

    if (h->more || h->due_ms <= now)
        return 0;
    return (unsigned)size_min(ms, h->due_ms - now);
}

static void let_go_on(struct http *h, unsigned ms)
{
    struct waited v[WAITED_MAX];
    unsigned n = waiter_wait(&h->waiter, wait_ms(h, ms), v);

    for (unsigned i = 0; i < n; i++)
        tell(h, &v[i]);
    drain(h);
    look(h);
}

struct http_call *http_wait(struct http *h, unsigned ms)
{
    struct http_call *c = next_done(h);

    if (c != NULL)
        return c;
    let_go_on(h, ms);
    return next_done(h);
}

int http_run(struct http *h, struct http_call *c, struct err *e)
{
    if (http_start(h, c, e) != 0)
        return -1;
    while (c->end == HTTP_RUNNING) {
        if (cancel_check(e) != 0) {
            http_stop(h, c);
            return -1;
        }
        http_wait(h, 100);
    }
    return 0;
}

void http_stop(struct http *h, struct http_call *c)
{
    if (c->end != HTTP_RUNNING || c->http == NULL)
        return;
    c->end = HTTP_STOPPED;
    finish(h, c);
}

/* Nothing is paused that has no connection yet: libcurl refuses to look. */
static void unpause(struct http_call *c)
{
    CURLcode code = curl_easy_pause(c->easy, CURLPAUSE_CONT);

    c->failed = code != CURLE_BAD_FUNCTION_ARGUMENT ? (int)code : CURLE_OK;
}

void http_resume(struct http_call *c)
{
    /* What the body function said meanwhile, libcurl forgets. */
    if (direct_head(c) != NULL)
        direct_resume(c);
    else if (c->end == HTTP_RUNNING && c->easy != NULL)
        unpause(c);
}

void http_wake(struct http *h)
{
    waiter_wake(&h->waiter);
}

/*
 * The kernel's word on it: by libcurl's clock, and ours, a machine that is
 * busy with the first connections is far away from the others.
 */
enum http_way http_way(const struct http_call *c, uint64_t *us)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    curl_off_t connected = 0;

    if (c->end != HTTP_RUNNING || c->fd < 0 || direct_kept(c) ||
        easy_of(c) == NULL ||
        getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return HTTP_WAY_UNKNOWN;
    if (info.tcpi_state == TCP_SYN_SENT) {
        *us = (clock_ns() - c->fd_ns) / 1000;
        return HTTP_WAY_LONGER;
    }
    /* An old connection took no time. */
    curl_easy_getinfo(easy_of(c), CURLINFO_CONNECT_TIME_T, &connected);
    *us = size_max(1, info.tcpi_rtt);
    return connected > 0 ? HTTP_WAY_KNOWN : HTTP_WAY_UNKNOWN;
}

void http_call_free(struct http_call *c)
{
    direct_free(c);
    curl_easy_cleanup(c->easy);
    http_forget_lines(c);
    c->easy = NULL;
}

const char *http_header_at(
    const struct http_call *c, const char *name, size_t index)
{
    struct curl_header *found;

    if (direct_head(c) != NULL)
        return reply_header(direct_head(c), name, index);
    if (curl_easy_header(c->easy, name, index, CURLH_HEADER, -1, &found) !=
        CURLHE_OK)
        return NULL;
    return found->value;
}

const char *http_target(const struct http_call *c)
{
    char *url = NULL;

    if (c->status < 300 || c->status > 399 || direct_head(c) != NULL)
        return NULL;
    curl_easy_getinfo(c->easy, CURLINFO_REDIRECT_URL, &url);
    return url;
}

uint64_t http_requests(const struct http *h)
{
    return h != NULL ? h->requests : 0;
}
