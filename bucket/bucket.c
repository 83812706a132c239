#include "bucket/bucket.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/hex.h"
#include "base/log.h"
#include "base/path.h"

enum { STORE_TEXT_MAX = 4096, PROBES_MAX = 4 };

static const char store_conditional[] = "ml-bucket 1\nrefs conditional\n";
static const char store_append[] = "ml-bucket 1\nrefs lineage\n";

bool bucket_is(const char *text)
{
    return strncmp(text, "s3://", 5) == 0;
}

/* ---- where ---- */

static int bad_form(const char *text, struct err *e)
{
    err_set(
        e, ERR_USAGE, "'%s' is not s3://BUCKET or s3://BUCKET/PREFIX", text);
    return err_hint(e, "a prefix is a path without empty, '.' or '..' parts");
}

static int parse(struct bucket *b, const char *text, struct err *e)
{
    const char *name = text + 5, *slash = strchr(name, '/');
    struct str prefix = str_of(slash != NULL ? slash + 1 : "");
    struct err why = ERR_INIT;
    int n;

    while (prefix.len > 0 && prefix.p[prefix.len - 1] == '/')
        prefix.len--;
    n = snprintf(b->name, sizeof(b->name), "%.*s",
        slash != NULL ? (int)(slash - name) : (int)strlen(name), name);
    if (n <= 0 || (size_t)n >= sizeof(b->name) ||
        prefix.len + 2 > sizeof(b->prefix) ||
        (prefix.len > 0 && path_check(prefix, &why) != 0))
        return bad_form(text, e);
    if (prefix.len > 0)
        snprintf(b->prefix, sizeof(b->prefix), "%.*s/", STR_ARG(prefix));
    snprintf(b->shown, sizeof(b->shown), "s3://%s%s%.*s", b->name,
        prefix.len > 0 ? "/" : "", STR_ARG(prefix));
    return 0;
}

int bucket_open(struct bucket *out, const char *text, struct err *e)
{
    if (!bucket_is(text))
        return bad_form(text, e);
    if (parse(out, text, e) != 0 || s3_site_find(&out->site, NULL, e) != 0)
        return -1;
    out->opts.hurry = &out->hurry;
    out->s3 = s3_open(&out->site, out->name, &out->opts, e);
    return out->s3 != NULL ? 0 : -1;
}

void bucket_close(struct bucket *b)
{
    for (size_t i = 0; i < b->n_spare; i++)
        s3_close(b->spare[i]);
    b->n_spare = 0;
    s3_close(b->s3);
    b->s3 = NULL;
    s3_site_free(&b->site);
}

int bucket_key(
    const struct bucket *b, char *out, struct err *e, const char *fmt, ...)
{
    size_t room = S3_KEY_MAX + 1;
    int front = snprintf(out, room, "%sv1/", b->prefix), n;
    va_list ap;

    va_start(ap, fmt);
    n = vsnprintf(out + front, room - (size_t)front, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= room - (size_t)front)
        return err_set(e, ERR_REFUSED, "%s: a key of more than %d bytes",
            b->shown, S3_KEY_MAX);
    return 0;
}

/* ---- clients ---- */

struct s3 *bucket_borrow(struct bucket *b, struct err *e)
{
    struct s3 *s;

    pthread_mutex_lock(&b->lock);
    s = b->n_spare > 0 ? b->spare[--b->n_spare] : s3_open_like(b->s3, e);
    pthread_mutex_unlock(&b->lock);
    return s;
}

void bucket_return(struct bucket *b, struct s3 *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&b->lock);
    if (b->n_spare < BUCKET_JOBS) {
        b->spare[b->n_spare++] = s;
        s = NULL;
    }
    pthread_mutex_unlock(&b->lock);
    s3_close(s);
}

/* ---- small objects ---- */

static int take(void *arg, const void *bytes, size_t len, struct err *e)
{
    buf_put(arg, bytes, len);
    return buf_check(arg, e);
}

int bucket_read(struct s3 *s, const char *key, struct buf *out,
    struct s3_info *info, struct err *e)
{
    struct s3_get g = { .key = key, .body = take, .arg = out };
    struct s3_info found = { .found = false };
    struct err why = ERR_INIT;

    buf_clear(out);
    if (s3_get(s, &g, &found, &why) != 0) {
        if (why.kind != ERR_REFUSED || s3_head(s, key, &found, e) != 0 ||
            !found.found || found.size <= out->limit) {
            *e = why;
            return -1;
        }
        err_set(e, ERR_CORRUPT, "%s: %llu bytes, more than it may have", key,
            (unsigned long long)found.size);
    }
    if (info != NULL)
        *info = found;
    if (why.kind != ERR_NONE)
        return -1;
    return found.found ? 0 : 1;
}

int bucket_write(
    struct bucket *b, const char *key, struct str text, struct err *e)
{
    struct s3_body body = { .bytes = text.p, .fd = -1, .len = text.len };

    return s3_put(b->s3, key, &body, NULL, NULL, NULL, e);
}

int bucket_random(char out[17], struct err *e)
{
    unsigned char bytes[8];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return err_sys(e, "random numbers");
    hex_encode(out, bytes, sizeof(bytes));
    return 0;
}

