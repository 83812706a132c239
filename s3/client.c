#include "s3/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "s3/client_internal.h"

enum { CONNECT_S = 15, STALL_S = 60, URL_BYTES_MAX = 24 << 10 };

static bool bucket_name(const char *name)
{
    size_t n = strlen(name);

    /* Old buckets have upper-case letters and underscores. */
    for (size_t i = 0; i < n; i++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                   "0123456789._-",
                name[i]) == NULL)
            return false;
    return n >= 3 && n <= 63 && name[0] != '.' && strstr(name, "..") == NULL;
}

static int set_up(struct s3 *s, struct err *e)
{
    unsigned half = s->opts.retry_s / 2 > 0 ? s->opts.retry_s / 2 : 1;
    unsigned most = s->opts.silent_s > 0 ? s->opts.silent_s : half;
    struct http_opts opts = {
        .connect_s = (unsigned)size_min(CONNECT_S, most),
        .stall_s = (unsigned)size_min(STALL_S, most),
        .connections = 1,
    };

    s->call = (struct http_call)HTTP_CALL_INIT;
    s->signed_ = (struct sigv4_signed)SIGV4_SIGNED_INIT;
    s->url = (struct buf)BUF_INIT(URL_BYTES_MAX);
    s->answer = (struct buf)BUF_INIT(ASK_WORDS_MAX);
    s->http = http_open(&opts, e);
    return s->http != NULL ? 0 : -1;
}

struct s3 *s3_open(const struct s3_site *site, const char *bucket,
    const struct s3_opts *opts, struct err *e)
{
    struct s3 *s;

    if (!bucket_name(bucket)) {
        err_set(e, ERR_USAGE, "%.80s is no bucket's name", bucket);
        err_hint(e, "3 to 63 lower-case letters, digits, dots and dashes");
        return NULL;
    }
    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        err_set(e, ERR_NOMEM, "out of memory for a store's client");
        return NULL;
    }
    s->site = site;
    if (opts != NULL)
        s->opts = *opts;
    if (s->opts.retry_s == 0)
        s->opts.retry_s = S3_RETRY_S;
    snprintf(s->bucket, sizeof(s->bucket), "%s", bucket);
    snprintf(s->region, sizeof(s->region), "%s", site->region);
    snprintf(s->endpoint, sizeof(s->endpoint), "%s", site->endpoint);
    if (set_up(s, e) != 0) {
        s3_close(s);
        return NULL;
    }
    return s;
}

struct s3 *s3_open_like(const struct s3 *s, struct err *e)
{
    struct s3 *n = s3_open(s->site, s->bucket, &s->opts, e);

    if (n == NULL)
        return NULL;
    memcpy(n->region, s->region, sizeof(n->region));
    memcpy(n->endpoint, s->endpoint, sizeof(n->endpoint));
    n->skew_s = s->skew_s;
    n->skew_known = s->skew_known;
    n->bucket_seen = s->bucket_seen;
    n->etag_quoted = s->etag_quoted;
    n->etag_known = s->etag_known;
    n->copies_late = s->copies_late;
    return n;
}

void s3_close(struct s3 *s)
{
    if (s == NULL)
        return;
    http_call_free(&s->call);
    http_close(s->http);
    sigv4_signed_free(&s->signed_);
    buf_free(&s->url);
    buf_free(&s->answer);
    free(s);
}

const char *s3_last_code(const struct s3 *s)
{
    return s->said.code;
}

long s3_last_status(const struct s3 *s)
{
    return s->status;
}

uint64_t s3_last_wait_s(const struct s3 *s)
{
    return s->named_s;
}

/* ---- the bucket ---- */

int s3_bucket_check(struct s3 *s, struct err *e)
{
    struct s3_ask a = { .method = "GET" };

    ask_query(&a, "list-type", "2");
    ask_query(&a, "max-keys", "1");
    return s3_finish(s, &a, e);
}

int s3_bucket_make(struct s3 *s, struct err *e)
{
    static const char form[] =
        "<CreateBucketConfiguration "
        "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        "<LocationConstraint>%s</LocationConstraint>"
        "</CreateBucketConfiguration>";
    struct buf text AUTO(buf_free) = BUF_INIT(512);
    struct s3_body b = { .bytes = "" };
    struct s3_ask a = { .method = "PUT", .body = &b };

    /* Amazon's first region has no name there. */
    if (s->site->amazon && strcmp(s->region, "us-east-1") != 0) {
        buf_printf(&text, form, s->region);
        b.bytes = text.p;
        b.len = text.len;
    }
    if (buf_check(&text, e) != 0 || s3_do(s, &a, e) != 0)
        return -1;
    if (s3_good(s) || s3_code(s, "BucketAlreadyOwnedByYou"))
        return 0;
    return s3_refused(s, &a, e);
}

