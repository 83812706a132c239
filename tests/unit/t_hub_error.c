#include "fetch/hub_error.h"

#include "cache/hubdir.h"
#include "fetch/hub.h"
#include "fetch/token.h"
#include "fetch/treepage.h"
#include "tests/unit/tap.h"

static const struct repo repo = { REPO_MODEL, "org/name", "v9", "" };
static struct token none;
static struct token some = { .value = "hf_secret", .source = "HF_TOKEN" };

static char texts[32][480];
static size_t n_texts;

static void says(const struct hub_answer *a, const struct token *token,
    enum err_kind kind, const char *part, const char *name)
{
    struct hub_question q = { "https://hub.example", &repo, "a/b.bin", token };
    struct err e = ERR_INIT;
    bool new = true;

    ok(hub_error(a, &q, &e) == -1 && e.kind == kind &&
            strstr(e.msg, part) != NULL && strstr(e.msg, "hf_secret") == NULL &&
            strstr(e.hint, "hf_secret") == NULL,
        "%s", name);
    ok(token != &none || strstr(e.hint, "HF_TOKEN") == NULL ||
            strstr(e.hint, "mlfetch login") != NULL,
        "who is told of HF_TOKEN is told of login");
    printf("#   %s\n#   hint: %s\n", e.msg, e.hint);
    for (size_t i = 0; i < n_texts; i++)
        new = new &&strcmp(texts[i], e.msg) != 0;
    ok(new, "in words of its own");
    memcpy(texts[n_texts++], e.msg, sizeof(e.msg));
}

static void refusals(void)
{
    struct hub_answer a = { .status = 404,
        .code = "RevisionNotFound",
        .message = "Invalid rev id: v9" };

    says(&a, &none, ERR_MISSING, "'v9'", "revision");
    a.code = "entrynotfound";
    says(&a, &none, ERR_MISSING, "a/b.bin", "file; codes in any case");
    a = (struct hub_answer){ .status = 401, .code = "GatedRepo" };
    says(&a, &none, ERR_AUTH, "none was found", "gated, no token");
    says(&a, &some, ERR_AUTH, "HF_TOKEN", "gated, bad token");
    a.status = 403;
    says(&a, &some, ERR_AUTH, "no access", "gated, not granted");
    a.message = "Your request to access model X is awaiting a review";
    says(&a, &some, ERR_AUTH, "waiting", "gated, asked for");
    a = (struct hub_answer){ .status = 403,
        .message = "Access to this resource is disabled." };
    says(&a, &some, ERR_AUTH, "disabled", "disabled");
    a = (struct hub_answer){ .status = 404, .code = "RepoNotFound" };
    says(&a, &some, ERR_MISSING, "may not see", "missing, with a token");
    a = (struct hub_answer){ .status = 401,
        .message = "Invalid username or password." };
    says(&a, &none, ERR_MISSING, "no token", "missing, without");
    a.message = "Invalid credentials in Authorization header";
    says(&a, &some, ERR_AUTH, "does not accept", "bad token");
    a = (struct hub_answer){ .status = 403,
        .message = "Enable access to "
                   "public gated repos" };
    says(&a, &some, ERR_AUTH, "public gated repos", "forbidden");
}

static void plain_404(void)
{
    struct hub_answer a = { .status = 404 };

    says(&a, &none, ERR_MISSING, "(404)", "404 without a code");
    a = (struct hub_answer){ .status = 410, .message = "gone for good" };
    says(&a, &none, ERR_MISSING, "gone for good", "410");
}

static void troubles(void)
{
    struct hub_answer a = { .status = 429, .wait_s = 164 };

    says(&a, &some, ERR_NET, "164 s", "429 with a time");
    a.wait_s = 0;
    says(&a, &some, ERR_NET, "429", "429 without");
    a.status = 503;
    says(&a, &none, ERR_NET, "503", "503");
    a.status = 407;
    says(&a, &none, ERR_NET, "the proxy", "407 is not the Hub's");
    a = (struct hub_answer){ .status = 418,
        .body = str_of("{\"error\": [\"first\", \"second\"]}") };
    says(&a, &none, ERR_NET, "first", "a list of errors");
    a.body = str_of("{\"error\": \"plain\", \"error_description\": \"x\"}");
    says(&a, &none, ERR_NET, "plain", "one error");
    a.body = str_of("{\"errors\": [{\"message\": \"inner\"}]}");
    says(&a, &none, ERR_NET, "inner", "errors with messages");
    a.body = str_of("{\"error\": {\"a\": [}");
    says(&a, &none, ERR_NET, "418", "a body that is no JSON");
    a.status = 419;
    a.body = str_of("{\"error\": \"\\u001b[31mred\"}");
    says(&a, &none, ERR_NET, "\\x1b[31mred", "control characters are escaped");
}

static void etags(void)
{
    const char *hex = "ce013625030ba8dba906f756967f9e9ca394464a";
    char text[100];
    struct digest d;
    static const char *const bad[] = { "", "\"\"", "W/", "\"../../evil\"",
        "\"ce013625030ba8dba906f756967f9e9ca394464a", "\"abc\"",
        "\"CE013625030BA8DBA906F756967F9E9CA394464A\"" };

    snprintf(text, sizeof(text), "W/\"%s\"", hex);
    ok(hub_etag(text, &d) && strcmp(d.hex, hex) == 0, "weak");
    ok(hub_etag(text + 2, &d) && strcmp(d.hex, hex) == 0, "strong");
    ok(hub_etag(hex, &d) && d.kind == HASH_GIT_SHA1, "bare");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ok(!hub_etag(bad[i], &d), "no etag: %s", bad[i]);
}

static void links(void)
{
    static char out[16384];

    ok(treepage_next("<https://h/x?c=1>; rel=\"next\"", out) &&
            strcmp(out, "https://h/x?c=1") == 0,
        "a next page");
    ok(treepage_next(
           "<https://h/p>; rel=\"prev\", <https://h/n>; rel=\"next\"", out) &&
            strcmp(out, "https://h/n") == 0,
        "behind another one");
    ok(!treepage_next("<https://h/p>; rel=\"prev\"", out) &&
            !treepage_next("", out) &&
            !treepage_next("<https://h/p; rel=\"next\"", out) &&
            !treepage_next("rel=\"next\"", out),
        "none");
}

int main(void)
{
    refusals();
    plain_404();
    troubles();
    etags();
    links();
    return done();
}
