#include "fetch/http.h"

#include <curl/curl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/version.h"
#include "fetch/tls.h"
#include "fetch/waiter.h"

_Static_assert(sizeof(((struct http_call *)0)->why) >= CURL_ERROR_SIZE,
    "libcurl writes its message there");

enum { BUFFER_BYTES = 256 * 1024, STALL_BYTES_PER_S = 64 };

#define NEVER UINT64_MAX

struct http {
    CURLM *multi;
    struct waiter waiter;
    uint64_t due_ms; /* when libcurl wants to be called, or NEVER */
    bool ahead;      /* TLS may read ahead */
    bool more;       /* and has, so that no socket tells of it */
    struct http_call *running;
    struct http_opts opts;
    uint64_t requests;
    char agent[128];
    char ca_file[PATH_MAX]; /* "" when not set */
    char ca_dir[PATH_MAX];
};

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
    if (c != NULL)
        c->fd = fd;
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

/* TLS inside of TLS: nothing tells what the outer one has read ahead. */
static bool tls_proxy(void)
{
    static const char *const names[] = { "http_proxy", "https_proxy",
        "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *proxy = env_get(names[i]);

        if (proxy != NULL && strncasecmp(proxy, "https:", 6) == 0)
            return true;
    }
    return false;
}

struct http *http_open(const struct http_opts *opts, struct err *e)
{
    struct http *h = calloc(1, sizeof(*h));
    struct utsname u;

    if (h == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
        (h->multi = curl_multi_init()) == NULL) {
        free(h);
        err_set(e, ERR_NOMEM, "cannot start the HTTP library");
        return NULL;
    }
    h->due_ms = NEVER;
    h->ahead = tls_is_ours(curl_version_info(CURLVERSION_NOW)->ssl_version) &&
               !tls_proxy();
    h->waiter = (struct waiter)WAITER_INIT;
    if (waiter_open(&h->waiter, e) != 0) {
        http_close(h);
        return NULL;
    }
    be_told(h);
    h->opts = *opts;
    snprintf(h->agent, sizeof(h->agent), "mlfetch/%s; linux/%.60s", ML_VERSION,
        uname(&u) == 0 ? u.machine : "unknown");
    if (!env_path("SSL_CERT_FILE", h->ca_file))
        h->ca_file[0] = '\0';
    if (!env_path("SSL_CERT_DIR", h->ca_dir))
        h->ca_dir[0] = '\0';
    curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)opts->connections);
    return h;
}

void http_close(struct http *h)
{
    if (h == NULL)
        return;
    curl_multi_cleanup(h->multi);
    waiter_close(&h->waiter);
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

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct http_call *c = arg;

    int rc;

    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &c->status);
    rc = c->body != NULL ? c->body(c->arg, bytes, size * n) : 0;
    if (rc == HTTP_PAUSE)
        return CURL_WRITEFUNC_PAUSE;
    return rc == 0 ? size * n : 0; /* any other number stops curl */
}

static CURLcode on_context(CURL *easy, void *context, void *arg)
{
    (void)easy;
    (void)arg;
    tls_read_ahead(context);
    return CURLE_OK;
}

static bool add_header(struct http_call *c, const char *line)
{
    struct curl_slist *l = curl_slist_append(c->headers, line);

    if (l != NULL)
        c->headers = l;
    return l != NULL;
}

static bool set_headers(struct http_call *c)
{
    size_t len = c->token != NULL ? strlen(c->token) : 0;
    char *line;
    bool good;

    curl_slist_free_all(c->headers);
    c->headers = NULL;
    /* Set by hand: CURLOPT_ACCEPT_ENCODING would also decode. */
    if (!add_header(c, "Accept-Encoding: identity"))
        return false;
    if (len > 0) {
        line = malloc(len + 32);
        if (line == NULL)
            return false;
        snprintf(line, len + 32, "Authorization: Bearer %s", c->token);
        good = add_header(c, line);
        explicit_bzero(line, len + 32);
        free(line);
        if (!good)
            return false;
    }
    /* A proxy must not see what is meant for the Hub. */
    curl_easy_setopt(c->easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
    return true;
}

static void set_limits(const struct http *h, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* An interrupt must not wait for a name server. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, h->agent);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)h->opts.connect_s);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES_PER_S);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)h->opts.stall_s);
    if (h->ahead)
        curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context);
    if (h->ca_file[0] != '\0')
        curl_easy_setopt(easy, CURLOPT_CAINFO, h->ca_file);
    if (h->ca_dir[0] != '\0')
        curl_easy_setopt(easy, CURLOPT_CAPATH, h->ca_dir);
}

