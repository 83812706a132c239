/* What libcurl is told of a request, and asks for while it is sent. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/http_internal.h"
#include "net/proxy.h"
#include "net/tls.h"

enum {
    BUFFER_BYTES = 64 * 1024, /* what a kill may cost besides: intake.h */
    UPLOAD_BYTES = 256 * 1024,
    STALL_BYTES_PER_S = 64
};

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
    const struct http *h = arg;

    (void)easy;
    tls_read_ahead(context);
    if (h->roots != NULL)
        tls_trust(context, h->roots);
    return CURLE_OK;
}

static bool add_header(struct http_call *c, const char *line)
{
    struct curl_slist *l = curl_slist_append(c->lines, line);

    if (l != NULL)
        c->lines = l;
    return l != NULL;
}

void http_forget_lines(struct http_call *c)
{
    for (struct curl_slist *l = c->lines; l != NULL; l = l->next)
        explicit_bzero(l->data, strlen(l->data));
    curl_slist_free_all(c->lines);
    c->lines = NULL;
}

static bool add_token(struct http_call *c)
{
    size_t len = c->token != NULL ? strlen(c->token) : 0;
    char *line;
    bool good;

    if (len == 0)
        return true;
    line = malloc(len + 32);
    if (line == NULL)
        return false;
    snprintf(line, len + 32, "Authorization: Bearer %s", c->token);
    good = add_header(c, line);
    explicit_bzero(line, len + 32);
    free(line);
    return good;
}

static bool set_headers(struct http_call *c)
{
    http_forget_lines(c);
    /* Set by hand: CURLOPT_ACCEPT_ENCODING would also decode. */
    if (!add_header(c, "Accept-Encoding: identity") || !add_token(c))
        return false;
    for (const char *const *l = c->extra; l != NULL && *l != NULL; l++)
        if (!add_header(c, *l))
            return false;
    /* A proxy must not see what is meant for the Hub. */
    curl_easy_setopt(c->easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->lines);
    return true;
}

/* ---- what is sent ---- */

static size_t on_read(char *room, size_t size, size_t n, void *arg)
{
    struct http_call *c = arg;
    const struct http_upload *u = c->upload;
    size_t len = size_min(size * n, u->len - c->sent);

    if (len > 0 && u->read(u->arg, c->sent, room, len) != 0) {
        c->unread = true;
        return CURL_READFUNC_ABORT;
    }
    c->sent += len;
    return len;
}

/* An old connection was closed before it was asked: once more. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct http_call *c = arg;

    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > c->upload->len)
        return CURL_SEEKFUNC_FAIL;
    c->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static void set_upload(struct http_call *c)
{
    curl_easy_setopt(c->easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(c->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BYTES);
    curl_easy_setopt(
        c->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->upload->len);
    curl_easy_setopt(c->easy, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(c->easy, CURLOPT_READDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(c->easy, CURLOPT_SEEKDATA, c);
}

static void set_method(struct http_call *c)
{
    if (c->upload != NULL)
        set_upload(c);
    if (c->method == NULL)
        return;
    if (strcmp(c->method, "HEAD") == 0)
        curl_easy_setopt(c->easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, c->method);
}

/*
 * libcurl would read the certificates for each connection: 25 ms of work. Those
 * that cannot be read are left to it: it says so.
 */
static void set_trust(struct http *h, CURL *easy)
{
    if (h->ahead && !h->roots_read)
        h->roots = tls_roots(h->ca_file, h->ca_dir);
    h->roots_read = true;
    if (h->ahead) {
        curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context);
        curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, h);
    }
    curl_easy_setopt(easy, CURLOPT_CAINFO,
        h->roots == NULL && h->ca_file[0] != '\0' ? h->ca_file : NULL);
    curl_easy_setopt(easy, CURLOPT_CAPATH,
        h->roots == NULL && h->ca_dir[0] != '\0' ? h->ca_dir : NULL);
}

void http_set(struct http *h, void *easy, const char *url)
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
    if (strncasecmp(url, "https:", 6) == 0)
        set_trust(h, easy);
}

bool http_set_request(struct http_call *c)
{
    const char *proxy = proxy_missed(c->url);
    char range[64];

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
    curl_easy_setopt(c->easy, CURLOPT_PATH_AS_IS, (long)c->as_is);
    curl_easy_setopt(c->easy, CURLOPT_TIMEOUT_MS, (long)c->limit_ms);
    set_method(c);
    if (proxy != NULL)
        curl_easy_setopt(c->easy, CURLOPT_PROXY, proxy);
    return set_headers(c) &&
           curl_easy_setopt(c->easy, CURLOPT_URL, c->url) == CURLE_OK;
}
