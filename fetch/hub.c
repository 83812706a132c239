#include "fetch/hub.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/log.h"
#include "fetch/hub_error.h"
#include "fetch/treepage.h"
#include "net/retry.h"
#include "net/url.h"

enum {
    CONNECT_S = 10,
    STALL_S = 20,
    CONNECTIONS = 32, /* kept open, when the user names no number */
    STALL_MAX_S = 3600,
    ANSWER_S = 600,
    LISTING_ANSWERS = 20, /* so many times as long, all its pages */
    HOPS_MAX = 10,
    PAGES_MAX = 10000,
    /* A host that never answered is not called for a whole minute. */
    UNREACHED_S = 8,
    BODY_MAX = 64 << 20,
    /* Parsed, a value takes far more room than its text. */
    VALUES_MAX = 4 << 20
};

static const char *const api_names[] = { "models", "datasets", "spaces" };
static const char *const url_prefixes[] = { "", "datasets/", "spaces/" };

int hub_init(
    struct hub *h, unsigned connections, uint64_t retry_s, struct err *e)
{
    const char *endpoint = env_get("HF_ENDPOINT");

    if (endpoint == NULL)
        endpoint = "https://huggingface.co";
    return hub_init_at(h, endpoint, connections, retry_s, e);
}

int hub_init_at(struct hub *h, const char *endpoint, unsigned connections,
    uint64_t retry_s, struct err *e)
{
    *h = (struct hub){ .connections = connections, .retry_s = retry_s };
    return url_endpoint(h->endpoint, sizeof(h->endpoint), endpoint, e);
}

void hub_free(struct hub *h)
{
    http_close(h->http);
    h->http = NULL;
    explicit_bzero(h->token.value, sizeof(h->token.value));
}

/* Seconds from the environment, as the official client reads them. */
static unsigned env_seconds(const char *name, unsigned otherwise)
{
    const char *v = env_get(name);
    unsigned long n = v != NULL ? strtoul(v, NULL, 10) : 0;

    return n > 0 && n <= STALL_MAX_S ? (unsigned)n : otherwise;
}

/* Who gives up soon must find out sooner, and have time to try again. */
static unsigned at_most_half(unsigned seconds, uint64_t retry_s)
{
    uint64_t half = size_max(retry_s / 2, 1);

    return retry_s > 0 && half < seconds ? (unsigned)half : seconds;
}

struct http *hub_http(struct hub *h, struct err *e)
{
    if (!h->token_known && token_find(&h->token, e) != 0)
        return NULL;
    h->token_known = true;
    if (h->http == NULL) {
        unsigned stall = env_seconds("HF_HUB_DOWNLOAD_TIMEOUT", STALL_S);
        struct http_opts opts = { .connect_s =
                                      at_most_half(CONNECT_S, h->retry_s),
            .stall_s = at_most_half(stall, h->retry_s),
            .connections =
                (h->connections > 0 ? h->connections : CONNECTIONS) + 2 };
        h->http = http_open(&opts, e);
    }
    return h->http;
}

int hub_refused(struct hub *h, const struct hub_answer *a,
    const struct hub_question *q, struct err *e)
{
    struct hub_refusal *r = &h->refusal;

    *r = (struct hub_refusal){ .status = a->status, .wait_s = a->wait_s };
    snprintf(r->code, sizeof(r->code), "%s", a->code != NULL ? a->code : "");
    snprintf(r->message, sizeof(r->message), "%s",
        a->message != NULL ? a->message : "");
    return hub_error(a, q, e);
}

uint64_t hub_requests(const struct hub *h)
{
    return http_requests(h->http);
}

const char *hub_token(const struct hub *h, const char *url)
{
    return url_same_origin(h->endpoint, url) ? h->token.value : NULL;
}

/* Was this topic shown already? If not, it counts as shown from now on. */
static bool warned(struct hub *h, struct str topic)
{
    size_t n = strlen(h->warned);

    for (const char *p = h->warned; *p != '\0'; p = strchr(p, '\n') + 1)
        if (str_eq((struct str){ p, strcspn(p, "\n") }, topic))
            return true;
    /* A server that has more to say than this is not listened to. */
    if (n + topic.len + 2 > sizeof(h->warned))
        return true;
    memcpy(h->warned + n, topic.p, topic.len);
    memcpy(h->warned + n + topic.len, "\n", 2);
    return false;
}

