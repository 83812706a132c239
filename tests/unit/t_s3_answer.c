/* Answers of stores: what is told of them, and that no half page is told. */
#include "s3/answer.h"

#include "s3/stamp.h"

#include "tests/unit/tap.h"

/* Rows, in a line. */
static int note_entry(void *arg, const struct s3_entry *entry, struct err *e)
{
    (void)e;
    buf_printf(arg, "%s%s:%llu:%s:%lld ", entry->folder ? "/" : "", entry->key,
        (unsigned long long)entry->size, entry->etag,
        (long long)entry->modified_s);
    return strcmp(entry->key, "enough") == 0 ? S3_LIST_ENOUGH : 0;
}

static int read_list(
    const char *text, struct buf *out, struct answer_page *p, struct err *e)
{
    struct s3_list l = { .entry = note_entry, .arg = out };

    buf_clear(out);
    return answer_list(str_of(text), &l, p, e);
}

#define LIST(rest) "<ListBucketResult>" rest "</ListBucketResult>"
#define ROW(key, size)                                                         \
    "<Contents><Key>" key "</Key><Size>" size "</Size></Contents>"

static void lists(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(4096);
    struct answer_page p;
    struct err e = ERR_INIT;

    is_int(read_list("<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
                     "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/"
                     "2006-03-01/\"><Name>b</Name><IsTruncated>true"
                     "</IsTruncated><NextContinuationToken>t&amp;1"
                     "</NextContinuationToken><Contents><Key>a%2Bb+c%C3%A9"
                     "</Key><LastModified>2026-01-31T23:59:58.000Z"
                     "</LastModified><ETag>&quot;e1&quot;</ETag><Size>7</Size>"
                     "<StorageClass>STANDARD</StorageClass></Contents>"
                     "<Contents><Key>z</Key><ETag>\"e2\"</ETag><Size>0</Size>"
                     "</Contents><CommonPrefixes><Prefix>d/</Prefix>"
                     "</CommonPrefixes><EncodingType>url</EncodingType>"
                     "</ListBucketResult>",
               &b, &p, &e),
        0, "a page of a list");
    is_str(b.p, "a+b c\xc3\xa9:7:e1:1769903998 z:0:e2:0 /d/:0::0 ",
        "its rows, decoded, with quotes of either kind");
    ok(p.more && strcmp(p.mark, "t&1") == 0, "what leads to the next page");
    read_list(LIST(ROW("a%2Bb", "1")), &b, &p, &e);
    is_str(b.p, "a%2Bb:1::0 ", "nothing is decoded that is not encoded");
    is_int(read_list(LIST(ROW("enough", "1") ROW("x", "1")), &b, &p, &e),
        S3_LIST_ENOUGH, "who has enough is asked no more");
}

static void other_place(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(4096);
    struct s3_list l = { .prefix = "a/b/", .entry = note_entry, .arg = &b };
    struct answer_page p;
    struct err e = ERR_INIT;

    ok(answer_list(str_of(LIST(ROW("a/b/c", "1"))), &l, &p, &e) == 0,
        "a key below what was asked for");
    ok(answer_list(str_of(LIST(ROW("x", "1"))), &l, &p, &e) == -1 &&
            e.kind == ERR_REFUSED,
        "one of another place is refused");
    err_clear(&e);
    ok(answer_list(str_of(LIST("<CommonPrefixes><Prefix>a/</Prefix>"
                               "</CommonPrefixes>")),
           &l, &p, &e) == -1,
        "and such a folder");
    is_str(b.p, "a/b/c:1::0 ", "and not told");
}

static void no_list(const char *text, const char *name)
{
    struct buf b AUTO(buf_free) = BUF_INIT(4096);
    struct answer_page p;
    struct err e = ERR_INIT;

    ok(read_list(text, &b, &p, &e) == -1 && e.kind == ERR_REFUSED &&
            (b.len == 0 || strstr(name, "row") != NULL),
        "refused: %s", name);
}

static void bad_lists(void)
{
    no_list("<html/>", "another document");
    no_list("<ListBucketResult>" ROW("a", "1"), "half a page");
    no_list(LIST(ROW("a", "1") "<IsTruncated>true</IsTruncated>"),
        "more, and not from where");
    no_list(LIST(ROW("", "1")), "a row without a key");
    no_list(LIST("<Contents><Size>1</Size></Contents>"), "a row with no key");
    no_list(LIST(ROW("a", "-1")), "a row of a negative size");
    no_list(LIST(ROW("a", "99999999999999999999")), "a row of a huge size");
    no_list(LIST("<EncodingType>url</EncodingType>" ROW("a%0", "1")),
        "a row encoded badly");
    no_list(LIST("<EncodingType>url</EncodingType>" ROW("a%00b", "1")),
        "a row with a NUL");
    no_list(LIST(ROW("a", "1") "<Contents><Size>1</Size></Contents>"),
        "a row that has the last one's key");
}

