/* What a request asks for, and what never reaches the file system. */
#include "serve/route.h"

#include "tests/unit/tap.h"

static struct route ask_of(const char *method, const char *target)
{
    struct route r;

    route_parse(&r, str_of(method), str_of(target), "");
    return r;
}

static void is(const char *target, enum route_kind kind, const char *id,
    const char *revision, const char *path)
{
    struct route r = ask_of("GET", target);

    ok(r.kind == kind && strcmp(r.repo.id, id) == 0 &&
            strcmp(r.repo.revision, revision) == 0 && strcmp(r.path, path) == 0,
        "%s", target);
    if (r.kind != kind || strcmp(r.repo.id, id) != 0 ||
        strcmp(r.repo.revision, revision) != 0 || strcmp(r.path, path) != 0)
        printf("# kind %d id '%s' revision '%s' path '%s'\n", r.kind, r.repo.id,
            r.repo.revision, r.path);
}

static void files(void)
{
    is("/o/n/resolve/main/a.bin", ROUTE_RESOLVE, "o/n", "main", "a.bin");
    is("/o/n/resolve/main/a/b/c.bin?download=true", ROUTE_RESOLVE, "o/n",
        "main", "a/b/c.bin");
    is("/gpt2/resolve/main/config.json", ROUTE_RESOLVE, "gpt2", "main",
        "config.json");
    is("/datasets/o/n/resolve/refs%2Fpr%2F1/a", ROUTE_RESOLVE, "o/n",
        "refs/pr/1", "a");
    is("/datasets/squad/resolve/v1.0/a", ROUTE_RESOLVE, "squad", "v1.0", "a");
    is("/spaces/o/n/resolve/main/app.py", ROUTE_RESOLVE, "o/n", "main",
        "app.py");
    is("/o/n/resolve/main/a%20b%2Bc%23d%3Fe%25f", ROUTE_RESOLVE, "o/n", "main",
        "a b+c#d?e%f");
    is("/o/n/resolve/main/a+b", ROUTE_RESOLVE, "o/n", "main", "a+b");
    is("/o/n/resolve/main/%C3%A9%F0%9F%A4%97", ROUTE_RESOLVE, "o/n", "main",
        "\xC3\xA9\xF0\x9F\xA4\x97");
    is("/o/n/resolve/main/sub%2Ffile", ROUTE_RESOLVE, "o/n", "main",
        "sub/file");
    ok(ask_of("GET", "/datasets/o/n/resolve/main/a").repo.type == REPO_DATASET,
        "a data set is one");
    ok(ask_of("HEAD", "/o/n/resolve/main/a").head, "HEAD is HEAD");
}

static void listings(void)
{
    struct route r;

    is("/api/models/o/n", ROUTE_INFO, "o/n", "main", "");
    is("/api/models/gpt2", ROUTE_INFO, "gpt2", "main", "");
    is("/api/models/o/n/revision/v1", ROUTE_INFO, "o/n", "v1", "");
    is("/api/models/gpt2/revision/v1", ROUTE_INFO, "gpt2", "v1", "");
    is("/api/models/o/n/tree/main", ROUTE_TREE, "o/n", "main", "");
    is("/api/models/gpt2/tree/main", ROUTE_TREE, "gpt2", "main", "");
    is("/api/models/o/n/tree/main/sub%2Fdir", ROUTE_TREE, "o/n", "main",
        "sub/dir");
    is("/api/models/o/n/tree/refs%2Fpr%2F2/sub/dir?recursive=true", ROUTE_TREE,
        "o/n", "refs/pr/2", "sub/dir");
    is("/api/datasets/o/n/refs", ROUTE_REFS, "o/n", "main", "");
    is("/api/models/gpt2/refs", ROUTE_REFS, "gpt2", "main", "");
    is("/api/models/o/n/commits/main", ROUTE_COMMITS, "o/n", "main", "");
    is("/api/models/o/n/auth-check", ROUTE_AUTH_CHECK, "o/n", "main", "");
    is("/api/models/o/n/xet-read-token/main", ROUTE_XET, "o/n", "main", "");
    r = ask_of("POST", "/api/models/o/n/paths-info/main");
    is_int(r.kind, ROUTE_PATHS_INFO, "paths-info is a POST");
    r = ask_of("GET", "/api/models/o/n/tree/main?recursive=true&expand=True");
    ok(r.recursive && r.expand, "what a query says");
    r = ask_of("GET", "/api/models/o/n/tree/main?recursive=false&blobs=1");
    ok(!r.recursive && r.blobs, "and what it does not");
}

