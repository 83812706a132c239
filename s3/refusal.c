#include "s3/refusal.h"

#include "net/url.h"

static bool is(const struct refusal *r, const char *code)
{
    return strcmp(r->said->code, code) == 0;
}

static bool among(const struct refusal *r, const char *const *codes)
{
    for (; *codes != NULL; codes++)
        if (is(r, *codes))
            return true;
    return false;
}

/* ---- who ---- */

static int nobody(const struct refusal *r, struct err *e)
{
    err_set(e, ERR_AUTH,
        "%s: access denied: the request was not signed, since there are no "
        "credentials",
        r->what);
    return err_hint(e,
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile "
        "of ~/.aws/credentials in AWS_PROFILE");
}

static int denied(const struct refusal *r, struct err *e)
{
    const struct s3_cred *c = &r->site->cred;

    if (c->key_id[0] == '\0')
        return nobody(r, e);
    err_set(e, ERR_AUTH, "%s: access denied to the key id %s (from %s)",
        r->what, c->key_id, c->source);
    return err_hint(e, "%s",
        r->writes
            ? "its owner may not write there: ask for s3:PutObject, "
              "s3:DeleteObject and s3:AbortMultipartUpload on the bucket"
            : "its owner may not read there: ask for s3:GetObject and "
              "s3:ListBucket on the bucket; without the second one a missing "
              "key is denied, too");
}

static int unknown_id(const struct refusal *r, struct err *e)
{
    char host[URL_SHOW_MAX];

    if (r->site->cred.key_id[0] == '\0')
        return nobody(r, e);
    err_set(e, ERR_AUTH, "%s: %s knows no key id %s (from %s)", r->what,
        url_host(host, r->endpoint), r->site->cred.key_id,
        r->site->cred.source);
    return err_hint(e, "are these the credentials of this endpoint? see "
                       "AWS_ENDPOINT_URL and AWS_PROFILE");
}

static int bad_signature(const struct refusal *r, struct err *e)
{
    err_set(e, ERR_AUTH,
        "%s: the secret key from %s is not the one of the key id %s", r->what,
        r->site->cred.source, r->site->cred.key_id);
    return err_hint(e, "copy the secret key again; a proxy that changes "
                       "requests has the same effect");
}

static int session_over(const struct refusal *r, struct err *e)
{
    err_set(e, ERR_AUTH, "%s: the session of the credentials from %s is %s",
        r->what, r->site->cred.source,
        is(r, "ExpiredToken") ? "over" : "not accepted");
    return err_hint(
        e, "get new credentials, or unset AWS_SESSION_TOKEN for lasting ones");
}

static int wrong_clock(const struct refusal *r, struct err *e)
{
    err_set(e, ERR_AUTH, "%s: the store does not accept the time %s", r->what,
        r->clock_told ? "even by its own clock" : "of this machine's clock");
    return err_hint(e, "is this machine's clock right? see 'date -u'");
}

/* ---- where ---- */

static int no_bucket(const struct refusal *r, struct err *e)
{
    char host[URL_SHOW_MAX];

    err_set(e, ERR_MISSING, "%s: there is no such bucket at %s", r->what,
        url_host(host, r->endpoint));
    return err_hint(e, "%s",
        r->site->amazon
            ? "check its name; if it is not at Amazon, name the store in "
              "AWS_ENDPOINT_URL"
            : "check its name, and AWS_ENDPOINT_URL");
}

static int elsewhere(const struct refusal *r, struct err *e)
{
    const struct answer_error *a = r->said;

    if (a->endpoint[0] != '\0') {
        err_set(e, ERR_USAGE, "%s: the bucket is at another endpoint: %s",
            r->what, a->endpoint);
        return err_hint(e, "name it in AWS_ENDPOINT_URL");
    }
    err_set(e, ERR_USAGE, "%s: the bucket is not in the region %s%s%s%s",
        r->what, r->region, a->region[0] != '\0' ? ", but in " : "", a->region,
        r->site->region_source[0] != '\0' ? "" : ", which nobody has named");
    return err_hint(e, "name its region in AWS_REGION");
}

/* ---- what ---- */

struct meaning {
    const char *code;
    enum err_kind kind;
    const char *text;
    const char *hint; /* or NULL */
};

