/* A GET whose bytes are handed on, in order, whatever is asked again. */
#include <stdio.h>

#include "net/content_range.h"
#include "s3/client_internal.h"
#include "s3/stamp.h"

void s3_info_of(const struct http_call *c, struct s3_info *out)
{
    const char *length = http_header(c, "Content-Length");
    const char *range = http_header(c, "Content-Range");
    const char *modified = http_header(c, "Last-Modified");
    const char *date = http_header(c, "Date");
    struct content_range r;

    *out = (struct s3_info){ .found = true };
    if (range != NULL && content_range(range, &r) && r.sized)
        out->size = r.size;
    else if (length != NULL)
        content_length(length, &out->size);
    answer_etag(out->etag, http_header(c, "ETag"));
    if (modified != NULL)
        stamp_http(str_of(modified), &out->modified_s);
    if (date != NULL)
        stamp_http(str_of(date), &out->date_s);
}

static uint64_t first_byte(const struct s3_reading *r)
{
    return (r->get->ranged ? r->get->from : 0) + r->got;
}

void reading_begin(struct s3 *s)
{
    struct s3_reading *r = s->reading;
    struct http_call *c = &s->call;

    r->sound = false;
    r->unsound = NULL;
    c->ranged = r->get->ranged || r->got > 0;
    c->from = first_byte(r);
    c->to = r->get->ranged ? r->get->to : r->info.size;
    c->body = reading_body;
    c->room = r->get->room != NULL ? reading_room : NULL;
}

/* Is this what is missing, and of the object that was begun? */
static const char *unsound(const struct s3 *s, struct s3_reading *r)
{
    const struct http_call *c = &s->call;
    const char *text = http_header(c, "Content-Range");
    struct content_range range;
    struct s3_info now;

    s3_info_of(c, &now);
    if (r->info.found &&
        (strcmp(now.etag, r->info.etag) != 0 || now.size != r->info.size))
        return "the object was replaced while it was read";
    if (c->ranged) {
        if (c->status != 206 || text == NULL || !content_range(text, &range))
            return "the store does not send the part that was asked for";
        if (range.from != c->from || range.to > c->to)
            return "the store sends another part than was asked for";
        if (range.to < c->to)
            return "the object ends before the bytes asked for";
    } else if (c->status != 200) {
        return "the store sends a part, and all was asked for";
    }
    r->info = now;
    return NULL;
}

/* Not 0 when these bytes are no object's. */
static int judge_head(struct s3 *s)
{
    struct s3_reading *r = s->reading;

    if (r->sound)
        return 0;
    r->unsound = unsound(s, r);
    r->sound = r->unsound == NULL;
    return r->sound ? 0 : -1;
}

static bool is_refusal(const struct s3 *s)
{
    return s->call.status < 200 || s->call.status > 299;
}

int reading_body(void *arg, const void *bytes, size_t len)
{
    struct s3 *s = arg;
    struct s3_reading *r = s->reading;

    if (is_refusal(s)) {
        buf_put(&s->answer, bytes, len);
        return s->answer.bad != ERR_NONE;
    }
    if (judge_head(s) != 0)
        return -1;
    if (r->get->body(r->get->arg, bytes, len, &s->inner) != 0)
        return -1;
    r->got += len;
    return 0;
}

void *reading_room(void *arg, size_t *len)
{
    struct s3 *s = arg;
    struct s3_reading *r = s->reading;
    void *room;

    /* Nothing of a wrong answer goes where bytes of the object belong. */
    if (is_refusal(s) || judge_head(s) != 0)
        return NULL;
    room = r->get->room(r->get->arg, len);
    if (room == NULL && *len == 0)
        *len = 1; /* a pause would never end here */
    return room;
}

int s3_get(
    struct s3 *s, const struct s3_get *g, struct s3_info *out, struct err *e)
{
    struct s3_reading r = { .get = g };
    struct s3_ask a = { .method = "GET", .key = g->key, .reading = &r };
    uint64_t want;

    if (out != NULL)
        *out = (struct s3_info){ .found = false };
    if (s3_do(s, &a, e) != 0)
        return -1;
    if (s3_code(s, "NoSuchKey")) {
        s->bucket_seen = true;
        return 0;
    }
    if (!s3_good(s))
        return s3_refused(s, &a, e);
    if (judge_head(s) != 0) { /* an object of no bytes has no body */
        err_set(e, ERR_CORRUPT, "%s", r.unsound);
        return s3_named(s, g->key, e);
    }
    want = g->ranged ? g->to - g->from : r.info.size;
    if (r.got != want) {
        err_set(e, ERR_CORRUPT, "%llu bytes came of %llu",
            (unsigned long long)r.got, (unsigned long long)want);
        return s3_named(s, g->key, e);
    }
    if (out != NULL)
        *out = r.info;
    return 0;
}
