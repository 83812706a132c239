#include "s3/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "base/hex.h"
#include "net/url.h"

enum {
    SCOPE_MAX = 128,
    CANON_MAX = 64 << 10,
    SECRETS_MAX = 20 << 10,
    KEY_MAX = 1024,
    PRESIGN_PAIRS = 6
};

#define ALGORITHM "AWS4-HMAC-SHA256"

/* What a signature is made from, step by step. */
struct signing {
    char date[SIGV4_DATE_MAX];
    char scope[SCOPE_MAX];
    struct buf names;     /* "host;x-amz-date" */
    struct buf canonical; /* the request */
};

#define SIGNING_INIT                                                           \
    {                                                                          \
        .names = BUF_INIT(4096), .canonical = BUF_INIT(CANON_MAX)              \
    }

static void wipe(struct buf *b)
{
    if (b->cap > 0)
        explicit_bzero(b->p, b->len);
    buf_free(b);
}

static void signing_free(struct signing *s)
{
    buf_free(&s->names);
    wipe(&s->canonical); /* it has the session's token */
}

void sigv4_signed_free(struct sigv4_signed *s)
{
    buf_free(&s->target);
    wipe(&s->text);
    s->line[0] = NULL;
}

static int set_time(
    struct signing *s, int64_t time_s, const char *region, struct err *e)
{
    time_t t = (time_t)time_s;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL ||
        strftime(s->date, sizeof(s->date), "%Y%m%dT%H%M%SZ", &tm) == 0)
        return err_set(e, ERR_REFUSED, "the clock shows no time there is");
    if (snprintf(s->scope, sizeof(s->scope), "%.8s/%s/s3/aws4_request", s->date,
            region) >= (int)sizeof(s->scope))
        return err_set(e, ERR_USAGE, "no region has so long a name");
    return 0;
}

/* ---- the query ---- */

struct pair_text {
    struct buf name, value;
};

static int by_name(const void *a, const void *b)
{
    const struct pair_text *x = a, *y = b;
    int c = str_cmp(buf_str(&x->name), buf_str(&y->name));

    return c != 0 ? c : str_cmp(buf_str(&x->value), buf_str(&y->value));
}

static int put_query(
    struct buf *out, const struct sigv4_pair *v, size_t n, struct err *e)
{
    struct pair_text all[SIGV4_PAIRS_MAX + PRESIGN_PAIRS];
    int rc = 0;

    if (n > ARRAY_LEN(all))
        return err_set(e, ERR_BUG, "a query of %zu parameters", n);
    for (size_t i = 0; i < n; i++) {
        all[i] = (struct pair_text){ BUF_INIT(1024), BUF_INIT(32768) };
        url_encode(&all[i].name, v[i].name, false);
        url_encode(&all[i].value, v[i].value, false);
    }
    qsort(all, n, sizeof(all[0]), by_name);
    for (size_t i = 0; i < n; i++) {
        if (buf_check(&all[i].name, e) != 0 || buf_check(&all[i].value, e) != 0)
            rc = -1;
        buf_printf(out, "%s%s=", i > 0 ? "&" : "", all[i].name.p);
        buf_put(out, all[i].value.p, all[i].value.len);
        buf_free(&all[i].name);
        buf_free(&all[i].value);
    }
    return rc;
}

/* ---- the headers ---- */

struct headers {
    struct sigv4_pair v[SIGV4_LINES_MAX + 1];
    size_t n;
};

static void add(struct headers *h, const char *name, struct str value)
{
    h->v[h->n++] = (struct sigv4_pair){ str_of(name), value };
}

static int header_by_name(const void *a, const void *b)
{
    const struct sigv4_pair *x = a, *y = b;

    return str_cmp(x->name, y->name);
}

/* Blanks around it are none, and several in it are one. */
static void put_trimmed(struct buf *out, struct str v)
{
    bool blank = false, any = false;

    for (size_t i = 0; i < v.len; i++) {
        if (v.p[i] == ' ' || v.p[i] == '\t') {
            blank = any;
            continue;
        }
        if (blank)
            buf_putc(out, ' ');
        buf_putc(out, v.p[i]);
        blank = false;
        any = true;
    }
}

