#include "net/url.h"

#include "tests/unit/tap.h"

static void origins(void)
{
    static const struct {
        const char *a, *b;
        bool same;
    } t[] = {
        { "https://h.co/x", "https://h.co/y?z", true },
        { "https://h.co", "https://H.CO:443/", true },
        { "http://h.co/", "http://h.co:80", true },
        { "https://h.co/", "http://h.co/", false },
        { "https://h.co/", "https://h.co:8443/", false },
        { "https://h.co/", "https://h.co.evil.com/", false },
        { "https://h.co/", "https://evil.com/h.co", false },
        { "https://h.co/", "https://h.co@evil.com/", false },
        { "https://h.co/", "https://evil.com@h.co/", false },
        { "https://h.co/", "https://h.co\\@evil.com/", false },
        { "https://h.co/", "https://h.co%2eevil.com/", false },
        { "https://h.co/", "//h.co/", false },
        { "https://h.co/", "h.co", false },
        { "https://h.co/", "https://", false },
        { "https://h.co/", "https://h.co:/", false },
        { "https://h.co/", "https://h.co:99999/", false },
        { "http://[::1]:8/", "http://[::1]:8/x", true },
        { "http://[::1]:8/", "http://[::2]:8/x", false },
        { "http://[::1/", "http://[::1/", false },
        { "http://127.0.0.1:80/", "http://127.0.0.2:80/", false },
        { "ftp://h.co/", "ftp://h.co/", false },
    };

    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        ok(url_same_origin(t[i].a, t[i].b) == t[i].same, "%s and %s: %s",
            t[i].a, t[i].b, t[i].same ? "same" : "not the same");
        ok(url_same_origin(t[i].b, t[i].a) == t[i].same, "and back");
    }
    ok(url_downgrades("https://a/", "http://a/") &&
            !url_downgrades("http://a/", "https://a/") &&
            !url_downgrades("https://a/", "https://b/"),
        "https to http is a downgrade");
}

static void encodes(const char *in, bool slash, const char *want)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1000);

    url_encode(&b, str_of(in), slash);
    is_str(b.p, want, want);
}

static void encoding(void)
{
    encodes("refs/pr/1", false, "refs%2Fpr%2F1");
    encodes(
        "sub dir/nested \xc3\xa9.txt", true, "sub%20dir/nested%20%C3%A9.txt");
    encodes("a#b?c%d+e", true, "a%23b%3Fc%25d%2Be");
    encodes("+@:,=&()!'*", true, "%2B%40%3A%2C%3D%26%28%29%21%27%2A");
    encodes("AZaz09_.-~", false, "AZaz09_.-~");
}

static void endpoint(const char *in, const char *want)
{
    struct err e = ERR_INIT;
    char out[64];
    int rc = url_endpoint(out, sizeof(out), in, &e);

    if (want != NULL)
        ok(rc == 0 && strcmp(out, want) == 0, "endpoint %s", in);
    else
        ok(rc == -1 && e.kind == ERR_USAGE, "endpoint '%s' is refused", in);
}

static void secrets(void)
{
    struct err e = ERR_INIT;
    char out[64];

    ok(url_endpoint(out, sizeof(out), "https://u:s3cret@h.co?k=s3cret", &e) ==
                -1 &&
            strstr(e.msg, "s3cret") == NULL && strstr(e.msg, "h.co") != NULL,
        "a refused endpoint is named without its secrets");
}

static void endpoints(void)
{
    endpoint("https://huggingface.co", "https://huggingface.co");
    endpoint("http://localhost:8080///", "http://localhost:8080");
    endpoint("https://mirror.org/hf/", "https://mirror.org/hf");
    endpoint("", NULL);
    endpoint("huggingface.co", NULL);
    endpoint("ftp://x", NULL);
    endpoint("https://h.co/?a", NULL);
    endpoint("https://user:pass@h.co", NULL);
    endpoint("https://0123456789012345678901234567890123456789012345678901234"
             "567890123456789",
        NULL);
}

static void showing(void)
{
    char out[URL_SHOW_MAX];

    is_str(url_show(out, "https://h.co/a?Signature=s#f"), "https://h.co/a",
        "no query is shown");
    is_str(url_show(out, "https://u:p@h.co/a"), "https://h.co/a",
        "no user is shown");
    is_str(url_show(out, "https://h.co?x"), "https://h.co", "without a path");
    is_str(url_show(out, "/a?t=s&u=http://h.co"), "/a",
        "a scheme in a query is none");
    is_str(url_show(out, "u:p@h.co/a?x"), "h.co/a", "no user without a scheme");
    is_str(url_host(out, "https://u@h.co:8/a?b"), "h.co:8", "the host");
    is_str(url_host(out, "http://h.co?a/b"), "h.co", "the host, no path");
}

int main(void)
{
    origins();
    encoding();
    endpoints();
    secrets();
    showing();
    return done();
}
