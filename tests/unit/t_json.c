#include "base/json.h"

#include "tests/unit/tap.h"

#define SHA1 "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"

static bool parses(const char *text, unsigned flags)
{
    struct json_doc d AUTO(json_free) = JSON_DOC_INIT;
    struct err e = ERR_INIT;

    return json_parse(&d, str_of(text), flags, &e) == 0;
}

static void strictness(void)
{
    static const char *const good[] = { "{}", "[]", " {\"a\" : [1, -2.5e3]} ",
        "\"\\u00e9\\ud83d\\ude00\"", "0", "null", "[0.1]", "{\"\":1}",
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]" };
    static const char *const bad[] = { "", "{", "[1,]", "{\"a\":1,}",
        "{\"a\" 1}", "{a:1}", "[01]", "[1.]", "[.5]", "[+1]", "[1e]", "[-]",
        "[NaN]", "[Infinity]", "'a'", "\"\\x\"", "\"\\ud800\"", "\"\\udc00\"",
        "\"\\ud800\\u0041\"", "\"\\u0000\"", "\"a\nb\"", "\"\xff\"", "{} {}",
        "[1] x", "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "[\"a]", "tru",
        "[1 2]", "]", "\xEF\xBB\xBF{}", "[1e999]",
        "[{\"x\":{\"b\":1,\"b\":1}}]" };
    static const char *const not_plain[] = { "[-1]", "[4.0]", "[4e0]" };
    char deep[600];

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ok(parses(good[i], 0), "accepted: %s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ok(!parses(bad[i], 0), "refused: case %zu", i);
    for (size_t i = 0; i < ARRAY_LEN(not_plain); i++)
        ok(parses(not_plain[i], 0) && !parses(not_plain[i], JSON_PLAIN_INTS),
            "%s is JSON, but no plain integer", not_plain[i]);
    memset(deep, '[', 300);
    memset(deep + 300, ']', 300);
    ok(json_parse(&(struct json_doc)JSON_DOC_INIT, (struct str){ deep, 600 }, 0,
           &(struct err)ERR_INIT) == -1,
        "300 levels are too deep");
    ok(json_parse(&(struct json_doc)JSON_DOC_INIT, (struct str){ "{}\0", 3 }, 0,
           &(struct err)ERR_INIT) == -1,
        "a NUL behind the document is refused");
}

static void values(void)
{
    static const char text[] = "{\"s\":\"t\\n\",\"n\":42,\"big\":"
                               "9007199254740993,\"f\":1.5,\"b\":true,"
                               "\"a\":[1,2,3],\"neg\":-7,\"z\":null,"
                               "\"h\":\"" SHA1 "\"}";
    struct json_doc d AUTO(json_free) = JSON_DOC_INIT;
    struct buf out AUTO(buf_free) = BUF_INIT(1000);
    struct err e = ERR_INIT;
    struct digest digest;
    const char *s = "";
    uint64_t u = 5;
    int64_t i = 0;
    double f = 0;
    bool b = false;

    is_int(json_parse(&d, str_of(text), 0, &e), 0, "parses");
    ok(json_str(json_get(d.root, "s"), &s) && strcmp(s, "t\n") == 0, "text");
    ok(json_u64(json_get(d.root, "n"), &u) && u == 42, "integer");
    u = 5;
    ok(!json_u64(json_get(d.root, "big"), &u) && u == 5,
        "2^53 + 1, which a double cannot hold, is none");
    ok(!json_u64(json_get(d.root, "f"), &u) && u == 5,
        "a fraction is no integer; the default stays");
    ok(!json_u64(json_get(d.root, "neg"), &u), "nor is it unsigned");
    ok(json_i64(json_get(d.root, "neg"), &i) && i == -7, "signed");
    ok(json_double(json_get(d.root, "f"), &f) && f == 1.5, "number");
    ok(json_bool(json_get(d.root, "b"), &b) && b, "truth");
    ok(json_digest(json_get(d.root, "h"), HASH_GIT_SHA1, &digest) &&
            strcmp(digest.hex, SHA1) == 0,
        "digest");
    ok(!json_digest(json_get(d.root, "h"), HASH_SHA256, &digest) &&
            !json_digest(json_get(d.root, "s"), HASH_SHA256, &digest) &&
            !json_digest(json_get(d.root, "b"), HASH_SHA256, &digest),
        "one of another kind is none, nor are other texts and values");
    is_int((long long)json_count(json_get(d.root, "a")), 3, "three items");
    ok(json_get(d.root, "none") == NULL && json_get(NULL, "x") == NULL,
        "what is not there is NULL");
    ok(json_kind(json_get(d.root, "z")) == JSON_NULL, "null is null");
    json_write(&out, json_get(d.root, "a"));
    is_str(out.p, "[1,2,3]", "written again");
    buf_clear(&out);
    json_quote(&out, str_of("a\"\\\x01\xff\xc3\xa9"));
    is_str(out.p, "\"a\\\"\\\\\\u0001\xEF\xBF\xBD\xc3\xa9\"",
        "quoting escapes what it must and mends bad UTF-8");
}

static void truncation(void)
{
    static const char text[] = "{\"a\":[1,{\"b\":\"\\ud83d\\ude00x\"},true]}";
    size_t n = sizeof(text) - 1;
    bool all = true;

    for (size_t i = 0; i < n; i++) {
        struct json_doc d AUTO(json_free) = JSON_DOC_INIT;
        struct err e = ERR_INIT;
        all = all && json_parse(&d, (struct str){ text, i }, 0, &e) == -1;
    }
    ok(all, "a document cut anywhere is refused");
}

int main(void)
{
    strictness();
    values();
    truncation();
    return done();
}
