/* One question, asked until there is an answer that will stay so. */
#include <stdio.h>
#include <time.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "net/url.h"
#include "s3/client_internal.h"
#include "s3/refusal.h"
#include "s3/stamp.h"

enum {
    SLICE_MS = 100,
    SKEW_S = 240, /* so far apart two clocks are when one is wrong */
    HASH_CHUNK = 256 << 10,
    ENOUGH_BYTES = 16 << 20, /* in the time for an answer */
    HOST_MAX = 512,
    PATH_BYTES_MAX = 4096
};

/* What was done about earlier answers to this question. */
struct tries {
    unsigned attempts; /* since the last new byte */
    uint64_t end_ms;   /* of all tries; 0: none */
    uint64_t got;      /* bytes that had come when it was set */
    bool region;
    bool clock;
    bool digest;
    bool probed;
};

enum verdict { STAYS, AGAIN, AT_ONCE, FAILED };

void ask_query(struct s3_ask *a, const char *name, const char *value)
{
    if (a->n_query < ASK_PAIRS_MAX)
        a->query[a->n_query++] =
            (struct sigv4_pair){ str_of(name), str_of(value) };
}

void ask_header(struct s3_ask *a, const char *name, const char *value)
{
    if (a->n_headers < ASK_PAIRS_MAX)
        a->headers[a->n_headers++] =
            (struct sigv4_pair){ str_of(name), str_of(value) };
}

bool s3_good(const struct s3 *s)
{
    return s->status >= 200 && s->status <= 299 && s->said.code[0] == '\0';
}

bool s3_code(const struct s3 *s, const char *code)
{
    return strcmp(s->said.code, code) == 0;
}

struct buf s3_take_answer(struct s3 *s)
{
    struct buf taken = s->answer;

    s->answer = (struct buf)BUF_INIT(ASK_WORDS_MAX);
    return taken;
}

bool s3_late(const struct s3 *s)
{
    return s->call.end == HTTP_STALLED ||
           (s->call.end == HTTP_ANSWERED && s->status == 504);
}

static void show(const struct s3 *s, const char *key, struct buf *out)
{
    buf_printf(out, "s3://%s", s->bucket);
    if (key != NULL)
        buf_printf(out, "/%.160s%s", key, strlen(key) > 160 ? "..." : "");
}

int s3_named(const struct s3 *s, const char *key, struct err *e)
{
    struct buf what AUTO(buf_free) = BUF_INIT(512);

    show(s, key, &what);
    return err_ctx(e, "%s", what.p);
}

int s3_refused(const struct s3 *s, const struct s3_ask *a, struct err *e)
{
    struct buf what AUTO(buf_free) = BUF_INIT(512);
    struct refusal r = { .endpoint = s->endpoint,
        .region = s->region,
        .site = s->site,
        .status = s->status,
        .said = &s->said,
        .clock_told = s->skew_known,
        .writes =
            strcmp(a->method, "GET") != 0 && strcmp(a->method, "HEAD") != 0 };

    show(s, a->key, &what);
    r.what = what.p;
    return refusal_err(&r, e);
}

/* ---- what is sent ---- */

static int read_body(void *arg, uint64_t at, void *room, size_t len)
{
    struct s3 *s = arg;
    struct s3_sending *g = &s->sending;
    const struct s3_body *b = g->body;

    if (at != g->at && b->sent != NULL)
        b->sent(b->arg, (int64_t)at - (int64_t)g->at);
    if (b->bytes != NULL)
        memcpy(room, (const char *)b->bytes + at, len);
    else if (file_read_at(b->fd, room, len, b->offset + at,
                 "the file to be sent", &s->inner) != 0)
        return -1;
    g->at = at + len;
    g->best = size_max(g->best, g->at);
    if (b->sent != NULL)
        b->sent(b->arg, (int64_t)len);
    return 0;
}