void hub_warnings(struct hub *h, const struct http_call *c)
{
    char host[URL_SHOW_MAX];
    const char *text;

    if (!url_same_origin(h->endpoint, c->url))
        return;
    for (size_t i = 0; (text = http_header_at(c, "X-HF-Warning", i)) != NULL;
         i++) {
        size_t n = strcspn(text, ";");
        const char *rest = text[n] == ';' ? text + n + 1 : text;

        rest += strspn(rest, " ");
        if (*rest != '\0' && !warned(h, (struct str){ text, n }))
            log_warn("%s says: %.400s", url_host(host, h->endpoint), rest);
    }
}

/* One question to the API, over all its hops and attempts. */
struct ask {
    struct hub *hub;
    struct hub_question question;
    struct http_call call;
    struct buf body;
    size_t values; /* in the body, at most */
    char *moved;   /* where a redirect leads */
    struct retry retry;
    unsigned attempts;
    bool reached;
};

static void ask_free(struct ask *a)
{
    http_call_free(&a->call);
    buf_free(&a->body);
    free(a->moved);
    a->moved = NULL;
}

static int keep_body(void *arg, const void *bytes, size_t len)
{
    struct ask *a = arg;
    const char *p = bytes;

    for (size_t i = 0; i < len; i++)
        a->values += p[i] == ',' || p[i] == '[' || p[i] == '{';
    buf_put(&a->body, bytes, len);
    return a->body.bad != ERR_NONE || a->values > VALUES_MAX;
}

/* keep_body had enough. */
static int too_large(const struct ask *a, struct err *e)
{
    char shown[URL_SHOW_MAX];

    if (a->body.bad == ERR_NOMEM)
        return buf_check(&a->body, e);
    err_set(e, ERR_REFUSED, "%s: the answer is too large to be true",
        url_show(shown, a->call.url));
    return err_hint(e, "check HF_ENDPOINT");
}

static int wait_ms(uint64_t ms, struct err *e)
{
    uint64_t end = clock_ms() + ms;

    while (clock_ms() < end) {
        struct timespec t = { .tv_nsec = 50 * 1000000 };

        if (cancel_check(e) != 0)
            return -1;
        nanosleep(&t, NULL);
    }
    return 0;
}

static int unreached(const struct ask *a, struct err *e)
{
    char host[URL_SHOW_MAX];

    url_host(host, a->call.url);
    err_set(e, ERR_NET, "%s: %s", host, a->call.why);
    return err_hint(e, "%s", http_advice(&a->call));
}

/* A 200 that cannot be the API's says so in its headers. */
static int check_answer(const struct ask *a, struct err *e)
{
    const char *unfit = http_unfit(&a->call, false);
    char host[URL_SHOW_MAX];

    if (unfit == NULL)
        return 0;
    err_set(e, ERR_NET, "%s %s", url_host(host, a->call.url), unfit);
    return err_hint(e, "check the connection in a browser, HF_ENDPOINT and the "
                       "proxy");
}

static uint64_t named_wait(const struct http_call *c)
{
    return retry_named_s(
        c->status, http_header(c, "RateLimit"), http_header(c, "Retry-After"));
}

/* Only the token itself was asked about. */
static int refused_token(const struct ask *a, struct err *e)
{
    char host[URL_SHOW_MAX];
    const struct token *t = a->question.token;

    url_host(host, a->question.endpoint);
    if (a->call.status != 401 && a->call.status != 403)
        return err_set(e, a->call.status == 404 ? ERR_MISSING : ERR_NET,
            "%s answered %ld to the question whose token this is", host,
            a->call.status);
    err_set(e, ERR_AUTH, "%s does not accept the token from %.150s", host,
        t->source);
    return err_hint(e,
        "it may be revoked or mistyped: make a new one at "
        "%.150s/settings/tokens",
        a->question.endpoint);
}

static int refused(struct ask *a, struct err *e)
{
    struct hub_answer answer = { .status = a->call.status,
        .code = http_header(&a->call, "X-Error-Code"),
        .message = http_header(&a->call, "X-Error-Message"),
        .body = buf_str(&a->body),
        .wait_s = named_wait(&a->call) };

    if (a->question.repo == NULL)
        return refused_token(a, e);
    return hub_refused(a->hub, &answer, &a->question, e);
}

