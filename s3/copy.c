/*
 * Copies are made by the store, which may be silent until they are done: what
 * is between may not wait that long.
 */
#include <stdlib.h>

#include "net/url.h"
#include "s3/client_internal.h"
#include "s3/multipart.h"

#define PART ((uint64_t)64 << 20)

int s3_source(
    const struct s3 *s, const char *key, struct buf *out, struct err *e)
{
    buf_printf(out, "/%s/", s->bucket);
    url_encode(out, str_of(key), true);
    return buf_check(out, e);
}

/* 0; 1: it is too long for one request; -1 with *e. */
static int copy_whole(struct s3 *s, const struct s3_copy *c, struct err *e)
{
    struct buf source AUTO(buf_free) = BUF_INIT(4096);
    struct err why = ERR_INIT;
    struct s3_ask a = { .method = "PUT",
        .key = c->to,
        .empty_body = true,
        .doubtful = true,
        .divisible = c->size > PART };

    if (c->size > S3_PUT_BYTES_MAX || (a.divisible && s->copies_late))
        return 1;
    if (s3_source(s, c->from, &source, e) != 0)
        return s3_named(s, c->from, e);
    ask_header(&a, "x-amz-copy-source", source.p);
    if (s3_finish(s, &a, &why) != 0) {
        if (!a.divisible || !s3_late(s)) {
            *e = why;
            return -1;
        }
        s->copies_late = true;
        return 1;
    }
    if (answer_is(buf_str(&s->answer), "CopyObjectResult", e) != 0)
        return s3_named(s, c->to, e);
    return 0;
}

static void free_parts(struct s3_part **v)
{
    free(*v);
}

static int copy_parts(struct s3 *s, const struct s3_copy *c, struct err *e)
{
    uint64_t least = (c->size - 1) / S3_PARTS_MAX + 1;
    uint64_t bytes = size_max(PART, least), n = (c->size - 1) / bytes + 1;
    struct s3_part *parts AUTO(free_parts) = calloc(n, sizeof(*parts));
    struct err ignored = ERR_INIT;
    char upload[S3_UPLOAD_MAX];
    int rc = 0;

    if (parts == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    if (s3_multipart_begin(s, c->to, upload, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        if (c->part != NULL)
            c->part(c->arg);
        rc = s3_multipart_copy(s, c->to, upload, (unsigned)i + 1, c->from,
            i * bytes, size_min(c->size, (i + 1) * bytes), &parts[i], e);
    }
    if (rc == 0)
        rc = s3_multipart_end(s, c->to, upload, parts, (size_t)n, e);
    if (rc != 0)
        s3_multipart_abort(s, c->to, upload, &ignored);
    return rc;
}

int s3_copy(struct s3 *s, const struct s3_copy *c, struct err *e)
{
    int rc = copy_whole(s, c, e);

    return rc <= 0 ? rc : copy_parts(s, c, e);
}