static int digest_of(const struct s3_body *b, struct digest *out, struct err *e)
{
    struct hash h AUTO(hash_free) = HASH_INIT;
    struct buf room AUTO(buf_free) = BUF_INIT(HASH_CHUNK);
    uint64_t at = 0;

    if (b->bytes != NULL || b->len == 0)
        return hash_bytes(HASH_SHA256, b->bytes, b->len, out, e);
    if (buf_room(&room, HASH_CHUNK) == NULL)
        return buf_check(&room, e);
    if (hash_begin(&h, HASH_SHA256, b->len, e) != 0)
        return -1;
    while (at < b->len) {
        size_t n = size_min(HASH_CHUNK, b->len - at);

        if (cancel_check(e) != 0 ||
            file_read_at(b->fd, room.p, n, b->offset + at,
                "the file to be sent", e) != 0)
            return -1;
        hash_add(&h, room.p, n);
        at += n;
    }
    hash_end(&h, out);
    return 0;
}

/* The SHA-256 of the body, in hex. */
static int payload_of(const struct s3_ask *a, struct digest *out, struct err *e)
{
    static const struct digest empty = { HASH_SHA256, SIGV4_EMPTY };

    if (a->body == NULL)
        *out = empty;
    else if (a->body->sha256 != NULL)
        *out = *a->body->sha256;
    else
        return digest_of(a->body, out, e);
    return 0;
}

/* Is the bucket in the host's name? No certificate is for two names there. */
static bool in_host(const struct s3 *s, const struct url *u)
{
    return s->site->virtual_host && !(u->tls && strchr(s->bucket, '.') != NULL);
}

static void put_host(const struct s3 *s, const struct url *u, struct buf *out)
{
    if (in_host(s, u))
        buf_printf(out, "%s.", s->bucket);
    buf_puts(out, u->host);
    if (u->port != (u->tls ? 443 : 80))
        buf_printf(out, ":%u", u->port);
}

static void put_path(
    const struct s3 *s, const struct url *u, const char *key, struct buf *out)
{
    buf_puts(out, u->rest);
    if (!in_host(s, u))
        buf_printf(out, "/%s", s->bucket);
    if (key != NULL || in_host(s, u))
        buf_putc(out, '/');
    if (key != NULL)
        buf_puts(out, key);
}

/* A key's URL as far as its path, which is not encoded yet. */
static int place(const struct s3 *s, const char *key, struct url *u,
    struct buf *host, struct buf *path, struct err *e)
{
    if (!url_parse(u, s->endpoint))
        return err_set(e, ERR_USAGE, "the endpoint is no web address");
    put_host(s, u, host);
    put_path(s, u, key, path);
    return buf_check(host, e) != 0 ? -1 : buf_check(path, e);
}

static int64_t store_time(const struct s3 *s)
{
    return (int64_t)time(NULL) + s->skew_s;
}

static int sign(
    struct s3 *s, const struct s3_ask *a, const char *payload, struct err *e)
{
    struct buf host AUTO(buf_free) = BUF_INIT(HOST_MAX);
    struct buf path AUTO(buf_free) = BUF_INIT(PATH_BYTES_MAX);
    const struct s3_cred *c = &s->site->cred;
    struct sigv4_keys keys = { c->key_id, c->secret, c->session, s->region };
    struct sigv4_request r = { .method = a->method,
        .query = a->query,
        .n_query = a->n_query,
        .headers = a->headers,
        .n_headers = a->n_headers,
        .payload = payload,
        .time_s = store_time(s) };
    struct url u;

    if (place(s, a->key, &u, &host, &path, e) != 0)
        return -1;
    r.host = host.p;
    r.path = buf_str(&path);
    if (sigv4_sign(&s->signed_, &r, c->key_id[0] != '\0' ? &keys : NULL, e) !=
        0)
        return -1;
    buf_clear(&s->url);
    buf_printf(&s->url, "%s://%s%s", u.tls ? "https" : "http", host.p,
        s->signed_.target.p);
    return buf_check(&s->url, e);
}

/* ---- one try ---- */

static int gather(void *arg, const void *bytes, size_t len)
{
    struct s3 *s = arg;

    buf_put(&s->answer, bytes, len);
    return s->answer.bad != ERR_NONE;
}