static int give_up(struct ask *a, struct err *e)
{
    return a->call.end == HTTP_ANSWERED ? refused(a, e) : unreached(a, e);
}

/* After a failure that may pass: wait, or say that it is over. */
static int again(struct ask *a, struct err *e)
{
    uint64_t named = a->call.end == HTTP_ANSWERED ? named_wait(&a->call) : 0;
    uint64_t ms = named > 0 ? named * 1000
                            : retry_backoff_ms(++a->attempts, retry_dice());
    char host[URL_SHOW_MAX];

    if ((a->call.end == HTTP_UNREACHED || a->call.end == HTTP_BROKEN) &&
        !a->reached)
        a->retry.limit_ms = size_min(a->retry.limit_ms, UNREACHED_S * 1000);
    if (a->call.end == HTTP_UNTRUSTED || a->hub->once ||
        !retry_allowed(&a->retry, clock_ms(), &ms, named > 0))
        return give_up(a, e);
    url_host(host, a->call.url);
    if (named > 0)
        log_warn("%s asks to wait (%ld): going on in %llu s", host,
            a->call.status, (unsigned long long)named);
    else if (a->call.end == HTTP_ANSWERED)
        log_info("%s answered %ld; trying again", host, a->call.status);
    else
        log_info("%s: %s; trying again", host, a->call.why);
    return wait_ms(ms, e);
}

/* "/api/models/ORG/NAME/" is in the path. */
static bool is_same_repo(const struct ask *a, const char *target)
{
    const struct repo *r = a->question.repo;
    char path[sizeof(r->id) + 32];
    const char *found;

    if (r == NULL)
        return true;
    snprintf(path, sizeof(path), "/api/%s/%s/", api_names[r->type], r->id);
    found = strstr(target, path);
    return found != NULL && found < target + strcspn(target, "?");
}

/* Follow a redirect on the same origin; refuse any other. */
static int follow(struct ask *a, unsigned *hops, struct err *e)
{
    char from[URL_SHOW_MAX], to[URL_SHOW_MAX];
    const char *target = http_target(&a->call);
    char *copy;

    url_show(from, a->call.url);
    if (target == NULL || ++*hops > HOPS_MAX)
        return err_set(e, ERR_NET, "%s: redirected %s", from,
            target == NULL ? "to nowhere" : "in a circle");
    if (!url_same_origin(a->hub->endpoint, target)) {
        err_set(e, ERR_NET, "%s redirects to another server, %s", from,
            url_show(to, target));
        return err_hint(e, "set HF_ENDPOINT to the server that is meant");
    }
    if (a->hub->same_repo && !is_same_repo(a, target)) {
        a->hub->refusal.moved = true;
        return err_set(e, ERR_REFUSED, "%s has another name by now: %s",
            a->question.repo->id, url_show(to, target));
    }
    copy = strdup(target);
    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    free(a->moved);
    a->moved = copy;
    a->call.url = copy;
    return 0;
}

static uint64_t answer_ms(const struct hub *h)
{
    return (h->answer_s > 0 ? h->answer_s : ANSWER_S) * 1000;
}

/*
 * GET url until it is answered with 200. The body and the headers of the
 * last call are the answer.
 */
static int ask_get(struct ask *a, const char *url, struct err *e)
{
    struct http *http = hub_http(a->hub, e);
    unsigned hops = 0;

    if (http == NULL)
        return -1;
    a->call.url = url;
    a->call.body = keep_body;
    a->call.arg = a;
    a->call.extra = a->hub->lines;
    a->call.limit_ms = answer_ms(a->hub);
    a->retry = retry_begin(a->hub->retry_s, clock_ms());
    a->hub->refusal = (struct hub_refusal){ .status = 0 };
    for (;;) {
        buf_clear(&a->body);
        a->values = 0;
        a->call.token = hub_token(a->hub, a->call.url);
        if (http_run(http, &a->call, e) != 0)
            return -1;
        a->reached = a->reached || a->call.status != 0;
        a->hub->refusal.answered = a->reached;
        if (a->call.end == HTTP_ANSWERED)
            hub_warnings(a->hub, &a->call);
        if (a->call.end == HTTP_STOPPED)
            return too_large(a, e);
        if (a->call.end != HTTP_ANSWERED || retry_status(a->call.status)) {
            if (again(a, e) != 0)
                return -1;
        } else if (a->call.status >= 300 && a->call.status <= 399) {
            if (follow(a, &hops, e) != 0)
                return -1;
        } else if (a->call.status == 200) {
            return check_answer(a, e);
        } else {
            return refused(a, e);
        }
    }
}

