/* cache/archive.h: a manifest is read as it was written, or refused; what
 * follows it is safe to unpack. */
#include "cache/archive.h"

#include "base/path.h"
#include "tests/unit/tap.h"

#define SHA1 "cb5b2f69babc53f9145b45ad20b9a075d48717ef"
#define SHA256 SHA1 "cb5b2f69babc53f9145b45ad"
#define OTHER                                                                  \
    "ab5b2f69babc53f9145b45ad20b9a075d48717ef"                                 \
    "cb5b2f69babc53f9145b45ad"
#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static struct archive_file file_of(
    const char *path, uint64_t size, const char *hex, const char *pointer)
{
    struct archive_file f = { .f = { .path = str_of(path), .size = size } };

    f.f.lfs = strlen(hex) == 64;
    digest_parse(f.f.lfs ? &f.f.sha256 : &f.f.oid, str_of(hex));
    if (pointer != NULL)
        digest_parse(&f.f.oid, str_of(pointer));
    return f;
}

static struct archive_revision revision_of(const char *id, enum repo_type type,
    const char *commit, struct archive_file *files, uint64_t n)
{
    struct archive_revision r = { .files = files, .n_files = n };
    struct err e = ERR_INIT;

    repo_parse(&r.repo, type, id, &e);
    memcpy(r.commit, commit, 41);
    return r;
}

/* Two commits of a model, a data set with the same content, and two puts. */
static void make(struct buf *text)
{
    static struct archive_file a[3], b[1], c[1];
    static struct str refs[] = { { "v1", 2 }, { "main", 4 } };
    static struct archive_put puts[2];
    static struct archive_revision v[3];
    struct archive all = { .revisions = v,
        .n_revisions = 3,
        .puts = puts,
        .n_puts = 2,
        .lock_name = str_of("m.lock"),
        .lock_text = str_of("{}\n\"\t"),
        .signature = str_of("sig\n") };
    struct err e = ERR_INIT;

    a[0] = file_of("sub/w.bin", 5, SHA256, SHA1);
    a[1] = file_of("config.json", 9, SHA1, NULL);
    a[2] = file_of("gone.bin", 7, OTHER, SHA1);
    a[2].absent = true;
    b[0] = file_of("config.json", 9, SHA1, NULL);
    c[0] = file_of("rows", 5, SHA256, NULL);
    v[0] = revision_of("a/set", REPO_DATASET, COMMIT, c, 1);
    v[1] = revision_of("a/tiny", REPO_MODEL, "1" COMMIT, b, 1);
    v[1].commit[40] = '\0';
    v[2] = revision_of("a/tiny", REPO_MODEL, COMMIT, a, 3);
    v[2].refs = refs;
    v[2].n_refs = 2;
    v[2].listed = true;
    puts[0] = (struct archive_put){ .name = str_of("x/two"), .size = 8 };
    digest_parse(&puts[0].sha256, str_of(OTHER));
    puts[1] = (struct archive_put){ .name = str_of("one"), .size = 5 };
    digest_parse(&puts[1].sha256, str_of(SHA256));
    is_int(archive_text(text, &all, &e), 0, "a manifest is written");
}

static void reads(const struct buf *text)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 24);
    struct buf again AUTO(buf_free) = BUF_INIT(1 << 20);
    struct archive a;
    struct err e = ERR_INIT;

    is_int(archive_parse(&a, buf_str(text), &arena, &e), 0, "and read");
    ok(a.n_revisions == 3 && a.revisions[0].listed &&
            a.revisions[0].n_refs == 2 &&
            str_is(a.revisions[0].refs[0], "main"),
        "in order");
    ok(a.revisions[0].files[1].absent && !a.revisions[0].files[0].absent,
        "with what is absent");
    ok(str_is(a.lock_text, "{}\n\"\t") && str_is(a.signature, "sig\n"),
        "a lock comes byte for byte");
    archive_text(&again, &a, &e);
    ok(str_eq(buf_str(&again), buf_str(text)), "and gives the same text");
}

static void follows(const struct buf *text)
{
    static const char *const want[] = {
        "0 ml-archive/lock/m.lock",
        "0 ml-archive/lock/m.lock.minisig",
        "0 hub/CACHEDIR.TAG",
        "0 hub/models--a--tiny/blobs/" SHA1,
        "0 hub/models--a--tiny/blobs/" SHA256,
        "2 hub/models--a--tiny/snapshots/" COMMIT "/config.json",
        "2 hub/models--a--tiny/snapshots/" COMMIT "/sub/w.bin",
        "0 hub/models--a--tiny/trees/" COMMIT ".json",
        "0 hub/models--a--tiny/refs/main",
        "0 hub/models--a--tiny/refs/v1",
        "2 hub/models--a--tiny/snapshots/10123456789abcdef0123456789abcdef"
        "0123456/config.json",
        "1 hub/datasets--a--set/blobs/" SHA256,
        "2 hub/datasets--a--set/snapshots/" COMMIT "/rows",
        "1 files/one",
        "0 files/x/two",
    };
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 24);
    struct archive a;
    struct members m;
    struct err e = ERR_INIT;
    char got[400];

    archive_parse(&a, buf_str(text), &arena, &e);
    is_int(archive_members(&m, &a, &arena, &e), 0, "its members");
    is_int((long long)m.n, ARRAY_LEN(want), "as many as there should be");
    for (uint64_t i = 0; i < m.n && i < ARRAY_LEN(want); i++) {
        snprintf(got, sizeof(got), "%c %.*s", m.v[i].tar.type,
            STR_ARG(m.v[i].tar.path));
        is_str(got, want[i], "in order");
    }
    is_int((long long)m.n_contents, 3, "each content once");
    is_int((long long)m.content_bytes, 9 + 5 + 8, "of these sizes");
    ok(str_is(m.v[6].tar.link, "../../../blobs/" SHA256), "a link");
    ok(str_is(m.v[11].tar.link, "hub/models--a--tiny/blobs/" SHA256),
        "the second of the same bytes is a hard link");
}

