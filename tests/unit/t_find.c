/* What a user means by MODEL: the order, and the words when it is not there. */
#include "cache/find.h"

#include "cache/hubdir.h"
#include "cache/inventory.h"
#include "cache/volume.h"
#include "tests/unit/tap.h"

#include "tests/unit/scratch.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define OTHER "89abcdef0123456789abcdef0123456701234567"
#define OID "cb5b2f69babc53f9145b45ad20b9a075d48717ef"

static int find(
    const char *text, const char *volume, struct found *f, struct err *e)
{
    err_clear(e);
    memset(f, 0, sizeof(*f));
    return find_model(text, volume, f, e);
}

static void hold(const struct hubdir *h, const char *id, const char *commit)
{
    struct tree_file file = { .path = str_of("config.json"), .size = 2 };
    struct err e = ERR_INIT;
    char blob[PATH_MAX];
    struct repo r;

    digest_parse(&file.oid, str_of(OID));
    repo_parse(&r, REPO_MODEL, id, &e);
    hubdir_blob(h, &r, &file.oid, blob, &e);
    write_text(blob, "{}");
    hubdir_link(h, &r, commit, &file, &e);
    hubdir_set_ref(h, &r, commit, &e);
    ok(e.kind == ERR_NONE, "%s is held (%s)", id, e.msg);
}

static void test_paths(void)
{
    struct err e = ERR_INIT;
    struct found f;

    write_text(at("m.pt"), "x");
    ok(find(at("m.pt"), NULL, &f, &e) == 0 && f.kind == FOUND_FILE &&
            strcmp(f.path, at("m.pt")) == 0 && f.converted[0] == '\0',
        "a file");
    ok(find(scratch, NULL, &f, &e) == 0 && f.kind == FOUND_FOLDER, "a folder");
    ok(find("/dev/null", NULL, &f, &e) == -1 && e.kind == ERR_REFUSED,
        "a device is refused");
    ok(find("./acme/tiny", NULL, &f, &e) == -1 && e.kind == ERR_MISSING &&
            strstr(e.msg, "./acme/tiny") != NULL && e.hint[0] == '\0',
        "a path that is not there");
    ok(find("a/b/c.pt", NULL, &f, &e) == -1 && e.kind == ERR_MISSING &&
            strstr(e.msg, "a/b/c.pt") != NULL,
        "what cannot be an id is a path that is not there");
    ok(find("model.pt", NULL, &f, &e) == -1 && e.kind == ERR_MISSING &&
            e.hint[0] == '\0',
        "a mistyped file gets no hint to pull");
    ok(find("", NULL, &f, &e) == -1 && e.kind == ERR_MISSING, "nothing");
}

static void test_repos(void)
{
    struct err e = ERR_INIT;
    struct hubdir h;
    struct found f;

    hubdir_default(&h, &e);
    ok(find("acme/tiny", NULL, &f, &e) == -1 && e.kind == ERR_MISSING,
        "not held");
    is_str(e.hint, "run: mlfetch pull acme/tiny", "the hint");
    find("acme/tiny@v1", NULL, &f, &e);
    is_str(e.hint, "run: mlfetch pull acme/tiny@v1", "with its revision");
    hold(&h, "acme/tiny", COMMIT);
    hold(&h, "acme/tiny@v1", OTHER);
    ok(find("acme/tiny", NULL, &f, &e) == 0 && f.kind == FOUND_REPO, "held");
    is_str(f.path, at("hub/models--acme--tiny/snapshots/" COMMIT), "where");
    is_str(f.repository, "acme/tiny", "repository");
    is_str(f.commit, COMMIT, "commit");
    is_str(f.converted, at("hub/models--acme--tiny/ml/uniform"), "converted");
    ok(find("acme/tiny@v1", NULL, &f, &e) == 0 && strcmp(f.commit, OTHER) == 0,
        "by tag");
    ok(find("hf://acme/tiny@" OTHER, NULL, &f, &e) == 0 &&
            strcmp(f.commit, OTHER) == 0,
        "by commit");
    ok(find("acme/tiny@v2", NULL, &f, &e) == -1 && e.kind == ERR_MISSING,
        "another revision is not held");
    ok(find("acme/tiny@a b", NULL, &f, &e) == -1 && e.kind == ERR_USAGE,
        "a bad revision is wrong usage");
    write_text(at("hub/models--acme--tiny/refs/v2"), "nonsense");
    ok(find("acme/tiny@v2", NULL, &f, &e) == -1 && e.kind == ERR_CORRUPT,
        "a damaged ref is told");
    write_text(at("hub/models--acme--tiny/refs/v2"),
        "ffffffffffffffffffffffffffffffffffffffff");
    ok(find("acme/tiny@v2", NULL, &f, &e) == -1 && e.kind == ERR_MISSING,
        "a ref without snapshot is not held");
}

