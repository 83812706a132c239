#include "s3/multipart.h"

#include <stdio.h>

#include "s3/client_internal.h"

enum { PART_BYTES = 96 + S3_ETAG_MAX };

int s3_multipart_begin(
    struct s3 *s, const char *key, char upload[S3_UPLOAD_MAX], struct err *e)
{
    struct s3_ask a = { .method = "POST", .key = key, .empty_body = true };

    ask_query(&a, "uploads", "");
    if (s3_finish(s, &a, e) != 0)
        return -1;
    if (answer_word(buf_str(&s->answer),
            "InitiateMultipartUploadResult/UploadId", upload, S3_UPLOAD_MAX,
            e) != 0)
        return s3_named(s, key, e);
    return 0;
}

static int check_number(
    const struct s3 *s, const char *key, unsigned number, struct err *e)
{
    if (number >= 1 && number <= S3_PARTS_MAX)
        return 0;
    err_set(e, ERR_USAGE, "a part's number is from 1 to %d, not %u",
        S3_PARTS_MAX, number);
    return s3_named(s, key, e);
}

int s3_multipart_send(struct s3 *s, const char *key, const char *upload,
    unsigned number, const struct s3_body *b, struct s3_part *out,
    struct err *e)
{
    struct s3_ask a = { .method = "PUT", .key = key, .body = b };
    char text[16];

    if (check_number(s, key, number, e) != 0)
        return -1;
    snprintf(text, sizeof(text), "%u", number);
    ask_query(&a, "partNumber", text);
    ask_query(&a, "uploadId", upload);
    if (s3_finish(s, &a, e) != 0)
        return -1;
    *out = (struct s3_part){ .number = number, .size = b->len };
    answer_etag(out->etag, http_header(&s->call, "ETag"));
    if (out->etag[0] != '\0')
        return 0;
    err_set(e, ERR_REFUSED, "the store took a part, and gave it no tag");
    return s3_named(s, key, e);
}

int s3_multipart_copy(struct s3 *s, const char *key, const char *upload,
    unsigned number, const char *from_key, uint64_t from, uint64_t to,
    struct s3_part *out, struct err *e)
{
    struct buf source AUTO(buf_free) = BUF_INIT(4096);
    struct s3_ask a = {
        .method = "PUT", .key = key, .empty_body = true, .doubtful = true
    };
    char text[16], range[64], etag[S3_ETAG_MAX + 16];

    if (check_number(s, key, number, e) != 0 ||
        s3_source(s, from_key, &source, e) != 0)
        return -1;
    snprintf(text, sizeof(text), "%u", number);
    snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)from,
        (unsigned long long)to - 1);
    ask_query(&a, "partNumber", text);
    ask_query(&a, "uploadId", upload);
    ask_header(&a, "x-amz-copy-source", source.p);
    ask_header(&a, "x-amz-copy-source-range", range);
    if (s3_finish(s, &a, e) != 0)
        return -1;
    if (answer_word(buf_str(&s->answer), "CopyPartResult/ETag", etag,
            sizeof(etag), e) != 0)
        return s3_named(s, key, e);
    *out = (struct s3_part){ .number = number, .size = to - from };
    answer_etag(out->etag, etag);
    return 0;
}

static int write_parts(
    struct buf *out, const struct s3_part *parts, size_t n, struct err *e)
{
    buf_puts(out, "<CompleteMultipartUpload "
                  "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < n; i++) {
        const char *tag = parts[i].etag;

        /* It goes into XML as it is. */
        if (tag[strcspn(tag, "<>&\"")] != '\0')
            return err_set(
                e, ERR_REFUSED, "part %u has no such tag", parts[i].number);
        buf_printf(out,
            "<Part><PartNumber>%u</PartNumber><ETag>&quot;%s&quot;</ETag>"
            "</Part>",
            parts[i].number, tag);
    }
    buf_puts(out, "</CompleteMultipartUpload>");
    return buf_check(out, e);
}

/*
 * What is there now? An answer proves little: radosgw says that an upload it
 * does not know has ended well, when it has the key from before.
 */
static int check_whole(struct s3 *s, const char *key,
    const struct s3_part *parts, size_t n, struct err *e)
{
    struct s3_info info;
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        if (!size_add(sum, parts[i].size, &sum))
            return err_set(e, ERR_REFUSED, "the parts are too many bytes");
    if (s3_head(s, key, &info, e) != 0)
        return -1;
    if (info.found && info.size == sum)
        return 0;
    err_set(e, ERR_CORRUPT, "the parts have %llu bytes, the object has %llu",
        (unsigned long long)sum, (unsigned long long)info.size);
    return s3_named(s, key, e);
}