static int note_part(void *arg, const struct s3_part *part, struct err *e)
{
    (void)e;
    buf_printf(arg, "%u:%llu:%s ", part->number, (unsigned long long)part->size,
        part->etag);
    return 0;
}

static int note_upload(void *arg, const struct s3_upload *u, struct err *e)
{
    (void)e;
    buf_printf(arg, "%s:%s:%lld ", u->key, u->upload, (long long)u->begun_s);
    return 0;
}

static void multiparts(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(4096);
    struct answer_page p;
    struct err e = ERR_INIT;
    char word[S3_UPLOAD_MAX];

    ok(answer_parts(
           str_of("<ListPartsResult><Part><PartNumber>2</PartNumber><ETag>"
                  "&quot;e&quot;</ETag><Size>5</Size></Part><IsTruncated>false"
                  "</IsTruncated></ListPartsResult>"),
           note_part, &b, &p, &e) == 0 &&
            !p.more,
        "a page of parts");
    is_str(b.p, "2:5:e ", "its part");
    ok(answer_parts(
           str_of("<ListPartsResult><Part><PartNumber>10001</PartNumber><Size>5"
                  "</Size></Part></ListPartsResult>"),
           note_part, &b, &p, &e) == -1,
        "a part of no such number is refused");
    buf_clear(&b);
    err_clear(&e);
    ok(answer_uploads(
           str_of("<ListMultipartUploadsResult><EncodingType>url</EncodingType>"
                  "<IsTruncated>true</IsTruncated><NextKeyMarker>k%20"
                  "</NextKeyMarker><NextUploadIdMarker>u9"
                  "</NextUploadIdMarker><Upload><Key>k%20</Key><UploadId>u%20"
                  "</UploadId><Initiated>2026-01-31T23:59:58Z</Initiated>"
                  "</Upload></ListMultipartUploadsResult>"),
           note_upload, &b, &p, &e) == 0,
        "a page of uploads");
    is_str(b.p, "k :u%20:1769903998 ", "its upload: the id is not encoded");
    ok(p.more && strcmp(p.mark, "k ") == 0 && strcmp(p.mark2, "u9") == 0,
        "what leads to the next page");
    ok(answer_word(str_of("<InitiateMultipartUploadResult><UploadId>u1"
                          "</UploadId></InitiateMultipartUploadResult>"),
           "InitiateMultipartUploadResult/UploadId", word, sizeof(word),
           &e) == 0,
        "the id of an upload");
    is_str(word, "u1", "is read");
    ok(answer_word(str_of("<InitiateMultipartUploadResult/>"),
           "InitiateMultipartUploadResult/UploadId", word, sizeof(word),
           &e) == -1,
        "an answer without one is refused");
}

static void errors(void)
{
    struct answer_error a;

    ok(answer_is_error(str_of("  <?xml version='1.0'?>\n<Error><Code>SlowDown"
                              "</Code><Message>a\tb</Message><Region>eu-1"
                              "</Region></Error>"),
           &a),
        "an error");
    is_str(a.code, "SlowDown", "its code");
    is_str(a.region, "eu-1", "its region");
    ok(!answer_is_error(str_of("<CopyObjectResult/>"), &a) && a.code[0] == '\0',
        "another answer is none");
    ok(!answer_is_error(str_of(""), &a), "nothing is none");
    ok(answer_is_error(str_of("<Error><Code>Cut"), &a),
        "an error that is cut off is one");
}

static void small_things(void)
{
    char tag[S3_ETAG_MAX];
    int64_t s = 5;

    answer_etag(tag, "W/\"abc-2\"");
    is_str(tag, "abc-2", "a tag without quotes and mark");
    answer_etag(tag, "\"a\nb\"");
    is_str(tag, "", "no tag has a line's end");
    answer_etag(tag, NULL);
    is_str(tag, "", "none is none");
    ok(stamp_http(str_of("Sat, 31 Jan 2026 23:59:58 GMT"), &s) &&
            s == 1769903998,
        "a time of HTTP");
    ok(!stamp_http(str_of("Saturday, 31-Jan-26 23:59:58 GMT"), &s) &&
            !stamp_http(str_of("Sat, 31 Foo 2026 23:59:58 GMT"), &s) &&
            !stamp_http(str_of(""), &s) && s == 1769903998,
        "no other");
    ok(stamp_iso(str_of("2026-01-31T23:59:58Z"), &s) && s == 1769903998,
        "a time of XML");
    ok(!stamp_iso(str_of("2026-01-31T23:59:58"), &s) &&
            !stamp_iso(str_of("2026-13-31T23:59:58Z"), &s) &&
            !stamp_iso(str_of("2026-01-31T23:59:58.Zx"), &s),
        "no other");
}

int main(void)
{
    lists();
    other_place();
    bad_lists();
    multiparts();
    errors();
    small_things();
    return done();
}