/* ---- objects ---- */

int s3_head(struct s3 *s, const char *key, struct s3_info *out, struct err *e)
{
    struct s3_ask a = { .method = "HEAD", .key = key };

    *out = (struct s3_info){ .found = false };
    if (s3_do(s, &a, e) != 0)
        return -1;
    if (s->status == 404 && (s3_code(s, "NoSuchKey") || s->bucket_seen))
        return 0;
    /* It does not say what is missing. */
    if (s->status == 404)
        return s3_bucket_check(s, e);
    if (!s3_good(s))
        return s3_refused(s, &a, e);
    s3_info_of(&s->call, out);
    return 0;
}

/* An answer to a condition; STAYS when it is no such answer. */
static bool of_condition(
    const struct s3 *s, const struct s3_ask *a, enum s3_did *did)
{
    if (s3_good(s))
        *did = S3_DONE;
    else if (s->status == 412 || (s->status == 404 && s3_code(s, "NoSuchKey")))
        *did = a->unanswered ? S3_UNSURE : S3_NOT_SO;
    else if (s->status == 409 && s3_code(s, "ConditionalRequestConflict"))
        *did = a->unanswered ? S3_UNSURE : S3_NOT_SO;
    else if (s->status == 501 ||
             (s->status == 400 && (s3_code(s, "NotImplemented") ||
                                      s3_code(s, "InvalidArgument") ||
                                      s3_code(s, "InvalidRequest"))))
        *did = S3_UNABLE;
    else
        return false;
    return true;
}

static int put(
    struct s3 *s, struct s3_ask *a, enum s3_did *did, char *etag, struct err *e)
{
    if (s3_do(s, a, e) != 0)
        return -1;
    if (did != NULL ? !of_condition(s, a, did) : !s3_good(s))
        return s3_refused(s, a, e);
    if (etag != NULL)
        answer_etag(etag, s3_good(s) ? http_header(&s->call, "ETag") : NULL);
    return 0;
}

/*
 * radosgw compares the header with the bare tag, others want it in quotes. A
 * form that does not fit is a condition that does not hold: nothing is
 * written, and the other form decides.
 */
static int put_if_match(struct s3 *s, const struct s3_ask *asked,
    const char *tag, enum s3_did *did, char *etag, struct err *e)
{
    unsigned forms = s->etag_known ? 1 : 2;
    bool quoted = s->etag_quoted, unsure = false;

    /* libcurl leaves out a header without a value: that would write. */
    if (tag[0] == '\0') {
        err_set(e, ERR_REFUSED, "the store named no tag to compare with");
        return s3_named(s, asked->key, e);
    }
    for (unsigned i = 0; i < forms; i++, quoted = !quoted) {
        struct buf v AUTO(buf_free) = BUF_INIT(S3_ETAG_MAX + 4);
        struct s3_ask a = *asked;

        buf_printf(&v, quoted ? "\"%s\"" : "%s", tag);
        if (buf_check(&v, e) != 0)
            return -1;
        ask_header(&a, "if-match", v.p);
        a.unanswered = unsure;
        if (put(s, &a, did, etag, e) != 0)
            return -1;
        unsure = a.unanswered;
        if (*did == S3_DONE) {
            s->etag_known = true;
            s->etag_quoted = quoted;
        }
        if (*did != S3_NOT_SO)
            return 0;
    }
    return 0;
}

int s3_put(struct s3 *s, const char *key, const struct s3_body *b,
    const struct s3_cond *cond, enum s3_did *did, char *etag, struct err *e)
{
    struct s3_ask a = { .method = "PUT", .key = key, .body = b };

    if (cond == NULL || cond->when == S3_ALWAYS) {
        if (did != NULL)
            *did = S3_DONE;
        return put(s, &a, NULL, etag, e);
    }
    if (cond->when == S3_IF_MATCH)
        return put_if_match(s, &a, cond->etag, did, etag, e);
    ask_header(&a, "if-none-match", "*");
    return put(s, &a, did, etag, e);
}

int s3_delete(struct s3 *s, const char *key, struct err *e)
{
    struct s3_ask a = { .method = "DELETE", .key = key };

    if (s3_do(s, &a, e) != 0)
        return -1;
    return s3_good(s) || s3_code(s, "NoSuchKey") ? 0 : s3_refused(s, &a, e);
}
