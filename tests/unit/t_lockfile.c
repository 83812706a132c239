/* cache/lockfile.h: what is written reads back; anything else is refused. */
#include "cache/lockfile.h"

#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#define SHA1 "cb5b2f69babc53f9145b45ad20b9a075d48717ef"
#define SHA256 SHA1 "cb5b2f69babc53f9145b45ad"
#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static struct tree_file file_of(const char *path, uint64_t size, bool lfs)
{
    struct tree_file f = { .path = str_of(path), .size = size, .lfs = lfs };

    digest_parse(lfs ? &f.sha256 : &f.oid, str_of(lfs ? SHA256 : SHA1));
    return f;
}

static struct lock_entry entry_of(
    const char *repo, enum repo_type type, struct tree_file *v, uint64_t n)
{
    struct lock_entry l = { .commit = COMMIT, .tree = { v, n } };
    struct err e = ERR_INIT;

    repo_parse(&l.repo, type, repo, &e);
    return l;
}

static enum err_kind reads(const char *text, size_t len)
{
    struct lockfile l AUTO(lockfile_free) = LOCKFILE_INIT;
    struct err e = ERR_INIT;

    write_file(at("x.lock"), text, len);
    if (lockfile_read(&l, at("x.lock"), &e) != 0 &&
        strstr(e.msg, "x.lock") == NULL)
        printf("# does not name the file: %s\n", e.msg);
    return e.kind;
}

static void round_trip(struct buf *text)
{
    struct tree_file a[] = { file_of("config.json", 9, false),
        file_of("d/\xC3\xA9 \"q\".bin", 1ull << 40, true) };
    struct lock_entry v[] = { entry_of("b/two@refs/pr/1", REPO_MODEL, a, 2),
        entry_of("a/set", REPO_DATASET, a, 1),
        entry_of("b/one@" COMMIT, REPO_MODEL, a, 0) };
    struct lockfile l AUTO(lockfile_free) = LOCKFILE_INIT;
    struct buf again AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;

    strcpy(v[0].convert, "bf16");

    is_int(lockfile_text(text, v, 3, &e), 0, "a text");
    write_file(at("a.lock"), text->p, text->len);
    ok(lockfile_read(&l, at("a.lock"), &e) == 0 && l.n == 3, "reads back");
    ok(strcmp(l.v[0].repo.id, "b/one") == 0 &&
            strcmp(l.v[1].repo.revision, "refs/pr/1") == 0 &&
            l.v[2].repo.type == REPO_DATASET,
        "in order");
    ok(strcmp(l.v[1].convert, "bf16") == 0 && l.v[0].convert[0] == '\0',
        "with its conversion");
    ok(l.v[1].tree.n == 2 && l.v[1].tree.files[1].size == 1ull << 40 &&
            l.v[1].tree.files[1].lfs && !l.v[1].tree.files[0].lfs &&
            str_is(l.v[1].tree.files[1].path, a[1].path.p),
        "with its files");
    lockfile_text(&again, l.v, l.n, &e);
    ok(str_eq(buf_str(&again), buf_str(text)), "and gives the same text");
    v[1] = v[0];
    is_int(lockfile_text(&again, v, 2, &e), -1, "the same twice is no lock");
}

static void cut(const struct buf *text)
{
    unsigned bad = 0;

    for (size_t n = 0; n + 1 < text->len; n++)
        bad += reads(text->p, n) != ERR_REFUSED;
    is_int(bad, 0, "cut at any byte it is refused");
}

/* One change to a good lock. */
static void changed(const char *good, const char *from, const char *to,
    enum err_kind kind, const char *name)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20);
    const char *place = strstr(good, from);

    if (!ok(place != NULL, "(%s can be made)", name))
        return;
    buf_put(&b, good, (size_t)(place - good));
    buf_puts(&b, to);
    buf_puts(&b, place + strlen(from));
    is_int(reads(b.p, b.len), kind, name);
}

