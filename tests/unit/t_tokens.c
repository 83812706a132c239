/* Who may ask, and for what; and that no token is ever said. */
#include "serve/tokens.h"

#include "base/hash.h"

#include "tests/unit/tap.h"

#define ALICE "hf_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BOB "hf_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define CAROL "hf_cccccccccccccccccccccccccccccccccc"

static struct repo repo_of(enum repo_type type, const char *id)
{
    struct err e = ERR_INIT;
    struct repo r;

    repo_parse(&r, type, id, &e);
    return r;
}

static enum tokens_answer ask(const struct tokens *t, const char *token,
    enum repo_type type, const char *id)
{
    struct repo r = repo_of(type, id);
    char header[600];

    snprintf(header, sizeof(header), "Bearer %s", token);
    return tokens_check(t, header, &r);
}

static void answers(void)
{
    struct err e = ERR_INIT;
    struct digest d;
    char text[1024];
    struct tokens *t;

    hash_bytes(HASH_SHA256, CAROL, strlen(CAROL), &d, &e);
    snprintf(text, sizeof(text),
        "# guests\n\n" ALICE " acme/* datasets/acme/*\r\n"
        "  " BOB "\t*\nsha256:%s acme/one # not *",
        d.hex);
    t = tokens_parse(str_of(text), "guests", &e);
    if (!ok(t != NULL, "a file of tokens")) {
        printf("# %s\n", e.msg);
        return;
    }
    is_int((long long)tokens_count(t), 3, "has three");
    is_int(ask(t, ALICE, REPO_MODEL, "acme/one"), TOKENS_YES, "her models");
    is_int(ask(t, ALICE, REPO_DATASET, "acme/one"), TOKENS_YES, "her data");
    is_int(ask(t, ALICE, REPO_SPACE, "acme/one"), TOKENS_NOT_THIS, "no space");
    is_int(ask(t, ALICE, REPO_MODEL, "other/one"), TOKENS_NOT_THIS, "no other");
    is_int(ask(t, BOB, REPO_SPACE, "other/one"), TOKENS_YES, "everything");
    is_int(ask(t, CAROL, REPO_MODEL, "acme/one"), TOKENS_YES, "by a digest");
    is_int(ask(t, CAROL, REPO_MODEL, "acme/two"), TOKENS_NOT_THIS, "only one");
    is_int(ask(t, ALICE "a", REPO_MODEL, "acme/one"), TOKENS_WRONG, "longer");
    is_int(ask(t, d.hex, REPO_MODEL, "acme/one"), TOKENS_WRONG,
        "the digest is not the token");
    is_int(tokens_check(t, NULL, NULL), TOKENS_NO_TOKEN, "none");
    is_int(tokens_check(t, "", NULL), TOKENS_NO_TOKEN, "an empty one");
    is_int(tokens_check(t, ALICE, NULL), TOKENS_WRONG, "without its scheme");
    is_int(tokens_check(t, "Basic " ALICE, NULL), TOKENS_WRONG, "another one");
    is_int(tokens_check(t, "bearer " ALICE, NULL), TOKENS_YES, "in any case");
    is_int(tokens_check_all(t, "Bearer " ALICE), TOKENS_NOT_THIS,
        "not all may see all");
    is_int(tokens_check_all(t, "Bearer " BOB), TOKENS_YES, "some may");
    tokens_free(t);
}

static void is_refused(const char *text, const char *what)
{
    struct err e = ERR_INIT;
    struct tokens *t = tokens_parse(str_of(text), "guests", &e);

    ok(t == NULL && e.kind == ERR_REFUSED, "%s", what);
    ok(strstr(e.msg, "aaaa") == NULL && strstr(e.hint, "aaaa") == NULL &&
            strstr(e.msg, "secret") == NULL,
        "%s: nothing of it is said", what);
    tokens_free(t);
}

int main(void)
{
    answers();
    is_refused("", "an empty file");
    is_refused("# nobody\n", "nobody in it");
    is_refused(ALICE "\n", "a token that may have nothing");
    is_refused("hf_aaaa *\n", "a short one");
    is_refused("secretsecretsecretsecretsecretsecretsecretsecret *\n",
        "one of another shape");
    is_refused("hf_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-aaaa *\n",
        "one with other marks");
    is_refused("sha256:aaaa *\n", "a short digest");
    return done();
}