static void put_headers(struct signing *s, const struct headers *h)
{
    for (size_t i = 0; i < h->n; i++) {
        buf_put(&s->canonical, h->v[i].name.p, h->v[i].name.len);
        buf_putc(&s->canonical, ':');
        put_trimmed(&s->canonical, h->v[i].value);
        buf_putc(&s->canonical, '\n');
        if (i > 0)
            buf_putc(&s->names, ';');
        buf_put(&s->names, h->v[i].name.p, h->v[i].name.len);
    }
}

static int gather(struct headers *h, const struct sigv4_request *r,
    const struct sigv4_keys *keys, const char *date, struct err *e)
{
    if (r->n_headers > SIGV4_PAIRS_MAX)
        return err_set(e, ERR_BUG, "a request of %zu headers", r->n_headers);
    add(h, "host", str_of(r->host));
    add(h, "x-amz-content-sha256", str_of(r->payload));
    if (keys != NULL)
        add(h, "x-amz-date", str_of(date));
    if (keys != NULL && keys->session != NULL && keys->session[0] != '\0')
        add(h, "x-amz-security-token", str_of(keys->session));
    for (size_t i = 0; i < r->n_headers; i++)
        h->v[h->n++] = r->headers[i];
    for (size_t i = 0; i < h->n; i++)
        for (size_t k = 0; k < h->v[i].value.len; k++)
            if ((unsigned char)h->v[i].value.p[k] < ' ' &&
                h->v[i].value.p[k] != '\t')
                return err_set(e, ERR_REFUSED,
                    "the value of the header %.*s holds a control character",
                    STR_ARG(h->v[i].name));
    qsort(h->v, h->n, sizeof(h->v[0]), header_by_name);
    return 0;
}

/* ---- the signature ---- */

static int derive(uint8_t key[HASH_MAX_BYTES], const struct sigv4_keys *keys,
    const char *date, struct err *e)
{
    char first[KEY_MAX];
    struct str steps[] = { { date, 8 }, str_of(keys->region), str_of("s3"),
        str_of("aws4_request") };
    struct str k = { first, 0 };
    int n = snprintf(first, sizeof(first), "AWS4%s", keys->secret);
    int rc = 0;

    if (n >= (int)sizeof(first))
        rc = err_set(e, ERR_REFUSED, "the secret key is too long to be one");
    k.len = (size_t)n;
    for (size_t i = 0; i < ARRAY_LEN(steps) && rc == 0; i++) {
        rc = hash_hmac(key, k, steps[i], e);
        k = (struct str){ (const char *)key, HASH_MAX_BYTES };
    }
    explicit_bzero(first, sizeof(first));
    return rc;
}

/* The canonical request is there: into hex of HASH_MAX_HEX bytes. */
static int signature(char *hex, const struct signing *s,
    const struct sigv4_keys *keys, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(1024);
    uint8_t key[HASH_MAX_BYTES], mac[HASH_MAX_BYTES];
    struct digest d;
    int rc;

    if (buf_check(&s->canonical, e) != 0 || buf_check(&s->names, e) != 0 ||
        hash_bytes(HASH_SHA256, s->canonical.p, s->canonical.len, &d, e) != 0)
        return -1;
    buf_printf(&text, "%s\n%s\n%s\n%s", ALGORITHM, s->date, s->scope, d.hex);
    if (buf_check(&text, e) != 0)
        return -1;
    rc = derive(key, keys, s->date, e);
    if (rc == 0)
        rc = hash_hmac(mac, (struct str){ (const char *)key, sizeof(key) },
            buf_str(&text), e);
    explicit_bzero(key, sizeof(key));
    if (rc == 0)
        hex_encode(hex, mac, sizeof(mac));
    return rc;
}

static void put_line(struct buf *text, size_t *at, struct str name,
    const char *between, struct str value)
{
    *at = text->len;
    buf_printf(text, "%.*s%s", STR_ARG(name), between);
    buf_put(text, value.p, value.len);
    buf_putc(text, '\0');
}