/*
 * curl reads http_proxy in lower case only, since a web server hands HTTP_PROXY
 * to CGI programs from whoever asks; REQUEST_METHOD is how those are known.
 */
static void set_proxy(struct http_call *c)
{
    const char *proxy = env_get("HTTP_PROXY");

    if (proxy != NULL && env_get("http_proxy") == NULL &&
        env_get("REQUEST_METHOD") == NULL &&
        strncasecmp(c->url, "http://", 7) == 0)
        curl_easy_setopt(c->easy, CURLOPT_PROXY, proxy);
}

static bool set_request(struct http_call *c)
{
    char range[64];

    c->why[0] = '\0';
    curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
    curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, c->why);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    if (c->ranged) {
        snprintf(range, sizeof(range), "%llu-%llu", (unsigned long long)c->from,
            (unsigned long long)c->to - 1);
        curl_easy_setopt(c->easy, CURLOPT_RANGE, range);
    }
    curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, (long)c->fresh);
    set_proxy(c);
    return set_headers(c) &&
           curl_easy_setopt(c->easy, CURLOPT_URL, c->url) == CURLE_OK;
}

int http_start(struct http *h, struct http_call *c, struct err *e)
{
    if (c->easy == NULL)
        c->easy = curl_easy_init();
    else
        curl_easy_reset(c->easy);
    if (c->easy == NULL)
        return err_set(e, ERR_NOMEM, "out of memory for a request");
    c->end = HTTP_RUNNING;
    c->status = 0;
    c->http = h;
    c->fd = -1;
    c->failed = CURLE_OK;
    set_limits(h, c->easy);
    if (!set_request(c) || curl_multi_add_handle(h->multi, c->easy) != 0) {
        c->end = HTTP_BROKEN;
        return err_set(e, ERR_NOMEM, "out of memory for a request");
    }
    h->requests++;
    c->next = h->running;
    h->running = c;
    return 0;
}

static enum http_end end_of(CURLcode code, const struct http_call *c)
{
    switch (code) {
    case CURLE_OK:
        return HTTP_ANSWERED;
    case CURLE_WRITE_ERROR:
        return HTTP_STOPPED;
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

/* libcurl's words that would mislead. */
static void reword(struct http_call *c, CURLcode code)
{
    long proxy = 0;

    curl_easy_getinfo(c->easy, CURLINFO_HTTP_CONNECTCODE, &proxy);
    if (code != CURLE_OK && proxy >= 400) {
        c->end = HTTP_UNREACHED;
        snprintf(c->why, sizeof(c->why), "the proxy refuses (%ld)%s", proxy,
            proxy == 407 ? ": it wants a user name and a password" : "");
    }
    /* A line of 100 kB is where it has no more room for one. */
    if (code == CURLE_OUT_OF_MEMORY)
        snprintf(
            c->why, sizeof(c->why), "a header is too large, or memory ran out");
}

static void finish(struct http *h, struct http_call *c, CURLcode code)
{
    double connected = 0;

    leave(c);
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &c->status);
    c->end = end_of(code, c);
    if (code == CURLE_OPERATION_TIMEDOUT) {
        /* A timeout behind the connect is a stall, whatever had come. */
        curl_easy_getinfo(c->easy, CURLINFO_PRETRANSFER_TIME, &connected);
        if (connected > 0)
            c->end = HTTP_STALLED;
    }
    if (c->end == HTTP_STALLED)
        snprintf(
            c->why, sizeof(c->why), "nothing came for %u s", h->opts.stall_s);
    else if (c->end != HTTP_ANSWERED && c->why[0] == '\0')
        snprintf(c->why, sizeof(c->why), "%s", curl_easy_strerror(code));
    else if (c->end == HTTP_ANSWERED)
        c->why[0] = '\0';
    reword(c, code);
    curl_multi_remove_handle(h->multi, c->easy);
    curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, NULL);
}