static enum err_kind parse(const char *text, size_t len)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 24);
    struct archive a;
    struct err e = ERR_INIT;

    archive_parse(&a, (struct str){ text, len }, &arena, &e);
    return e.kind;
}

static void attacked(struct buf *text)
{
    unsigned cut = 0, changed = 0;

    for (size_t i = 0; i < text->len; i++)
        cut += parse(text->p, i) != ERR_REFUSED;
    is_int(cut, 0, "cut at any byte it is refused");
    for (size_t i = 0; i < text->len; i++) {
        text->p[i] ^= 0x02;
        /* Another name or digest is another manifest. */
        if (parse(text->p, text->len) == ERR_BUG)
            changed++;
        text->p[i] ^= 0x02;
    }
    is_int(changed, 0, "changed anywhere it is refused or another one");
    is_int(parse("{\"ml-archive\": 2}\n", 18), ERR_UNSUPPORTED,
        "another version is named as such");
}

/* Two sizes of one digest cannot both be. */
static void two_sizes(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 24);
    struct archive_file v[] = { file_of("a", 1, SHA256, NULL),
        file_of("b", 2, SHA256, NULL) };
    struct archive_revision r = revision_of("a/b", REPO_MODEL, COMMIT, v, 2);
    struct archive_put put = { .name = str_of("p"), .size = 3 };
    struct archive a = { .revisions = &r, .n_revisions = 1 };
    struct members m;
    struct err e = ERR_INIT, e2 = ERR_INIT;

    archive_members(&m, &a, &arena, &e);
    is_int(e.kind, ERR_REFUSED, "two sizes of a digest in one repository");
    r.n_files = 1;
    a.puts = &put;
    a.n_puts = 1;
    digest_parse(&put.sha256, str_of(SHA256));
    archive_members(&m, &a, &arena, &e2);
    is_int(e2.kind, ERR_REFUSED, "or in a repository and a volume");
}

/* What is grouped stands apart, under every name it has; all of it is there. */
static void grouped(struct buf *text)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 24);
    struct buf again AUTO(buf_free) = BUF_INIT(1 << 20);
    struct archive_group g[2] = { { .width = 4 }, { .width = 2 } };
    struct archive a, b;
    struct members m;
    struct err e = ERR_INIT;
    unsigned apart = 0;

    archive_parse(&a, buf_str(text), &arena, &e);
    digest_parse(&g[0].digest, str_of(SHA256));
    digest_parse(&g[1].digest, str_of(OTHER));
    a.groups = g;
    a.n_groups = 2;
    is_int(archive_text(&again, &a, &e), 0, "two contents grouped");
    is_int(archive_parse(&b, buf_str(&again), &arena, &e), 0, "read again");
    ok(b.n_groups == 2 && b.groups[0].width == 2 && b.groups[1].width == 4 &&
            digest_eq(&b.groups[0].digest, &g[0].digest),
        "by digest");
    is_int(archive_members(&m, &b, &arena, &e), 0, "their members");
    for (uint64_t i = 0; i < m.n; i++)
        if (m.v[i].content != NULL)
            apart += (m.v[i].content->width > 0) ==
                     (memcmp(m.v[i].tar.path.p, "grouped/", 8) == 0);
        else
            apart += memcmp(m.v[i].tar.path.p, "grouped/", 8) != 0;
    is_int(apart, (long long)m.n, "grouped ones apart, no others");
    ok(str_is(m.v[11].tar.link, "grouped/hub/models--a--tiny/blobs/" SHA256) &&
            str_is(
                m.v[11].tar.path, "grouped/hub/datasets--a--set/blobs/" SHA256),
        "the second of the same bytes, too");
    digest_parse(
        &b.groups[1].digest, str_of("ff" SHA1 "cb5b2f69babc53f9145b45"));
    is_int(archive_members(&m, &b, &arena, &e), -1, "one that is not in it");
    is_int(e.kind, ERR_REFUSED, "is refused");
    for (size_t i = 0, bad = 0; i <= again.len; i++) {
        bad += i < again.len && parse(again.p, i) != ERR_REFUSED;
        if (i == again.len)
            is_int((long long)bad, 0, "cut at any byte it is refused");
    }
}

int main(void)
{
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 20);

    make(&text);
    reads(&text);
    follows(&text);
    attacked(&text);
    two_sizes();
    grouped(&text);
    return done();
}