static void prepare(struct s3 *s, const struct s3_ask *a)
{
    struct http_call *c = &s->call;
    bool sends = a->body != NULL || a->empty_body;
    static const struct s3_body nothing = { .bytes = "" };

    s->sending.body = a->body != NULL ? a->body : &nothing;
    s->sending.upload = (struct http_upload){
        .len = s->sending.body->len, .read = read_body, .arg = s
    };
    buf_free(&s->answer);
    s->answer.limit = a->answer_max > 0 ? a->answer_max : ASK_WORDS_MAX;
    c->url = s->url.p;
    c->extra = s->signed_.line;
    c->as_is = true;
    c->method = strcmp(a->method, "GET") == 0 ? NULL : a->method;
    c->upload = sends ? &s->sending.upload : NULL;
    c->ranged = false;
    c->body = gather;
    c->room = NULL;
    c->arg = s;
    s->reading = a->reading;
    if (a->reading != NULL)
        reading_begin(s);
}

/* How long this try may take, at least a moment; 0: for ever. */
static uint64_t limit_ms(const struct http_call *c, const struct tries *t)
{
    uint64_t now = clock_ms();

    if (t->end_ms == 0 || c->room != NULL)
        return 0;
    return t->end_ms > now ? t->end_ms - now : 1;
}

static int try_once(struct s3 *s, struct s3_ask *a, const char *payload,
    struct tries *t, struct err *e)
{
    uint64_t best = s->sending.best;
    uint64_t got = a->reading != NULL ? a->reading->got : 0;

    if (sign(s, a, payload, e) != 0)
        return -1;
    prepare(s, a);
    s->call.limit_ms = limit_ms(&s->call, t);
    s->status = 0;
    s->said = (struct answer_error){ .code = "" };
    log_debug("s3: %s %.*s (%u)", a->method,
        (int)strcspn(s->signed_.target.p, "?"), s->signed_.target.p,
        t->attempts + 1);
    if (http_run(s->http, &s->call, e) != 0)
        return -1;
    if (s->sending.best > best ||
        (a->reading != NULL && a->reading->got > got)) {
        retry_good(&s->retry, clock_ms());
        t->attempts = 0;
    }
    s->status = s->call.status;
    return 0;
}

/* ---- what an answer teaches ---- */

static bool learn_region(struct s3 *s, struct tries *t)
{
    const char *hint = http_header(&s->call, "x-amz-bucket-region");

    if (hint == NULL || hint[0] == '\0')
        hint = s->said.region;
    if (t->region || !s3_is_region(str_of(hint)) ||
        strcmp(hint, s->region) == 0)
        return false;
    t->region = true;
    log_debug("s3: %s is in the region %s, not %s", s->bucket, hint, s->region);
    snprintf(s->region, sizeof(s->region), "%s", hint);
    if (s->site->amazon)
        s3_site_amazon(s->endpoint, s->region);
    return true;
}

static bool learn_clock(struct s3 *s, struct tries *t)
{
    const char *date = http_header(&s->call, "Date");
    int64_t now = (int64_t)time(NULL) + s->skew_s, theirs, apart;

    if (t->clock || date == NULL || !stamp_http(str_of(date), &theirs))
        return false;
    apart = theirs - now;
    if (apart > -SKEW_S && apart < SKEW_S)
        return false;
    t->clock = true;
    s->skew_s += apart;
    s->skew_known = true;
    log_debug("s3: the store's clock is %lld s ahead of this machine's",
        (long long)s->skew_s);
    return true;
}

/*
 * A HEAD is refused without a word. The same as a GET of one byte says why,
 * and learns on its way: then the HEAD may go.
 */
static enum verdict probe(struct s3 *s, struct s3_ask *a, struct err *e)
{
    struct s3_ask p = { .method = "GET", .key = a->key };

    if (a->key != NULL)
        ask_header(&p, "range", "bytes=0-0");
    else
        ask_query(&p, "max-keys", "1");
    if (s3_do(s, &p, e) != 0)
        return FAILED;
    /* An object of no bytes has no first one. */
    return s3_good(s) || s->status == 416 ? AT_ONCE : STAYS;
}