/* All but Host, which libcurl writes as it stands in the URL. */
static int put_lines(struct sigv4_signed *out, const struct headers *h,
    const char *authorization, struct err *e)
{
    size_t at[SIGV4_LINES_MAX + 1], n = 0;

    if (authorization[0] != '\0')
        put_line(&out->text, &at[n++], str_of("Authorization"), ": ",
            str_of(authorization));
    for (size_t i = 0; i < h->n; i++)
        if (!str_is(h->v[i].name, "host"))
            put_line(&out->text, &at[n++], h->v[i].name, ": ", h->v[i].value);
    if (buf_check(&out->text, e) != 0 || buf_check(&out->target, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        out->line[i] = out->text.p + at[i];
    out->line[n] = NULL;
    return 0;
}

/* Path and query, encoded, and the request up to its headers. */
static int begin(struct signing *s, struct buf *target,
    const struct sigv4_request *r, const struct sigv4_pair *query, size_t n,
    struct err *e)
{
    struct buf q AUTO(buf_free) = BUF_INIT(CANON_MAX);
    size_t from = target->len;

    if (put_query(&q, query, n, e) != 0 || buf_check(&q, e) != 0)
        return -1;
    url_encode(target, r->path, true);
    buf_printf(&s->canonical, "%s\n%s\n", r->method, target->p + from);
    buf_printf(&s->canonical, "%s\n", q.p);
    if (q.len > 0) {
        buf_putc(target, '?');
        buf_put(target, q.p, q.len);
    }
    return buf_check(target, e);
}

int sigv4_sign(struct sigv4_signed *out, const struct sigv4_request *r,
    const struct sigv4_keys *keys, struct err *e)
{
    struct signing s AUTO(signing_free) = SIGNING_INIT;
    struct buf authorization AUTO(buf_free) = BUF_INIT(4096);
    struct headers h = { .n = 0 };
    char hex[HASH_MAX_HEX];

    buf_clear(&out->target);
    buf_clear(&out->text);
    /* One piece of memory: a growing one would leave secrets behind. */
    buf_room(&s.canonical, SECRETS_MAX);
    buf_room(&out->text, SECRETS_MAX);
    if (set_time(&s, r->time_s, keys != NULL ? keys->region : "", e) != 0 ||
        gather(&h, r, keys, s.date, e) != 0 ||
        begin(&s, &out->target, r, r->query, r->n_query, e) != 0)
        return -1;
    if (keys == NULL)
        return put_lines(out, &h, "", e);
    put_headers(&s, &h);
    buf_printf(&s.canonical, "\n%s\n%s", s.names.p, r->payload);
    if (signature(hex, &s, keys, e) != 0)
        return -1;
    buf_printf(&authorization,
        ALGORITHM " Credential=%s/%s, SignedHeaders=%s, Signature=%s", keys->id,
        s.scope, s.names.p, hex);
    if (buf_check(&authorization, e) != 0)
        return -1;
    return put_lines(out, &h, authorization.p, e);
}

int sigv4_presign(struct buf *out, const struct sigv4_request *r,
    const struct sigv4_keys *keys, unsigned valid_s, struct err *e)
{
    struct signing s AUTO(signing_free) = SIGNING_INIT;
    struct sigv4_pair q[SIGV4_PAIRS_MAX + PRESIGN_PAIRS];
    char credential[KEY_MAX], valid[16], hex[HASH_MAX_HEX];
    size_t n = r->n_query;

    if (n > SIGV4_PAIRS_MAX)
        return err_set(e, ERR_BUG, "a query of %zu parameters", n);
    if (set_time(&s, r->time_s, keys->region, e) != 0)
        return -1;
    snprintf(credential, sizeof(credential), "%s/%s", keys->id, s.scope);
    snprintf(valid, sizeof(valid), "%u", valid_s);
    if (n > 0)
        memcpy(q, r->query, n * sizeof(q[0]));
    q[n++] =
        (struct sigv4_pair){ str_of("X-Amz-Algorithm"), str_of(ALGORITHM) };
    q[n++] =
        (struct sigv4_pair){ str_of("X-Amz-Credential"), str_of(credential) };
    q[n++] = (struct sigv4_pair){ str_of("X-Amz-Date"), str_of(s.date) };
    q[n++] = (struct sigv4_pair){ str_of("X-Amz-Expires"), str_of(valid) };
    q[n++] =
        (struct sigv4_pair){ str_of("X-Amz-SignedHeaders"), str_of("host") };
    if (keys->session != NULL && keys->session[0] != '\0')
        q[n++] = (struct sigv4_pair){ str_of("X-Amz-Security-Token"),
            str_of(keys->session) };
    if (begin(&s, out, r, q, n, e) != 0)
        return -1;
    buf_printf(&s.canonical, "host:%s\n\nhost\n%s", r->host, SIGV4_UNSIGNED);
    if (signature(hex, &s, keys, e) != 0)
        return -1;
    buf_printf(out, "&X-Amz-Signature=%s", hex);
    return buf_check(out, e);
}
