/* The listing of a commit: written as the official client does, read warily. */
#include "cache/hubdir.h"

#include "tests/unit/tap.h"

#include "tests/unit/scratch.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define OID "cb5b2f69babc53f9145b45ad20b9a075d48717ef"
#define SHA OID "0123456789abcdef01234567"
#define FILE_OK "\"size\": 9, \"blob_id\": \"" OID "\""

static struct hubdir hub;
static struct repo repo;

static const char *tree_file(void)
{
    return at("hub/models--acme--tiny/trees/" COMMIT ".json");
}

static const char written[] =
    "{\n \"format_version\": 1,\n \"files\": {\n"
    "  \"a \\\"b\\\".bin\": {\n   \"size\": 3000000,\n"
    "   \"blob_id\": \"" OID "\",\n   \"lfs_sha256\": \"" SHA "\",\n"
    "   \"lfs_size\": 3000000\n  },\n"
    "  \"config.json\": {\n   \"size\": 9,\n   \"blob_id\": \"" OID "\"\n"
    "  },\n"
    "  \"nested \\u00e9/\\u20ac\\ud83d\\ude00\": {\n   \"size\": 0,\n"
    "   \"blob_id\": \"" OID "\"\n  }\n }\n}";

static void fill(struct tree *t, struct tree_file *f)
{
    *t = (struct tree){ .files = f, .n = 3 };
    memset(f, 0, 3 * sizeof(*f));
    f[0] = (struct tree_file){
        .path = str_of("a \"b\".bin"), .size = 3000000, .lfs = true
    };
    digest_parse(&f[0].sha256, str_of(SHA));
    f[1] = (struct tree_file){ .path = str_of("config.json"), .size = 9 };
    f[2] = (struct tree_file){ .path = str_of("nested \xC3\xA9/\xE2\x82\xAC"
                                              "\xF0\x9F\x98\x80") };
    for (int i = 0; i < 3; i++)
        digest_parse(&f[i].oid, str_of(OID));
}

static bool same(const struct tree *a, const struct tree *b)
{
    if (a->n != b->n)
        return false;
    for (uint64_t i = 0; i < a->n; i++) {
        const struct tree_file *x = &a->files[i], *y = &b->files[i];
        if (!str_eq(x->path, y->path) || x->size != y->size ||
            x->lfs != y->lfs || !digest_eq(&x->oid, &y->oid) ||
            !digest_eq(tree_etag(x), tree_etag(y)))
            return false;
    }
    return true;
}

static void test_round_trip(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct tree t, back, none = { .n = 0 };
    struct tree_file f[3];
    struct stat st;

    fill(&t, f);
    ok(hubdir_tree(&hub, &repo, COMMIT, &arena, &back, &e) == HAVE_NOT,
        "no listing yet");
    ok(hubdir_set_tree(&hub, &repo, COMMIT, &t, &e) == 0, "written");
    is_str(read_text(tree_file()), written, "byte for byte as Python does");
    ok(stat(tree_file(), &st) == 0 && (st.st_mode & 0777) == 0644,
        "readable for others");
    ok(hubdir_tree(&hub, &repo, COMMIT, &arena, &back, &e) == HAVE &&
            same(&t, &back),
        "and read back");
    ok(hubdir_set_tree(&hub, &repo, COMMIT, &none, &e) == 0, "an empty one");
    is_str(read_text(tree_file()),
        "{\n \"format_version\": 1,\n"
        " \"files\": {}\n}",
        "as Python does");
    ok(hubdir_tree(&hub, &repo, COMMIT, &arena, &back, &e) == HAVE &&
            back.n == 0,
        "and read back");
    f[0].path = str_of("bad\xFFname");
    ok(hubdir_set_tree(&hub, &repo, COMMIT, &t, &e) == -1 &&
            e.kind == ERR_REFUSED,
        "a name that is not UTF-8 is refused");
}

static int read_as(const char *text, struct tree *out, struct arena *arena)
{
    struct err e = ERR_INIT;

    write_text(tree_file(), text);
    return hubdir_tree(&hub, &repo, COMMIT, arena, out, &e);
}