static void test_volumes(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct volume_entry entry;
    struct volume v;
    struct hubdir h;
    struct found f;
    struct digest d;
    bool created;

    ok(find("vol:x", NULL, &f, &e) == -1 && e.kind == ERR_MISSING,
        "no such volume");
    ok(find("acme/tiny", "vol", &f, &e) == -1 && e.kind == ERR_MISSING,
        "nor to look in");
    err_clear(&e);
    volume_locate(&v, "vol", &e);
    volume_create(&v, &created, &e);
    volume_put(&v, at("m.pt"), "d/m.pt", NULL, &entry, &arena, &e);
    is_int(e.kind, ERR_NONE, "a volume with a file");
    ok(find("vol:d/m.pt", NULL, &f, &e) == 0 && f.kind == FOUND_PUT,
        "VOLUME:NAME");
    is_str(f.path, at("volumes/vol/files/d/m.pt"), "by its own name");
    is_str(f.converted, at("volumes/vol/uniform"), "converted");
    ok(found_digest(&f, f.path, &d) && digest_eq(&d, &entry.sha256),
        "its digest is known");
    ok(!found_digest(&f, at("m.pt"), &d), "that of its original is not");
    ok(find("d/m.pt", "vol", &f, &e) == 0 && f.kind == FOUND_PUT,
        "NAME with --volume");
    ok(find("vol:d", NULL, &f, &e) == 0 && f.kind == FOUND_FOLDER,
        "a folder of put files");
    ok(found_digest(&f, at("volumes/vol/files/d/m.pt"), &d) &&
            digest_eq(&d, &entry.sha256),
        "and what is in it");
    write_text(at("volumes/vol/files/d/other"), "stale");
    rename(at("volumes/vol/files/d/other"), at("volumes/vol/files/d/m.pt"));
    ok(!found_digest(&f, at("volumes/vol/files/d/m.pt"), &d),
        "not of a stale view");
    ok(find("vol:d/m.pt", NULL, &f, &e) == 0 &&
            strstr(f.path, "/store/sha256/") != NULL,
        "a stale view is not trusted");
    ok(find("vol:../../m.pt", NULL, &f, &e) == -1 && e.kind == ERR_REFUSED,
        "a name that leaves");
    ok(find("vol:no", NULL, &f, &e) == -1 && e.kind == ERR_MISSING,
        "no such name");
    volume_hub(&v, &h, &e);
    hold(&h, "acme/small", COMMIT);
    ok(find("acme/small", "vol", &f, &e) == 0 && f.kind == FOUND_REPO,
        "a repository in a volume");
    ok(find("acme/small", NULL, &f, &e) == -1, "is not in the hub cache");
    find("acme/none", "vol", &f, &e);
    is_str(e.hint, "run: mlfetch pull acme/none --volume vol", "the hint");
}

static void test_inventory(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct held_repo *list;
    struct hubdir h;
    uint64_t n;

    hubdir_default(&h, &e);
    write_text(
        at("hub/models--acme--tiny/blobs/" OID ".ml.incomplete"), "part");
    write_text(at("hub/models--acme--tiny/ml/uniform/key/model.safetensors"),
        "1234567");
    symlink("../../blobs/none",
        at("hub/models--acme--tiny/snapshots/" COMMIT "/gone"));
    ok(inventory(&h, &arena, &list, &n, &e) == 0 && n == 1, "one repository");
    is_int(list[0].n_revisions, 2, "two revisions");
    ok(str_is(list[0].revisions[0].commit, COMMIT) &&
            list[0].revisions[0].n_refs == 1 &&
            str_is(list[0].revisions[0].refs[0], "main"),
        "main");
    ok(list[0].revisions[0].files == 1 && list[0].revisions[0].bytes == 2 &&
            list[0].revisions[0].missing == 1,
        "its files, and the one that is missing");
    is_int(list[0].bytes, 2, "a blob of two revisions is counted once");
    is_int(list[0].partial_files, 1, "a partial download");
    is_int(list[0].partial_bytes, 4, "and what it takes");
    is_int(list[0].conversions, 1, "a conversion");
    is_int(list[0].conversion_bytes, 7, "and what it takes");
}

int main(void)
{
    umask(022);
    scratch_open();
    setenv("HF_HUB_CACHE", at("hub"), 1);
    setenv("MLFETCH_VOLUMES", at("volumes"), 1);
    test_paths();
    test_repos();
    test_volumes();
    test_inventory();
    scratch_close();
    return done();
}