int bucket_now(struct bucket *b, const char *key, int64_t *out, struct err *e)
{
    struct s3_info info = { .found = false };

    if (s3_head(b->s3, key, &info, e) != 0)
        return -1;
    if (!info.found || info.modified_s <= 0)
        return err_set(e, ERR_REFUSED,
            "%s: the store does not say when an object was written", b->shown);
    *out = info.modified_s;
    return 0;
}

int bucket_date(struct bucket *b, int64_t *out, struct err *e)
{
    struct s3_info info = { .found = false };
    char key[S3_KEY_MAX + 1];

    if (bucket_key(b, key, e, "store") != 0 ||
        s3_head(b->s3, key, &info, e) != 0)
        return -1;
    if (info.date_s <= 0)
        return err_set(
            e, ERR_REFUSED, "%s: the store does not say its time", b->shown);
    *out = info.date_s;
    return 0;
}

/* ---- what the store can do ---- */

/*
 * Does a condition do what it says, both when it holds and when it does not?
 * A store that ignores what it does not know would say yes to everything.
 * 0 with *out; 1: an answer was lost, so nobody knows; -1 with *e.
 */
static int probe(struct bucket *b, const char *key, bool *out, struct err *e)
{
    static const struct {
        const char *text;
        enum s3_when when;
        enum s3_did want;
    } steps[] = {
        { "one", S3_IF_ABSENT, S3_DONE },
        { "two", S3_IF_ABSENT, S3_NOT_SO },
        { "two", S3_IF_MATCH, S3_DONE },
        { "three", S3_IF_MATCH, S3_NOT_SO },
    };
    char first[S3_ETAG_MAX] = "", etag[S3_ETAG_MAX];

    *out = false;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        const struct s3_cond cond = { .when = steps[i].when, .etag = first };
        struct s3_body body = {
            .bytes = steps[i].text, .fd = -1, .len = strlen(steps[i].text)
        };
        enum s3_did did = S3_UNABLE;

        if (s3_put(b->s3, key, &body, &cond, &did, etag, e) != 0)
            return -1;
        if (i == 0)
            memcpy(first, etag, sizeof(first));
        if (did == S3_UNSURE)
            return 1;
        if (did != steps[i].want || first[0] == '\0')
            return 0;
    }
    *out = true;
    return 0;
}

static int find_out(struct bucket *b, struct err *e)
{
    char random[17], key[S3_KEY_MAX + 1];
    struct err ignored = ERR_INIT;
    int rc = 1;

    for (int tries = 0; tries < PROBES_MAX && rc == 1; tries++) {
        if (bucket_random(random, e) != 0 ||
            bucket_key(b, key, e, "probe/%s", random) != 0)
            return -1;
        rc = probe(b, key, &b->conditional, e);
        if (s3_delete(b->s3, key, rc >= 0 ? e : &ignored) != 0 || rc < 0)
            return -1;
    }
    if (rc == 1) {
        err_set(e, ERR_NET, "%s: the store's answers were lost", b->shown);
        return err_hint(e, "nothing was changed; do it again");
    }
    log_debug("%s: %s", b->shown,
        b->conditional ? "has conditional writes" : "no conditional writes");
    return 0;
}

/* The first one counts: all must keep refs the same way. */
static int note_store(struct bucket *b, const char *key, struct err *e)
{
    const char *text = b->conditional ? store_conditional : store_append;
    const struct s3_cond absent = { .when = S3_IF_ABSENT };
    struct s3_body body = { .bytes = text, .fd = -1, .len = strlen(text) };
    enum s3_did did;

    if (!b->conditional)
        return bucket_write(b, key, str_of(text), e);
    return s3_put(b->s3, key, &body, &absent, &did, NULL, e);
}

int bucket_know(struct bucket *b, bool make, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(STORE_TEXT_MAX);
    char key[S3_KEY_MAX + 1];
    int rc;

    if (b->known)
        return 0;
    if (bucket_key(b, key, e, "store") != 0)
        return -1;
    rc = bucket_read(b->s3, key, &text, NULL, e);
    if (rc > 0 && !make)
        return 0;
    if (rc > 0) {
        if (find_out(b, e) != 0 || note_store(b, key, e) != 0)
            return -1;
        rc = bucket_read(b->s3, key, &text, NULL, e);
    }
    if (rc != 0)
        return rc < 0 ? -1
                      : err_set(e, ERR_REFUSED,
                            "%s: v1/store was written, and is not there",
                            b->shown);
    b->conditional = str_is(buf_str(&text), store_conditional);
    b->known = b->conditional || str_is(buf_str(&text), store_append);
    if (b->known)
        return 0;
    err_set(e, ERR_UNSUPPORTED, "%s: v1/store is not as this program knows it",
        b->shown);
    return err_hint(e, "a newer version may have written it, or it is damaged: "
                       "ml-bucket(5) tells its two lines");
}

int bucket_need(struct bucket *b, struct err *e)
{
    if (bucket_know(b, false, e) != 0)
        return -1;
    if (b->known)
        return 0;
    err_set(e, ERR_MISSING, "%s: no volume there", b->shown);
    return err_hint(e, "mlfetch put and mlfetch pull --volume make one");
}