static void own(void)
{
    is("/", ROUTE_PAGE, "", "", "");
    is("/healthz", ROUTE_HEALTH, "", "", "");
    is("/metrics", ROUTE_METRICS, "", "", "");
    is("/api/whoami-v2", ROUTE_WHOAMI, "", "", "");
    is_int(ask_of("HEAD", "/api/telemetry/a/b").kind, ROUTE_TELEMETRY,
        "telemetry");
    is_int(ask_of("GET", "/api/models?search=x").kind, ROUTE_OTHER, "a search");
    is_int(ask_of("GET", "/o/n/info/refs?service=git-upload-pack").kind,
        ROUTE_OTHER, "git");
    is_int(ask_of("POST", "/api/models/o/n/commit/main").kind, ROUTE_OTHER,
        "a commit");
    is_int(ask_of("DELETE", "/api/models/o/n").kind, ROUTE_METHOD, "DELETE");
    is_int(ask_of("PUT", "/o/n/resolve/main/a").kind, ROUTE_METHOD, "PUT");
    is_int(ask_of("GET", "/api/models/o/n/paths-info/main").kind, ROUTE_METHOD,
        "paths-info without a body");
}

static void prefixes(void)
{
    static const struct {
        const char *target;
        enum route_kind kind;
    } v[] = { { "/hub/x/healthz", ROUTE_HEALTH }, { "/hub/x", ROUTE_PAGE },
        { "/hub/x/", ROUTE_PAGE }, { "/hub/x?a", ROUTE_PAGE },
        { "/hub/xy/healthz", ROUTE_NOWHERE }, { "/healthz", ROUTE_NOWHERE },
        { "/hub/x/o/n/resolve/main/a", ROUTE_RESOLVE } };
    struct route r;

    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        route_parse(&r, str_of("GET"), str_of(v[i].target), "/hub/x");
        is_int(r.kind, v[i].kind, v[i].target);
    }
}

static void is_refused(const char *target, enum route_kind kind)
{
    struct route r = ask_of("GET", target);

    is_int(r.kind, kind, target);
}