static struct http_call *next_done(struct http *h)
{
    int left;
    CURLMsg *m;
    char *private;

    for (struct http_call *c = h->running; c != NULL; c = c->next)
        if (c->failed != CURLE_OK) {
            finish(h, c, (CURLcode)c->failed);
            return c;
        }
    while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
        CURLcode code = m->data.result;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
        finish(h, (struct http_call *)(void *)private, code);
        return (struct http_call *)(void *)private;
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

/* Once around: who has more has it again next time, after the sockets. */
static void drain(struct http *h)
{
    h->more = false;
    for (struct http_call *c = h->running; c != NULL; c = c->next) {
        if (!buffered(c))
            continue;
        h->more = true;
        act(h, c->fd, CURL_CSELECT_IN);
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
        act(h, v[i].fd,
            (v[i].in ? CURL_CSELECT_IN : 0) |
                (v[i].out ? CURL_CSELECT_OUT : 0) |
                (v[i].broken ? CURL_CSELECT_ERR : 0));
    if (h->due_ms <= clock_ms()) {
        h->due_ms = NEVER;
        act(h, CURL_SOCKET_TIMEOUT, 0);
    }
    if (h->ahead)
        drain(h);
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
    if (c->end != HTTP_RUNNING || c->easy == NULL)
        return;
    leave(c);
    curl_multi_remove_handle(h->multi, c->easy);
    c->end = HTTP_STOPPED;
}

void http_resume(struct http_call *c)
{
    /* What the body function said meanwhile, libcurl forgets. */
    if (c->end == HTTP_RUNNING && c->easy != NULL)
        c->failed = (int)curl_easy_pause(c->easy, CURLPAUSE_CONT);
}

void http_wake(struct http *h)
{
    waiter_wake(&h->waiter);
}

uint64_t http_connect_us(const struct http_call *c)
{
    curl_off_t found = 0, connected = 0;

    if (c->end != HTTP_RUNNING || c->easy == NULL)
        return 0;
    curl_easy_getinfo(c->easy, CURLINFO_NAMELOOKUP_TIME_T, &found);
    curl_easy_getinfo(c->easy, CURLINFO_CONNECT_TIME_T, &connected);
    return connected > found ? (uint64_t)(connected - found) : 0;
}

void http_call_free(struct http_call *c)
{
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->headers);
    c->easy = NULL;
    c->headers = NULL;
}

const char *http_header_at(
    const struct http_call *c, const char *name, size_t index)
{
    struct curl_header *found;

    if (curl_easy_header(c->easy, name, index, CURLH_HEADER, -1, &found) !=
        CURLHE_OK)
        return NULL;
    return found->value;
}

const char *http_header(const struct http_call *c, const char *name)
{
    return http_header_at(c, name, 0);
}

const char *http_target(const struct http_call *c)
{
    char *url = NULL;

    if (c->status < 300 || c->status > 399)
        return NULL;
    curl_easy_getinfo(c->easy, CURLINFO_REDIRECT_URL, &url);
    return url;
}

const char *http_unfit(const struct http_call *c, bool page_ok)
{
    const char *coding = http_header(c, "Content-Encoding");
    const char *type = http_header(c, "Content-Type");

    if (!page_ok && type != NULL && strncasecmp(type, "text/html", 9) == 0)
        return "sent a web page, as the login page of a network does";
    if (coding != NULL && strcasecmp(coding, "identity") != 0)
        return "sent compressed bytes, unasked";
    return NULL;
}

const char *http_advice(const struct http_call *c)
{
    if (c->end != HTTP_UNTRUSTED)
        return "check the connection, HF_ENDPOINT and the proxy; --offline "
               "uses what is held";
    if (strstr(c->why, "expired") != NULL ||
        strstr(c->why, "not yet valid") != NULL)
        return "is this machine's clock right? see 'date -u'; if it is, the "
               "server's certificate is out of date";
    if (strstr(c->why, "match") != NULL)
        return "the certificate is another host's: check HF_ENDPOINT, the "
               "name server and the proxy";
    return "name the file of trusted certificates in SSL_CERT_FILE";
}

uint64_t http_requests(const struct http *h)
{
    return h != NULL ? h->requests : 0;
}