static const struct meaning meanings[] = {
    { "NoSuchKey", ERR_MISSING, "there is no such key", NULL },
    { "NoSuchUpload", ERR_MISSING, "that upload is no more",
        "another program has ended it, or cleaned it up: begin again" },
    { "InvalidBucketName", ERR_USAGE, "that is no bucket's name",
        "3 to 63 lower-case letters, digits, dots and dashes" },
    { "KeyTooLongError", ERR_USAGE, "the key is too long", NULL },
    { "EntityTooLarge", ERR_UNSUPPORTED, "too large for one request", NULL },
    { "EntityTooSmall", ERR_REFUSED, "a part is smaller than the store takes",
        NULL },
    { "InvalidPart", ERR_CORRUPT, "the store misses a part, or has another one",
        "send it again" },
    { "InvalidPartOrder", ERR_REFUSED, "the parts are not in order", NULL },
    { "BadDigest", ERR_CORRUPT, "other bytes arrived than were sent",
        "did the file change meanwhile? if not, try again" },
    { "XAmzContentSHA256Mismatch", ERR_CORRUPT,
        "other bytes arrived than were sent",
        "did the file change meanwhile? if not, try again" },
    { "InvalidRange", ERR_CORRUPT, "the object ends before the bytes asked for",
        NULL },
    { "QuotaExceeded", ERR_NOSPACE, "the quota is used up",
        "remove something from the bucket, or ask for more" },
    { "XMinioStorageFull", ERR_NOSPACE, "the store is full", NULL },
    { "BucketAlreadyExists", ERR_AUTH,
        "there is a bucket of that name, of another owner",
        "choose another name" },
    { "InvalidObjectState", ERR_UNSUPPORTED,
        "the object is in an archive of the store",
        "have it restored there first" },
    { "NotImplemented", ERR_UNSUPPORTED, "this store cannot do that", NULL },
    { "MethodNotAllowed", ERR_UNSUPPORTED, "this store does not allow that",
        NULL },
    { "PreconditionFailed", ERR_BUSY, "it has changed meanwhile", NULL },
};

static int meant(const struct refusal *r, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
        const struct meaning *m = &meanings[i];

        if (!is(r, m->code))
            continue;
        err_set(e, m->kind, "%s: %s", r->what, m->text);
        if (m->hint != NULL)
            err_hint(e, "%s", m->hint);
        return -1;
    }
    return 0;
}

/* Nothing that is known: the status, and the store's own words. */
static int other(const struct refusal *r, struct err *e)
{
    const struct answer_error *a = r->said;
    char host[URL_SHOW_MAX];

    url_host(host, r->endpoint);
    if (r->status >= 500 || r->status == 429) {
        err_set(e, ERR_NET, "%s: %s is out of order or overloaded (%ld%s%s)",
            r->what, host, r->status, a->code[0] != '\0' ? " " : "", a->code);
        return err_hint(e, "try again later");
    }
    if (a->code[0] == '\0' && r->site->cred.key_id[0] == '\0')
        return nobody(r, e);
    if (a->code[0] == '\0') {
        err_set(e, r->status == 404 ? ERR_MISSING : ERR_REFUSED,
            "%s: %s answers %ld, and not as a store of objects does", r->what,
            host, r->status);
        return err_hint(e, "is this the address of an S3 store? see "
                           "AWS_ENDPOINT_URL");
    }
    return err_set(e, r->status == 404 ? ERR_MISSING : ERR_REFUSED,
        "%s: the store refuses (%ld %s): %.200s", r->what, r->status, a->code,
        a->message);
}

int refusal_err(const struct refusal *r, struct err *e)
{
    static const char *const places[] = { "PermanentRedirect",
        "TemporaryRedirect", "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException", NULL };
    static const char *const sessions[] = { "ExpiredToken", "InvalidToken",
        NULL };
    static const char *const clocks[] = { "RequestTimeTooSkewed",
        "RequestExpired", NULL };

    if (is(r, "NoSuchBucket"))
        return no_bucket(r, e);
    if (is(r, "InvalidAccessKeyId"))
        return unknown_id(r, e);
    if (is(r, "SignatureDoesNotMatch"))
        return bad_signature(r, e);
    if (among(r, sessions))
        return session_over(r, e);
    if (among(r, clocks))
        return wrong_clock(r, e);
    if (among(r, places) || r->status == 301 || r->status == 307)
        return elsewhere(r, e);
    if (meant(r, e) != 0)
        return -1;
    if (r->status == 401 || r->status == 403)
        return denied(r, e);
    return other(r, e);
}