static void refused(void)
{
    is_refused("", ROUTE_BAD);
    is_refused("o/n/resolve/main/a", ROUTE_BAD);
    is_refused("http://other/healthz", ROUTE_BAD);
    is_refused("*", ROUTE_BAD);
    is_refused("/o/n/resolve/main/a b", ROUTE_BAD);
    is_refused("/o/n/resolve/main/../a", ROUTE_BAD);
    is_refused("/o/n/resolve/main/%2e%2e/a", ROUTE_BAD);
    is_refused("/o/n/resolve/main/a%2f..%2fb", ROUTE_BAD);
    is_refused("/o/n/resolve/main/./a", ROUTE_BAD);
    is_refused("/o/n/resolve/main//a", ROUTE_BAD);
    is_refused("/o/n/resolve/main/a%00", ROUTE_BAD);
    is_refused("/o/n/resolve/main/a%2", ROUTE_BAD);
    is_refused("/o/n/resolve/main/a%zz", ROUTE_BAD);
    is_refused("/o/n/resolve/main/a%0ab", ROUTE_BAD);
    is_refused("/o/n/resolve/main/%2fetc", ROUTE_BAD);
    is_refused("/o/n/resolve/main/a%5cb", ROUTE_BAD);
    is_refused("/api/models/o/n/tree/main/..", ROUTE_BAD);
    is_refused("/../n/resolve/main/a", ROUTE_NO_REPO);
    is_refused("/%2e%2e/n/resolve/main/a", ROUTE_NO_REPO);
    is_refused("/api/models/..%2f..", ROUTE_NO_REPO);
    is_refused("/api/models/o/..", ROUTE_NO_REPO);
    is_refused("/api/models/o%00/n", ROUTE_NO_REPO);
    is_refused("/api/models/o/n@v1", ROUTE_NO_REPO);
    is_refused("/api/models/hf:%2f%2fo/n", ROUTE_NO_REPO);
    is_refused("/api/models/o/n.git", ROUTE_NO_REPO);
    is_refused("/api/models//n", ROUTE_NO_REPO);
    is_refused("/api/models/o--p/n", ROUTE_NO_REPO);
    is_refused("/api/models/datasets/n", ROUTE_NO_REPO);
    is_refused("/datasets%2fn/resolve/main/a", ROUTE_NO_REPO);
    is_refused("/api/models/spaces%2fn", ROUTE_NO_REPO);
    is_refused("/o/n/resolve/..%2f..%2fx/a", ROUTE_NO_REVISION);
    is_refused("/o/n/resolve/a..b/a", ROUTE_NO_REVISION);
    is_refused("/o/n/resolve/%2fetc/a", ROUTE_NO_REVISION);
    is_refused("/o/n/resolve/a:b/a", ROUTE_NO_REVISION);
    is_refused("/o/n/resolve//a", ROUTE_NO_REVISION);
}

static void lengths(void)
{
    char target[9000];
    struct route r;

    memset(target, 'a', sizeof(target));
    target[0] = '/';
    route_parse(&r, str_of("GET"), (struct str){ target, sizeof(target) }, "");
    is_int(r.kind, ROUTE_BAD, "a target that is too long");
    for (size_t i = 0; i < sizeof(target); i += 2)
        target[i] = '/';
    route_parse(&r, str_of("GET"), (struct str){ target, 8000 }, "");
    is_int(r.kind, ROUTE_BAD, "a target of too many parts");
    route_parse(&r, str_of("GET"), (struct str){ "/a\0b", 4 }, "");
    is_int(r.kind, ROUTE_BAD, "NUL in a target");
    memset(target, 'a', sizeof(target));
    memcpy(target, "/o/n/resolve/main/", 18);
    for (size_t i = 18 + 200; i < 18 + 1024; i += 201)
        target[i] = '/';
    route_parse(&r, str_of("GET"), (struct str){ target, 18 + 1024 }, "");
    is_int(r.kind, ROUTE_RESOLVE, "the longest path");
    route_parse(&r, str_of("GET"), (struct str){ target, 18 + 1025 }, "");
    is_int(r.kind, ROUTE_BAD, "one that is longer");
}

static void forms(void)
{
    struct str rest = str_of("&paths=a%2Fb&&x&paths=&=y"), name, value;
    char got[200] = "", out[8];

    while (route_pair(&rest, &name, &value))
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "[%.*s|%.*s]",
            STR_ARG(name), STR_ARG(value));
    is_str(got, "[paths|a%2Fb][x|][paths|][|y]", "pairs of a form");
    is_int(route_decode(out, sizeof(out), str_of("a+%2B"), true), 3, "a form");
    is_str(out, "a +", "its blanks");
    is_int(route_decode(out, sizeof(out), str_of("1234567"), false), 7, "fits");
    is_int(route_decode(out, sizeof(out), str_of("12345678"), false), -1,
        "does not fit");
}

int main(void)
{
    files();
    listings();
    own();
    prefixes();
    refused();
    lengths();
    forms();
    return done();
}