static struct ask ask_begin(struct hub *h, const struct repo *r)
{
    return (struct ask){ .hub = h,
        .question = { .endpoint = h->endpoint, .repo = r, .token = &h->token },
        .call = HTTP_CALL_INIT,
        .body = BUF_INIT(BODY_MAX) };
}

/* The answer to url as a JSON object; shown is its name for messages. */
static int ask_json(struct ask *a, const char *url, struct json_doc *doc,
    char shown[URL_SHOW_MAX], struct err *e)
{
    url_show(shown, url);
    if (ask_get(a, url, e) != 0)
        return -1;
    if (json_parse(doc, buf_str(&a->body), 0, e) == 0)
        return 0;
    err_ctx(e, "%s does not answer like a Hub", shown);
    return err_hint(e, "check HF_ENDPOINT");
}

/* A text member, cut to fit between characters; none: left alone. */
static void copy_text(const struct json *v, char *out, size_t len)
{
    const char *text;
    size_t n;

    if (!json_str(v, &text))
        return;
    n = size_min(strlen(text), len - 1);
    while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
        n--;
    memcpy(out, text, n);
    out[n] = '\0';
}

int hub_revision(struct hub *h, const struct repo *r, struct hub_revision *out,
    struct err *e)
{
    struct ask a AUTO(ask_free) = ask_begin(h, r);
    struct buf url AUTO(buf_free) = BUF_INIT(URL_MAX);
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    char shown[URL_SHOW_MAX];
    const char *sha = NULL;

    *out = (struct hub_revision){ .private = false };
    buf_printf(
        &url, "%s/api/%s/%s/revision/", h->endpoint, api_names[r->type], r->id);
    url_encode(&url, str_of(r->revision), false);
    if (buf_check(&url, e) != 0 || ask_json(&a, url.p, &doc, shown, e) != 0)
        return -1;
    if (!json_str(json_get(doc.root, "sha"), &sha) ||
        !hex_is(str_of(sha), 40)) {
        err_set(e, ERR_REFUSED, "%s names no commit", shown);
        return err_hint(e, "check HF_ENDPOINT");
    }
    memcpy(out->commit, sha, 41);
    copy_text(json_get(doc.root, "lastModified"), out->modified,
        sizeof(out->modified));
    copy_text(json_get(doc.root, "gated"), out->gated, sizeof(out->gated));
    json_bool(json_get(doc.root, "private"), &out->private);
    return 0;
}

int hub_json(struct hub *h, const struct repo *r, const char *what,
    struct json_doc *doc, struct err *e)
{
    struct ask a AUTO(ask_free) = ask_begin(h, r);
    struct buf url AUTO(buf_free) = BUF_INIT(URL_MAX);
    char shown[URL_SHOW_MAX];

    buf_printf(
        &url, "%s/api/%s/%s/%s", h->endpoint, api_names[r->type], r->id, what);
    return buf_check(&url, e) != 0 ? -1 : ask_json(&a, url.p, doc, shown, e);
}

int hub_whoami(struct hub *h, struct hub_user *out, struct err *e)
{
    struct ask a AUTO(ask_free) = ask_begin(h, NULL);
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    char url[sizeof(h->endpoint) + 32], shown[URL_SHOW_MAX];
    const struct json *token;

    *out = (struct hub_user){ .name = "" };
    if (hub_http(h, e) == NULL)
        return -1;
    if (h->token.value[0] == '\0') {
        err_set(e, ERR_AUTH, "no token was found: you are nobody");
        return err_hint(e, "mlfetch login, or set HF_TOKEN");
    }
    snprintf(url, sizeof(url), "%s/api/whoami-v2", h->endpoint);
    if (ask_json(&a, url, &doc, shown, e) != 0)
        return -1;
    copy_text(json_get(doc.root, "name"), out->name, sizeof(out->name));
    copy_text(json_get(doc.root, "type"), out->type, sizeof(out->type));
    token = json_get(json_get(doc.root, "auth"), "accessToken");
    copy_text(json_get(token, "displayName"), out->token_name,
        sizeof(out->token_name));
    copy_text(json_get(token, "role"), out->role, sizeof(out->role));
    if (out->name[0] != '\0')
        return 0;
    err_set(e, ERR_REFUSED, "%s names no user", shown);
    return err_hint(e, "check HF_ENDPOINT");
}