int s3_multipart_end(struct s3 *s, const char *key, const char *upload,
    const struct s3_part *parts, size_t n, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(S3_PARTS_MAX * PART_BYTES);
    struct s3_body b = { .bytes = "" };
    struct s3_ask a = {
        .method = "POST", .key = key, .body = &b, .doubtful = true
    };
    struct err ignored = ERR_INIT;

    if (write_parts(&text, parts, n, e) != 0)
        return s3_named(s, key, e);
    b.bytes = text.p;
    b.len = text.len;
    ask_query(&a, "uploadId", upload);
    if (s3_do(s, &a, e) != 0)
        return -1;
    if (s3_good(s)) {
        if (answer_is(
                buf_str(&s->answer), "CompleteMultipartUploadResult", e) != 0)
            return s3_named(s, key, e);
        return check_whole(s, key, parts, n, e);
    }
    s3_refused(s, &a, e);
    /* Did an earlier try end it, whose answer was lost? */
    if (a.unanswered && s3_code(s, "NoSuchUpload") &&
        check_whole(s, key, parts, n, &ignored) == 0) {
        err_clear(e);
        return 0;
    }
    return -1;
}

int s3_multipart_abort(
    struct s3 *s, const char *key, const char *upload, struct err *e)
{
    struct s3_ask a = { .method = "DELETE", .key = key };

    ask_query(&a, "uploadId", upload);
    if (s3_do(s, &a, e) != 0)
        return -1;
    return s3_good(s) || s3_code(s, "NoSuchUpload") ? 0 : s3_refused(s, &a, e);
}

/* ---- what there is ---- */

int s3_parts(struct s3 *s, const char *key, const char *upload,
    int (*part)(void *arg, const struct s3_part *part, struct err *e),
    void *arg, struct err *e)
{
    struct answer_page page = { .more = false };
    char last[ANSWER_MARK_MAX] = "";

    do {
        struct s3_ask a = {
            .method = "GET", .key = key, .answer_max = ASK_PAGE_MAX
        };
        struct buf text AUTO(buf_free) = BUF_INIT(0);

        ask_query(&a, "uploadId", upload);
        if (last[0] != '\0')
            ask_query(&a, "part-number-marker", last);
        if (s3_finish(s, &a, e) != 0)
            return -1;
        text = s3_take_answer(s);
        if (answer_parts(buf_str(&text), part, arg, &page, e) != 0)
            return s3_named(s, key, e);
        if (page.more && strcmp(page.mark, last) == 0) {
            err_set(e, ERR_REFUSED, "the list of parts goes round in a circle");
            return s3_named(s, key, e);
        }
        snprintf(last, sizeof(last), "%s", page.mark);
    } while (page.more);
    return 0;
}

int s3_uploads(struct s3 *s, const char *prefix,
    int (*found)(void *arg, const struct s3_upload *upload, struct err *e),
    void *arg, struct err *e)
{
    struct answer_page page = { .more = false }, last = page;

    do {
        struct s3_ask a = { .method = "GET", .answer_max = ASK_PAGE_MAX };
        struct buf text AUTO(buf_free) = BUF_INIT(0);

        /* Not encoded: radosgw would not say that it did. */
        ask_query(&a, "uploads", "");
        if (prefix != NULL && prefix[0] != '\0')
            ask_query(&a, "prefix", prefix);
        if (last.mark[0] != '\0')
            ask_query(&a, "key-marker", last.mark);
        if (last.mark2[0] != '\0')
            ask_query(&a, "upload-id-marker", last.mark2);
        if (s3_finish(s, &a, e) != 0)
            return -1;
        text = s3_take_answer(s);
        if (answer_uploads(buf_str(&text), found, arg, &page, e) != 0)
            return page.ended != 0 ? -1 : s3_named(s, prefix, e);
        if (page.more && strcmp(page.mark, last.mark) == 0 &&
            strcmp(page.mark2, last.mark2) == 0) {
            err_set(
                e, ERR_REFUSED, "the list of uploads goes round in a circle");
            return s3_named(s, prefix, e);
        }
        last = page;
    } while (page.more);
    return 0;
}