static bool passes(const struct s3 *s)
{
    static const char *const codes[] = { "RequestTimeout", "SlowDown",
        "InternalError", "ServiceUnavailable", "IncompleteBody",
        "ConditionalRequestConflict", "OperationAborted", "Throttling",
        "ThrottlingException", "RequestLimitExceeded" };

    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (s3_code(s, codes[i]))
            return true;
    return s->said.code[0] == '\0' || s->status >= 300 ? retry_status(s->status)
                                                       : false;
}

static enum verdict judge_refusal(
    struct s3 *s, struct s3_ask *a, struct tries *t, struct err *e)
{
    bool about_us = s->status == 400 || s->status == 403;
    bool about_place = about_us || s->status == 301 || s->status == 307;

    if ((about_us && learn_clock(s, t)) || (about_place && learn_region(s, t)))
        return AT_ONCE;
    if (about_place && strcmp(a->method, "HEAD") == 0 && !t->probed) {
        t->probed = true;
        return probe(s, a, e);
    }
    if (passes(s)) {
        a->unanswered = a->unanswered || s->status < 300 || s->status >= 500;
        return AGAIN;
    }
    if ((s3_code(s, "BadDigest") || s3_code(s, "XAmzContentSHA256Mismatch")) &&
        !t->digest) {
        t->digest = true;
        return AGAIN;
    }
    return STAYS;
}

static int unreached(const struct s3 *s, const struct s3_ask *a, struct err *e)
{
    char host[URL_SHOW_MAX];

    err_set(e, ERR_NET, "%s: %s", url_host(host, s->endpoint), s->call.why);
    s3_named(s, a->key, e);
    if (s->call.end == HTTP_UNTRUSTED)
        return err_hint(e, "name the file of trusted certificates in "
                           "SSL_CERT_FILE, and check the clock ('date -u')");
    return err_hint(e, "check the connection, AWS_ENDPOINT_URL and the proxy");
}

static enum verdict judge(
    struct s3 *s, struct s3_ask *a, struct tries *t, struct err *e)
{
    switch (s->call.end) {
    case HTTP_ANSWERED:
        break;
    case HTTP_STOPPED:
        if (s->inner.kind != ERR_NONE)
            *e = s->inner;
        else if (s->reading != NULL && s->reading->unsound != NULL)
            err_set(e, ERR_CORRUPT, "%s", s->reading->unsound);
        else
            err_set(e, ERR_REFUSED, "the answer is too long to be one");
        s3_named(s, a->key, e);
        return FAILED;
    case HTTP_UNTRUSTED:
        unreached(s, a, e);
        return FAILED;
    case HTTP_RUNNING:
    case HTTP_CUT:
    case HTTP_STALLED:
    case HTTP_BROKEN:
        a->unanswered = true;
        return AGAIN;
    case HTTP_UNREACHED:
        return AGAIN;
    }
    if (s->status >= 300 || a->doubtful)
        answer_is_error(buf_str(&s->answer), &s->said);
    return s3_good(s) ? STAYS : judge_refusal(s, a, t, e);
}

/* ---- again ---- */

static bool is_hurried(const struct s3 *s)
{
    return s->opts.hurry != NULL && atomic_load(s->opts.hurry);
}

static int rest(const struct s3 *s, uint64_t ms, struct err *e)
{
    while (ms > 0) {
        uint64_t slice = size_min(ms, SLICE_MS);
        struct timespec wait = { .tv_nsec = (long)slice * 1000000 };

        if (cancel_check(e) != 0)
            return -1;
        nanosleep(&wait, NULL);
        ms -= slice;
        if (is_hurried(s))
            ms = size_min(ms, S3_HURRY_S * 1000);
    }
    return cancel_check(e);
}

/* Is the time over? A long answer has more of it while enough of it comes. */
static bool is_late(const struct s3 *s, struct tries *t)
{
    uint64_t got = s->reading != NULL ? s->reading->got : 0;
    uint64_t now = clock_ms();

    if (t->end_ms == 0 || now < t->end_ms)
        return false;
    if (got - t->got < ENOUGH_BYTES)
        return true;
    t->got = got;
    t->end_ms = now + (uint64_t)s->opts.answer_s * 1000;
    return false;
}