/* The URL of the next page into url; false with nothing in *e at the end. */
static bool next_page(const struct ask *a, struct buf *url, struct err *e)
{
    const char *link = http_header(&a->call, "Link");
    char shown[URL_SHOW_MAX];
    char *next = malloc(URL_MAX);

    if (next == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return false;
    }
    if (link == NULL || !treepage_next(link, next)) {
        free(next);
        return false;
    }
    buf_clear(url);
    if (next[0] == '/' && next[1] != '/')
        buf_puts(url, a->hub->endpoint);
    buf_puts(url, next);
    free(next);
    if (!url_same_origin(a->hub->endpoint, url->p))
        err_set(e, ERR_REFUSED,
            "the listing goes on at another server, %s: not followed",
            url_host(shown, url->p));
    return e->kind == ERR_NONE && buf_check(url, e) == 0;
}

/*
 * A page that was there before never ends. One URL is kept, and a later one
 * every time the pages have doubled: any circle meets it in the end.
 */
static int check_circle(struct buf *mark, const struct buf *url, unsigned pages,
    const struct repo *r, struct err *e)
{
    if (strcmp(mark->p, url->p) == 0)
        return err_set(
            e, ERR_REFUSED, "the listing of %s goes in a circle", r->id);
    if ((pages & (pages - 1)) != 0)
        return 0;
    buf_clear(mark);
    buf_puts(mark, url->p);
    return buf_check(mark, e);
}

int hub_tree(struct hub *h, const struct repo *r, const char *commit,
    struct arena *arena, struct tree *out, struct err *e)
{
    struct listing list AUTO(listing_free) = LISTING_INIT;
    struct buf url AUTO(buf_free) = BUF_INIT(URL_MAX);
    struct buf mark AUTO(buf_free) = BUF_INIT(URL_MAX);
    char host[URL_SHOW_MAX];
    uint64_t end = clock_ms() + LISTING_ANSWERS * answer_ms(h);
    unsigned pages = 0;
    bool more = true;

    buf_printf(&url, "%s/api/%s/%s/tree/%s?recursive=true&expand=false",
        h->endpoint, api_names[r->type], r->id, commit);
    if (buf_check(&url, e) != 0)
        return -1;
    while (more) {
        struct ask a AUTO(ask_free) = ask_begin(h, r);

        if (++pages > PAGES_MAX || clock_ms() > end)
            return err_set(
                e, ERR_REFUSED, "the listing of %s does not end", r->id);
        if (ask_get(&a, url.p, e) != 0)
            return -1;
        if (treepage_read(&list, buf_str(&a.body), arena, e) != 0) {
            url_host(host, url.p);
            return err_ctx(e, "%s: the listing of %s", host, r->id);
        }
        more = next_page(&a, &url, e);
        if (e->kind != ERR_NONE ||
            (more && check_circle(&mark, &url, pages, r, e) != 0))
            return -1;
    }
    if (listing_end(&list, arena, out, e) != 0)
        return err_ctx(e, "the listing of %s", r->id);
    return 0;
}

void hub_resolve(const struct hub *h, const struct repo *r, const char *commit,
    struct str path, struct buf *out)
{
    buf_printf(out, "%s/%s%s/resolve/%s/", h->endpoint, url_prefixes[r->type],
        r->id, commit);
    url_encode(out, path, true);
}

bool hub_etag(const char *header, struct digest *out)
{
    struct str s = str_of(header);

    if (str_starts(s, "W/")) {
        s.p += 2;
        s.len -= 2;
    }
    if (s.len >= 2 && s.p[0] == '"' && s.p[s.len - 1] == '"') {
        s.p++;
        s.len -= 2;
    }
    return digest_parse(out, s);
}