static void malformed(const char *good)
{
    static const char none[] = "{\"ml-lock\": 1, \"repositories\": []}";
    static const struct {
        const char *from, *to, *name;
    } v[] = {
        { "\"repositories\"", "\"repos\"", "another member" },
        { "\"type\"", "\"kind\"", "a missing type" },
        { "\"model\"", "\"kernel\"", "an unknown type" },
        { "b/one", "b//one", "a bad id" },
        { "b/one", "b/one@x", "an id with a revision" },
        { "\"b/one\"", "\"hf://b/one\"", "an id that is a URI" },
        { "refs/pr/1", "../../etc", "a revision out of its folder" },
        { "\"commit\": \"0", "\"commit\": \"G", "a commit that is none" },
        { "\"revision\": \"0", "\"revision\": \"1", "another commit" },
        { "config.json", "/etc/passwd", "an absolute path" },
        { "config.json", "a/../../b", "a path with .." },
        { "config.json", "d", "a file that is a folder" },
        { "\"size\": 9", "\"size\": -9", "a negative size" },
        { "\"size\": 9", "\"size\": 9.5", "half a byte" },
        { "\"size\": 9", "\"size\": 18446744073709551616", "too large" },
        { "\"git_sha1\": \"c", "\"sha256\": \"c", "a digest of another kind" },
        { "\"git_sha1\": \"c", "\"md5\": \"c", "an unknown digest" },
        { "\"size\": 9", "\"size\": 9, \"convert\": \"fp16\"",
            "more than is understood" },
        { "\"files\": [", "\"files\": [3, ", "a number among the files" },
        { "\"bf16\"", "\"int3\"", "an unknown conversion" },
        { "\"model\", \"revision\": \"refs", "\"space\", \"revision\": \"refs",
            "a conversion of no model" },
        { "]}\n", "]} x", "something behind it" },
    };

    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        changed(good, v[i].from, v[i].to, ERR_REFUSED, v[i].name);
    changed(good, "\"ml-lock\": 1", "\"ml-lock\": 2", ERR_UNSUPPORTED,
        "another version");
    is_int(reads(none, sizeof(none) - 1), ERR_NONE, "an empty lock is one");
}

/* Parsed, a value of two bytes takes a hundred. */
static void too_much(void)
{
    static const char front[] = "{\"ml-lock\": 1, \"repositories\": [{}";
    struct lockfile l AUTO(lockfile_free) = LOCKFILE_INIT;
    struct buf b AUTO(buf_free) = BUF_INIT(LOCKFILE_MAX);
    struct err e = ERR_INIT;

    buf_puts(&b, front);
    for (size_t i = 0; i <= LOCKFILE_VALUES_MAX; i++)
        buf_puts(&b, ",0");
    buf_puts(&b, "]}");
    is_int(lockfile_parse(&l, buf_str(&b), "big.lock", &e), -1,
        "a lock of more values than are believed");
    ok(e.kind == ERR_REFUSED && strstr(e.msg, "big.lock") != NULL &&
            strstr(e.msg, "values") != NULL,
        "is refused before it is parsed: %s", e.msg);
}

/* What is written can be read. */
static void too_many(void)
{
    static struct tree_file f;
    size_t n = LOCKFILE_VALUES_MAX / 4 + 1;
    struct tree_file *v = calloc(n, sizeof(*v));
    struct buf b AUTO(buf_free) = BUF_INIT(LOCKFILE_MAX);
    struct lock_entry one = entry_of("b/one", REPO_MODEL, v, n);
    struct err e = ERR_INIT;

    f = file_of("a", 1, false);
    for (size_t i = 0; v != NULL && i < n; i++)
        v[i] = f;
    is_int(lockfile_text(&b, &one, 1, &e), -1, "more files than can be read");
    is_int(e.kind, ERR_REFUSED, "are not written");
    free(v);
}

int main(void)
{
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 20);

    scratch_open();
    round_trip(&text);
    cut(&text);
    malformed(text.p);
    too_much();
    too_many();
    scratch_close();
    return done();
}