/* 1: once more; 0: no more; -1: cancelled. */
static int wait_for_more(struct s3 *s, struct tries *t, struct err *e)
{
    bool answered = s->call.end == HTTP_ANSWERED;
    bool late = is_late(s, t);
    uint64_t named = !answered ? 0
                               : retry_named_s(s->status, NULL,
                                     http_header(&s->call, "Retry-After"));
    uint64_t ms =
        named > 0 ? named * 1000 : retry_jitter_ms(++t->attempts, retry_dice());
    bool hurried = t->end_ms != 0;

    s->named_s = named;
    if (is_hurried(s))
        s->retry.limit_ms = size_min(s->retry.limit_ms, S3_HURRY_S * 1000);
    if (late ||
        !retry_allowed(&s->retry, clock_ms(), &ms, named > 0 && !hurried))
        return 0;
    /* The wait was cut to the time there is: it would only say so again. */
    if (hurried && ms < named * 1000)
        return 0;
    log_debug("s3: %s%s; again in %llu ms",
        answered ? "the store says " : s->call.why,
        answered ? s->said.code : "", (unsigned long long)ms);
    return rest(s, ms, e) != 0 ? -1 : 1;
}

static int check_key(const struct s3 *s, const char *key, struct err *e)
{
    if (key == NULL || (key[0] != '\0' && strlen(key) <= S3_KEY_MAX))
        return 0;
    err_set(e, ERR_USAGE, "a key has 1 to %d bytes", S3_KEY_MAX);
    return s3_named(s, key, e);
}

int s3_do(struct s3 *s, struct s3_ask *a, struct err *e)
{
    uint64_t answer_ms = (uint64_t)s->opts.answer_s * 1000;
    struct tries t = { .end_ms = answer_ms > 0 ? clock_ms() + answer_ms : 0 };
    struct digest payload;

    s->retry = retry_begin(s->opts.retry_s, clock_ms());
    s->inner = (struct err)ERR_INIT;
    s->sending = (struct s3_sending){ .at = 0 };
    if (check_key(s, a->key, e) != 0 || payload_of(a, &payload, e) != 0)
        return -1;
    for (;;) {
        enum verdict v;
        int more;

        s->named_s = 0;
        if (try_once(s, a, payload.hex, &t, e) != 0)
            return -1;
        v = judge(s, a, &t, e);
        if (v == FAILED)
            return -1;
        if (v == STAYS) {
            s->bucket_seen = s->bucket_seen || s3_good(s);
            return 0;
        }
        if (v == AT_ONCE)
            continue;
        more = a->divisible && s3_late(s) ? 0 : wait_for_more(s, &t, e);
        if (more < 0)
            return -1;
        if (more == 0)
            return s->call.end == HTTP_ANSWERED ? 0 : unreached(s, a, e);
    }
}

int s3_finish(struct s3 *s, struct s3_ask *a, struct err *e)
{
    if (s3_do(s, a, e) != 0)
        return -1;
    return s3_good(s) ? 0 : s3_refused(s, a, e);
}

int s3_url(struct s3 *s, const char *key, unsigned valid_s, struct buf *out,
    struct err *e)
{
    struct buf host AUTO(buf_free) = BUF_INIT(HOST_MAX);
    struct buf path AUTO(buf_free) = BUF_INIT(PATH_BYTES_MAX);
    const struct s3_cred *c = &s->site->cred;
    struct sigv4_keys keys = { c->key_id, c->secret, c->session, s->region };
    struct sigv4_request r = { .method = "GET", .time_s = store_time(s) };
    struct url u;

    if (check_key(s, key, e) != 0 || place(s, key, &u, &host, &path, e) != 0)
        return -1;
    r.host = host.p;
    r.path = buf_str(&path);
    buf_printf(out, "%s://%s", u.tls ? "https" : "http", host.p);
    if (c->key_id[0] != '\0')
        return sigv4_presign(out, &r, &keys, valid_s, e);
    url_encode(out, r.path, true);
    return buf_check(out, e);
}