static void test_foreign(void)
{
    static const struct {
        const char *what, *text;
        int have;
    } cases[] = {
        { "compact, with a xet hash",
            "{\"format_version\":1,\"files\":{\"a\":{" FILE_OK
            ",\"xet_hash\":\"" SHA "\"}}}",
            HAVE },
        { "null members",
            "{\"format_version\":1,\"files\":{\"a\":{" FILE_OK
            ",\"lfs_sha256\":null,\"lfs_size\":null,\"xet_hash\":null}}}",
            HAVE },
        { "unknown members",
            "{\"format_version\":1,\"x\":[],\"files\":{\"a\":{" FILE_OK
            ",\"y\":{}}}}",
            HAVE },
        { "another version", "{\"format_version\":2,\"files\":{}}", HAVE_NOT },
        { "no version", "{\"files\":{}}", HAVE_DAMAGED },
        { "no files", "{\"format_version\":1}", HAVE_DAMAGED },
        { "files as a list", "{\"format_version\":1,\"files\":[]}",
            HAVE_DAMAGED },
        { "a list", "[]", HAVE_DAMAGED },
        { "nothing", "", HAVE_DAMAGED },
        { "a xet hash of the wrong length",
            "{\"format_version\":1,\"files\":{\"a\":{" FILE_OK
            ",\"xet_hash\":\"ab\"}}}",
            HAVE_DAMAGED },
        { "a path that leaves",
            "{\"format_version\":1,\"files\":{\"../a\":{" FILE_OK "}}}",
            HAVE_DAMAGED },
        { "an absolute path",
            "{\"format_version\":1,\"files\":{\"/a\":{" FILE_OK "}}}",
            HAVE_DAMAGED },
        { "a file as text", "{\"format_version\":1,\"files\":{\"a\":\"b\"}}",
            HAVE_DAMAGED },
        { "a negative size",
            "{\"format_version\":1,\"files\":{\"a\":{\"size\":-1,"
            "\"blob_id\":\"" OID "\"}}}",
            HAVE_DAMAGED },
        { "a size past 2^53",
            "{\"format_version\":1,\"files\":{\"a\":{\"size\":"
            "9007199254740994,\"blob_id\":\"" OID "\"}}}",
            HAVE_DAMAGED },
        { "no blob id", "{\"format_version\":1,\"files\":{\"a\":{\"size\":1}}}",
            HAVE_DAMAGED },
        { "a SHA-256 as blob id",
            "{\"format_version\":1,\"files\":{\"a\":{\"size\":1,"
            "\"blob_id\":\"" SHA "\"}}}",
            HAVE_DAMAGED },
        { "a name twice",
            "{\"format_version\":1,\"files\":{\"a\":{" FILE_OK
            "},\"a\":{" FILE_OK "}}}",
            HAVE_DAMAGED },
    };
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct tree t;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ok(read_as(cases[i].text, &t, &arena) == cases[i].have, "%s",
            cases[i].what);
    ok(read_as("{\"format_version\":1,\"files\":{\"b\":{" FILE_OK
               "},\"B\":{" FILE_OK "},\"a/b\":{" FILE_OK "}}}",
           &t, &arena) == HAVE &&
            str_is(t.files[0].path, "B") && str_is(t.files[2].path, "b"),
        "sorted by bytes when read");
}

static void test_truncated(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    char part[sizeof(written)];
    struct tree t;
    size_t bad = 0;

    for (size_t n = 0; n + 1 < sizeof(written); n++) {
        memcpy(part, written, n);
        part[n] = '\0';
        if (read_as(part, &t, &arena) == HAVE_DAMAGED)
            bad++;
    }
    is_int((long long)bad, sizeof(written) - 1,
        "cut after any byte it is damaged");
}

int main(void)
{
    struct err e = ERR_INIT;

    umask(022);
    scratch_open();
    snprintf(hub.root, sizeof(hub.root), "%s/hub", scratch);
    repo_parse(&repo, REPO_MODEL, "acme/tiny", &e);
    test_round_trip();
    test_foreign();
    test_truncated();
    scratch_close();
    return done();
}
