/* Repository ids and revisions: what is accepted, what is refused. */
#include "cache/hubdir.h"
#include "cache/hubdir_internal.h"

#include "tests/unit/tap.h"

static const struct {
    const char *text, *id, *revision, *folder;
} good[] = {
    { "org/name", "org/name", "main", "models--org--name" },
    { "gpt2", "gpt2", "main", "models--gpt2" },
    { "o.r-g_/Na.me-1.4b", "o.r-g_/Na.me-1.4b", "main",
        "models--o.r-g_--Na.me-1.4b" },
    { "org/name@v1.0", "org/name", "v1.0", "models--org--name" },
    { "org/name@refs/pr/1", "org/name", "refs/pr/1", "models--org--name" },
    { "org/name@feature/x", "org/name", "feature/x", "models--org--name" },
    { "hf://org/name", "org/name", "main", "models--org--name" },
    { "hf://models/org/name@v2", "org/name", "v2", "models--org--name" },
    { "hf://models/name", "models/name", "main", "models--models--name" },
    { "hf://org/name@refs/pr/7", "org/name", "refs/pr/7", "models--org--name" },
    { "hf://datasets/org/name", "org/name", "main", "datasets--org--name" },
    { "hf://spaces/org/name", "org/name", "main", "spaces--org--name" },
};

static const char *const bad[] = {
    "",
    "/",
    "a/",
    "/a",
    "a/b/c",
    "../x",
    "a/..",
    "./a",
    "a//b",
    "-a/b",
    "a/b-",
    ".a/b",
    "a/b.",
    "a--b/c",
    "a/b--c",
    "a/b..c",
    "a/b.git",
    "a b/c",
    "a/b\n",
    "a/b@",
    "a/b@/x",
    "a/b@x/../y",
    "a/b@x y",
    "a/b@x\ny",
    "a/b@..",
    "a/b@x//y",
    "a/b@x:y",
    "a/b@x^",
    "a/b@x~1",
    "a/b@x*",
    "a/b@[x]",
    "a/b@\\x",
    "hf://gpt2",
    "hf://",
    "hf://a",
    "hf://a/b/c",
    "hf://a/b@main/config.json",
    "hf://a@x/b",
    "https://huggingface.co/a/b",
    "a/\xC3\xA9",
};

static void test_good(void)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct err e = ERR_INIT;
        struct repo r;

        ok(repo_parse(&r, REPO_MODEL, good[i].text, &e) == 0 &&
                strcmp(r.id, good[i].id) == 0 &&
                strcmp(r.revision, good[i].revision) == 0 &&
                strcmp(r.folder, good[i].folder) == 0,
            "'%s' is %s at %s", good[i].text, good[i].id, good[i].revision);
    }
}

static void test_bad(void)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = ERR_INIT;
        struct repo r;

        ok(repo_parse(&r, REPO_MODEL, bad[i], &e) == -1 &&
                e.kind == ERR_USAGE && strchr(e.msg, '\n') == NULL,
            "bad id %zu is refused as wrong usage", i);
    }
}

static void test_long(void)
{
    struct err e = ERR_INIT;
    char text[400] = "a/b@";
    struct repo r;

    memset(text + 4, 'x', 255);
    ok(repo_parse(&r, REPO_MODEL, text, &e) == 0 && strlen(r.revision) == 255,
        "a revision of 255 bytes");
    text[4 + 255] = 'x';
    ok(repo_parse(&r, REPO_MODEL, text, &e) == -1, "one of 256 is refused");
    err_clear(&e);
    memset(text, 'n', 98);
    memcpy(text + 96, "/x", 3);
    ok(repo_parse(&r, REPO_MODEL, text, &e) == 0, "half an id of 96 bytes");
    memcpy(text + 96, "n/x", 4);
    ok(repo_parse(&r, REPO_MODEL, text, &e) == -1, "one of 97 is refused");
}

static void test_folders(void)
{
    static const char *const no[] = { "models--", "models-a", "model--a",
        "kernels--a--b", "models--a--b--c", ".locks", "blobs", "models--a--..",
        "models--a/b" };
    struct repo r;

    ok(repo_of_folder(&r, "models--org--name") &&
            strcmp(r.id, "org/name") == 0 && r.type == REPO_MODEL,
        "a model's folder");
    ok(repo_of_folder(&r, "datasets--d") && strcmp(r.id, "d") == 0 &&
            r.type == REPO_DATASET,
        "a legacy data set's folder");
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        ok(!repo_of_folder(&r, no[i]), "'%s' is no repository's folder", no[i]);
}

static void test_commits(void)
{
    ok(repo_is_commit("0123456789abcdef0123456789abcdef01234567"),
        "40 hexadecimal digits are a commit");
    ok(!repo_is_commit("0123456789abcdef0123456789abcdef0123456"),
        "39 are not");
    ok(!repo_is_commit("0123456789abcdef0123456789abcdef012345678"),
        "41 are not");
    ok(!repo_is_commit("0123456789ABCDEF0123456789ABCDEF01234567"),
        "capitals are not");
}

int main(void)
{
    test_good();
    test_bad();
    test_long();
    test_folders();
    test_commits();
    return done();
}
