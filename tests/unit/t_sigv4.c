/* The signatures are those of botocore 1.29.27 for the same requests. */
#include "s3/sigv4.h"

#include "tests/unit/tap.h"

#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define PAIR(n, v)                                                             \
    {                                                                          \
        { (n), sizeof(n) - 1 },                                                \
        {                                                                      \
            (v), sizeof(v) - 1                                                 \
        }                                                                      \
    }

enum { TIME_S = 1769903998 }; /* 2026-01-31 23:59:58 */

static const struct sigv4_keys lasting = { "AKIDEXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL, "us-east-1" };
static const struct sigv4_keys session = { "test:tester", "testing",
    "AbC/+=tokAbC/+=tokAbC/+=tokAbC/+=tokAbC/+=tokAbC/+=tokAbC/+=tok"
    "AbC/+=tokAbC/+=tokAbC/+=tok",
    "us-east-1" };

struct vector {
    const char *name;
    const struct sigv4_keys *keys;
    const char *region;
    struct sigv4_request r;
    const char *names;
    const char *target;
    const char *signature;
};

static const struct sigv4_pair once[] = { PAIR("if-none-match", "*") };
static const struct sigv4_pair uploads[] = { PAIR("uploads", "") };
static const struct sigv4_pair list[] = { PAIR("prefix", "a/b c"),
    PAIR("list-type", "2"), PAIR("encoding-type", "url"), PAIR("a-b", "1"),
    PAIR("a", "2"), PAIR("a", "10") };
static const struct sigv4_pair part[] = { PAIR("uploadId", "x/y=="),
    PAIR("partNumber", "7") };
static const struct sigv4_pair source[] = { PAIR("x-amz-copy-source-range",
                                                "bytes=0-9"),
    PAIR("x-amz-copy-source", "/b/s%20") };
static const struct sigv4_pair note[] = { PAIR(
    "x-amz-meta-note", "  two   words  ") };

static const struct vector vectors[] = {
    { "a GET", &lasting, "us-east-1",
        { .method = "GET",
            .host = "examplebucket.s3.amazonaws.com",
            .path = { "/test.txt", 9 },
            .payload = SIGV4_EMPTY },
        "host;x-amz-content-sha256;x-amz-date", "/test.txt",
        "72fc252ae6f1453d87c7a3f67b439307e50b05c2fdd362aab7cb34eeba3ebaa1" },
    { "a conditional PUT of an odd key, beside a port", &lasting,
        "eu-central-1",
        { .method = "PUT",
            .host = "localhost:9000",
            .path = { "/b/a b+c/\xc3\xa9~%/x", 15 },
            .headers = once,
            .n_headers = 1,
            .payload = HELLO },
        "host;if-none-match;x-amz-content-sha256;x-amz-date",
        "/b/a%20b%2Bc/%C3%A9~%25/x",
        "85fd7c3d1abcf23c86d1c008b10951db60bf7a6e37053697967c907a069b6640" },
    { "a parameter without a value, a session", &session, "us-east-1",
        { .method = "POST",
            .host = "h.example",
            .path = { "/b/k", 4 },
            .query = uploads,
            .n_query = 1,
            .payload = SIGV4_EMPTY },
        "host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
        "/b/k?uploads=",
        "5df13def37a7c94f17e6ca137700cd2377ec88711175943e4e53fb2d4b0655b1" },
    { "parameters are sorted by name, then by value", &lasting, "us-east-1",
        { .method = "GET",
            .host = "h.example",
            .path = { "/b", 2 },
            .query = list,
            .n_query = 6,
            .payload = SIGV4_EMPTY },
        "host;x-amz-content-sha256;x-amz-date",
        "/b?a=10&a=2&a-b=1&encoding-type=url&list-type=2&prefix=a%2Fb%20c",
        "e60768b4bc1d119b3e30495703c4facb78db77a5debff092d850d54f06f84ff9" },
    { "headers are sorted by name alone", &session, "ap-south-1",
        { .method = "PUT",
            .host = "h.example",
            .path = { "/b/k", 4 },
            .query = part,
            .n_query = 2,
            .headers = source,
            .n_headers = 2,
            .payload = SIGV4_EMPTY },
        "host;x-amz-content-sha256;x-amz-copy-source;"
        "x-amz-copy-source-range;x-amz-date;x-amz-security-token",
        "/b/k?partNumber=7&uploadId=x%2Fy%3D%3D",
        "5404df10c485f1feb48279523aac599d3dd80e0e2d5ac696c9a4c2475a67e786" },
    { "blanks of values are squeezed; a payload that is not signed", &lasting,
        "us-east-1",
        { .method = "PUT",
            .host = "h.example",
            .path = { "/b/k", 4 },
            .headers = note,
            .n_headers = 1,
            .payload = SIGV4_UNSIGNED },
        "host;x-amz-content-sha256;x-amz-date;x-amz-meta-note", "/b/k",
        "a84d1ce41e26b529e6a4923027963ebe973df0bd36c9e67b2ced8506a3d9531c" },
    { "dots and slashes of a key stay", &lasting, "us-east-1",
        { .method = "GET",
            .host = "h.example",
            .path = { "//b/.././/k", 11 },
            .payload = SIGV4_EMPTY },
        "host;x-amz-content-sha256;x-amz-date", "//b/.././/k",
        "f20db052f06d4f515e625eb84453a9ab9d997dd9b84b88ecada8306b98852918" },
};

static bool has_line(const struct sigv4_signed *s, const char *line)
{
    for (size_t i = 0; s->line[i] != NULL; i++)
        if (strcmp(s->line[i], line) == 0)
            return true;
    return false;
}

static void check(const struct vector *v)
{
    struct sigv4_signed s AUTO(sigv4_signed_free) = SIGV4_SIGNED_INIT;
    struct sigv4_keys keys = *v->keys;
    struct sigv4_request r = v->r;
    struct err e = ERR_INIT;
    char want[1024];

    keys.region = v->region;
    r.time_s = TIME_S;
    snprintf(want, sizeof(want),
        "Authorization: AWS4-HMAC-SHA256 Credential=%s/20260131/%s/s3/"
        "aws4_request, SignedHeaders=%s, Signature=%s",
        keys.id, keys.region, v->names, v->signature);
    if (!ok(sigv4_sign(&s, &r, &keys, &e) == 0, "%s", v->name))
        return;
    is_str(s.line[0], want, "its signature");
    is_str(s.target.p, v->target, "its target");
    snprintf(want, sizeof(want), "x-amz-content-sha256: %s", r.payload);
    ok(has_line(&s, "x-amz-date: 20260131T235958Z") && has_line(&s, want) &&
            !has_line(&s, "host: h.example"),
        "its other lines");
}

static void presigned(void)
{
    static const struct sigv4_pair id[] = { PAIR("x-id", "GetObject") };
    struct sigv4_request r = { .method = "GET",
        .host = "h.example",
        .path = { "/b/a b+", 7 },
        .query = id,
        .n_query = 1,
        .time_s = TIME_S };
    struct buf url AUTO(buf_free) = BUF_INIT(8192);
    struct err e = ERR_INIT;

    ok(sigv4_presign(&url, &r, &lasting, 900, &e) == 0, "a presigned URL");
    is_str(url.p,
        "/b/a%20b%2B?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
        "AKIDEXAMPLE%2F20260131%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date="
        "20260131T235958Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&x-id="
        "GetObject&X-Amz-Signature=b50fc07a278f4f88712df952ef19171ae6728293e3"
        "ae5855eb39e946d4206e8e",
        "is botocore's, sorted");
    buf_clear(&url);
    ok(sigv4_presign(&url, &r, &session, 60, &e) == 0 &&
            str_ends(buf_str(&url),
                "&X-Amz-Signature=49041d1cef8a87a421c06d2771f0c1d049fe64bb46"
                "adfed1475c9b0f705b5c43"),
        "of a session, too");
}

static void refused(void)
{
    static const struct sigv4_pair split[] = { PAIR(
        "x-amz-meta-a", "1\r\nx-amz-meta-b: 2") };
    struct sigv4_signed s AUTO(sigv4_signed_free) = SIGV4_SIGNED_INIT;
    struct sigv4_request r = { .method = "GET",
        .host = "h",
        .path = { "/", 1 },
        .headers = split,
        .n_headers = 1,
        .payload = SIGV4_EMPTY };
    struct err e = ERR_INIT;

    ok(sigv4_sign(&s, &r, &lasting, &e) == -1 && e.kind == ERR_REFUSED,
        "a line's end in a header is refused");
    r.n_headers = 0;
    err_clear(&e);
    ok(sigv4_sign(&s, &r, NULL, &e) == 0 && s.line[1] == NULL &&
            has_line(&s, "x-amz-content-sha256: " SIGV4_EMPTY),
        "without keys nothing is signed");
}

int main(void)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
        check(&vectors[i]);
    presigned();
    refused();
    return done();
}
