/* The official layout on disk: names, links, refs, locks. */
#include "cache/hubdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>

#include "base/cancel.h"
#include "base/file.h"
#include "base/log.h"
#include "tests/unit/tap.h"

#include "tests/unit/scratch.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define OTHER "89abcdef0123456789abcdef0123456701234567"
#define OID "cb5b2f69babc53f9145b45ad20b9a075d48717ef"
#define OID2 "cb5b2f69babc53f9145b45ad20b9a075d48717e0"

static struct hubdir hub;
static struct repo repo;

static struct tree_file file_of(
    const char *path, uint64_t size, const char *oid)
{
    struct tree_file f = { .path = str_of(path), .size = size };

    digest_parse(&f.oid, str_of(oid));
    return f;
}

static void put_blob(const struct tree_file *f, const char *bytes)
{
    write_text(at("hub/%s/blobs/%s", repo.folder, tree_etag(f)->hex), bytes);
}

static void test_default(void)
{
    static const char *const names[] = { "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME" };
    static const char *const want[] = { "/c/hub", "/c/hub", "/c/hub/hub",
        "/c/hub/huggingface/hub" };
    struct err e = ERR_INIT;
    struct hubdir h;

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unsetenv(names[i]);
    setenv("HOME", "/home/u", 1);
    hubdir_default(&h, &e);
    is_str(h.root, "/home/u/.cache/huggingface/hub", "default root");
    for (size_t i = ARRAY_LEN(names); i-- > 0;) {
        setenv(names[i], "/c/hub/", 1);
        h.root[0] = '\0';
        hubdir_default(&h, &e);
        if (i < 2)
            is_str(h.root, want[i], names[i]);
        else
            ok(strstr(h.root, "hub") != NULL, "%s", names[i]);
    }
    setenv("HF_HUB_CACHE", "~/x", 1);
    hubdir_default(&h, &e);
    is_str(h.root, "/home/u/x", "'~' is expanded");
}

static unsigned count_names(const char *path)
{
    DIR *d = opendir(path);
    unsigned n = 0;

    while (d != NULL && readdir(d) != NULL)
        n++;
    if (d != NULL)
        closedir(d);
    return n - 2;
}

static void test_init(void)
{
    struct err e = ERR_INIT;
    struct stat st;

    is_int(hubdir_init(&hub, &e), 0, "a cache is made");
    is_int(hubdir_init(&hub, &e), 0, "and made again");
    stat(at("hub/CACHEDIR.TAG"), &st);
    is_int(st.st_size, 191, "CACHEDIR.TAG has its 191 bytes");
    is_str(read_text(at("hub/CACHEDIR.TAG")),
        "Signature: 8a477f597d28d172789f06886806bc55\n"
        "# This file is a cache directory tag created by huggingface_hub.\n"
        "# For information about cache directory tags, see:\n"
        "#\thttps://bford.info/cachedir/\n",
        "CACHEDIR.TAG is the official one");
    is_int(st.st_mode & 0777, 0644, "its mode is what the umask leaves");
    is_int(count_names(hub.root), 2, "nothing else is at the root");
    is_int(count_names(at("hub/.locks")), 0, "no temporary name is left");
}

static void test_link(const char *path, const char *target)
{
    struct tree_file f = file_of(path, 5, OID);
    struct err e = ERR_INIT;
    char text[PATH_MAX] = "";
    const char *entry = at("hub/%s/snapshots/%s/%s", repo.folder, COMMIT, path);

    ok(hubdir_have(&hub, &repo, COMMIT, &f, &e) == HAVE_NOT,
        "%s: not there yet", path);
    ok(hubdir_link(&hub, &repo, COMMIT, &f, &e) == 0, "%s: linked (%s)", path,
        e.msg);
    ok(readlink(entry, text, sizeof(text) - 1) > 0, "%s: is a link", path);
    is_str(text, target, "its text");
    ok(hubdir_have(&hub, &repo, COMMIT, &f, &e) == HAVE, "%s: there", path);
    ok(hubdir_link(&hub, &repo, COMMIT, &f, &e) == 0, "%s: linked again", path);
}

static void test_links(void)
{
    struct tree_file f = file_of("config.json", 5, OID);
    struct tree_file wrong = file_of("config.json", 6, OID);
    struct tree_file other = file_of("config.json", 5, OID2);
    struct err e = ERR_INIT;

    ok(hubdir_have_blob(&hub, &repo, &f, &e) == HAVE_NOT, "no blob yet");
    put_blob(&f, "hello");
    ok(hubdir_have_blob(&hub, &repo, &f, &e) == HAVE, "a blob");
    ok(hubdir_have_blob(&hub, &repo, &wrong, &e) == HAVE_DAMAGED,
        "a blob of the wrong size is damaged");
    test_link("config.json", "../../blobs/" OID);
    test_link("a/b/c d/\xC3\xA9.txt", "../../../../../blobs/" OID);
    ok(hubdir_have(&hub, &repo, COMMIT, &wrong, &e) == HAVE_DAMAGED,
        "an entry of the wrong size is damaged");
    ok(hubdir_have(&hub, &repo, COMMIT, &other, &e) == HAVE_NOT,
        "an entry that leads to another content does not count");
    put_blob(&other, "HELLO");
    ok(hubdir_link(&hub, &repo, COMMIT, &other, &e) == 0 &&
            hubdir_have(&hub, &repo, COMMIT, &other, &e) == HAVE,
        "it is replaced");
    is_int(count_names(at("hub/%s/ml", repo.folder)), 0,
        "no temporary name is left");
}

static void test_two_hops(void)
{
    struct tree_file f = file_of("hop", 4, OID2);
    struct err e = ERR_INIT;

    unlink(at("hub/%s/blobs/%s", repo.folder, OID2));
    write_text(at("hub/blobs/aa/x"), "four");
    ok(symlink("../../blobs/aa/x", at("hub/%s/blobs/%s", repo.folder, OID2)) ==
                0 &&
            hubdir_link(&hub, &repo, COMMIT, &f, &e) == 0 &&
            hubdir_have(&hub, &repo, COMMIT, &f, &e) == HAVE,
        "a blob that is a link into the shared store");
    unlink(at("hub/blobs/aa/x"));
    ok(hubdir_have(&hub, &repo, COMMIT, &f, &e) == HAVE_NOT,
        "a dangling link does not count");
    unlink(at("hub/%s/snapshots/%s/hop", repo.folder, COMMIT));
    symlink("hop", at("hub/%s/snapshots/%s/hop", repo.folder, COMMIT));
    ok(hubdir_have(&hub, &repo, COMMIT, &f, &e) == HAVE_DAMAGED,
        "a link to itself is damaged");
    rmdir(at("hub/blobs/aa"));
    rmdir(at("hub/blobs"));
}

static void test_no_symlinks(void)
{
    struct tree_file f = file_of("plain/file", 5, OID);
    const char *entry =
        at("hub/%s/snapshots/%s/plain/file", repo.folder, COMMIT);
    struct err e = ERR_INIT;
    struct stat st;

    setenv("HF_HUB_DISABLE_SYMLINKS", "1", 1);
    ok(hubdir_link(&hub, &repo, COMMIT, &f, &e) == 0 &&
            lstat(entry, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 2,
        "without symbolic links: a hard link");
    ok(hubdir_have(&hub, &repo, COMMIT, &f, &e) == HAVE, "which counts");
    ok(hubdir_link(&hub, &repo, COMMIT, &f, &e) == 0, "made again");
    is_int(count_names(at("hub/%s/ml", repo.folder)), 0,
        "no temporary name is left");
    unsetenv("HF_HUB_DISABLE_SYMLINKS");
}

static void test_hostile(void)
{
    static const char *const bad[] = { "../x", "/etc/x", "a/../../x", "",
        "a//b", "a\\b", "C:x" };
    struct tree_file f = file_of("evil/x", 5, OID);
    struct err e = ERR_INIT;

    mkdir(at("outside"), 0777);
    symlink(at("outside"), at("hub/%s/snapshots/%s/evil", repo.folder, COMMIT));
    ok(hubdir_link(&hub, &repo, COMMIT, &f, &e) == -1 && e.kind == ERR_REFUSED,
        "a folder that is a symbolic link is refused");
    is_int(count_names(at("outside")), 0, "nothing is written through it");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        f.path = str_of(bad[i]);
        err_clear(&e);
        ok(hubdir_link(&hub, &repo, COMMIT, &f, &e) == -1 &&
                e.kind == ERR_REFUSED,
            "'%s' is refused", bad[i]);
        err_clear(&e);
        ok(hubdir_have(&hub, &repo, COMMIT, &f, &e) == -1,
            "'%s' is not looked for", bad[i]);
    }
}

static void test_refs(void)
{
    struct err e = ERR_INIT;
    struct repo pr, commit;
    char out[41];

    ok(hubdir_ref(&hub, &repo, out, &e) == HAVE_NOT, "no ref yet");
    ok(hubdir_set_ref(&hub, &repo, COMMIT, &e) == 0, "a ref is written");
    is_str(read_text(at("hub/%s/refs/main", repo.folder)), COMMIT,
        "40 bytes, no newline");
    ok(hubdir_ref(&hub, &repo, out, &e) == HAVE && strcmp(out, COMMIT) == 0,
        "and read");
    ok(hubdir_set_ref(&hub, &repo, OTHER, &e) == 0 &&
            hubdir_ref(&hub, &repo, out, &e) == HAVE && strcmp(out, OTHER) == 0,
        "it moves");
    repo_parse(&pr, REPO_MODEL, "acme/tiny@refs/pr/1", &e);
    ok(hubdir_set_ref(&hub, &pr, COMMIT, &e) == 0, "refs/pr/1");
    is_str(read_text(at("hub/%s/refs/refs/pr/1", repo.folder)), COMMIT,
        "lies at refs/refs/pr/1");
    repo_parse(&pr, REPO_MODEL, "acme/tiny@refs/pr", &e);
    ok(hubdir_ref(&hub, &pr, out, &e) == HAVE_NOT,
        "a folder of refs is no ref");
    repo_parse(&pr, REPO_MODEL, "acme/tiny@main/x", &e);
    ok(hubdir_ref(&hub, &pr, out, &e) == HAVE_NOT, "nothing below a ref");
    repo_parse(&commit, REPO_MODEL, "acme/tiny@" COMMIT, &e);
    ok(hubdir_ref(&hub, &commit, out, &e) == HAVE && strcmp(out, COMMIT) == 0,
        "a commit names itself");
    ok(hubdir_set_ref(&hub, &commit, COMMIT, &e) == 0 &&
            access(at("hub/%s/refs/%s", repo.folder, COMMIT), F_OK) != 0,
        "and gets no ref");
    ok(hubdir_set_ref(&hub, &repo, "../../x", &e) == -1 && e.kind == ERR_BUG,
        "only a commit can be written");
    is_int(count_names(at("hub/%s/refs", repo.folder)), 2,
        "no temporary name beside the refs");
}

static void test_foreign_refs(void)
{
    static const struct {
        const char *text;
        int have;
    } cases[] = { { COMMIT "\n", HAVE }, { COMMIT "\r\n", HAVE },
        { "", HAVE_DAMAGED }, { COMMIT "0", HAVE_DAMAGED },
        { "0123", HAVE_DAMAGED }, { "ref: refs/heads/main", HAVE_DAMAGED } };
    char out[41];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        write_text(at("hub/%s/refs/main", repo.folder), cases[i].text);
        ok(hubdir_ref(&hub, &repo, out, &e) == cases[i].have, "foreign ref %zu",
            i);
    }
}

static void test_read_only(void)
{
    struct tree_file f = file_of("config.json", 5, OID2);
    struct err e = ERR_INIT;
    char out[41];

    /* Same ref, same link: nothing is written, so nothing is refused. */
    write_text(at("hub/%s/refs/main", repo.folder), COMMIT);
    chmod(at("hub/%s/refs", repo.folder), 0555);
    chmod(at("hub/%s", repo.folder), 0555);
    ok(hubdir_ref(&hub, &repo, out, &e) == HAVE &&
            hubdir_set_ref(&hub, &repo, COMMIT, &e) == 0,
        "an unchanged ref is not written again");
    (void)f;
    chmod(at("hub/%s", repo.folder), 0755);
    chmod(at("hub/%s/refs", repo.folder), 0755);
}

static void test_repos(void)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(1 << 20);
    struct hubdir none = { .root = "/nonexistent/hub" };
    struct err e = ERR_INIT;
    struct repo *list;
    uint64_t n;

    mkdir(at("hub/models--zeta"), 0777);
    mkdir(at("hub/datasets--acme--tiny"), 0777);
    mkdir(at("hub/kernels--a--b"), 0777);
    mkdir(at("hub/models--a--b--c"), 0777);
    write_text(at("hub/models--stray"), "a file, not a repository");
    ok(hubdir_repos(&hub, &arena, &list, &n, &e) == 0 && n == 3,
        "three repositories (%llu)", (unsigned long long)n);
    ok(n == 3 && strcmp(list[0].id, "acme/tiny") == 0 &&
            list[0].type == REPO_MODEL && list[1].type == REPO_DATASET &&
            strcmp(list[2].id, "zeta") == 0,
        "sorted by id");
    ok(hubdir_repos(&none, &arena, &list, &n, &e) == 0 && n == 0,
        "none where there is no cache");
}

static void *let_go(void *fd)
{
    usleep(200000);
    close(*(int *)fd);
    return NULL;
}

static void test_lock(void)
{
    struct tree_file f = file_of("x", 1, OID);
    const char *path = at("hub/.locks/%s/%s.lock", repo.folder, OID);
    struct err e = ERR_INIT;
    pthread_t thread;
    struct stat st;
    int first, second;

    first = hubdir_lock(&hub, &repo, &f.oid, &e);
    ok(first >= 0 && stat(path, &st) == 0 && (st.st_mode & 0777) == 0644,
        "a lock file");
    second = open(path, O_RDWR);
    ok(flock(second, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK,
        "flock elsewhere is kept out");
    close(second);
    pthread_create(&thread, NULL, let_go, &first);
    second = hubdir_lock(&hub, &repo, &f.oid, &e);
    pthread_join(thread, NULL);
    ok(second >= 0, "the next one waits and gets it");
    ok(stat(path, &st) == 0, "the file stays");
    close(second);
    unlink(path);
    symlink("/nonexistent/x", path);
    is_int(hubdir_lock(&hub, &repo, &f.oid, &e), -1,
        "a link to nowhere in its place does not hang");
}

int main(void)
{
    struct err e = ERR_INIT;

    umask(022);
    test_default();
    scratch_open();
    snprintf(hub.root, sizeof(hub.root), "%s/hub", scratch);
    repo_parse(&repo, REPO_MODEL, "acme/tiny", &e);
    log_set_level(LOG_WARN);
    test_init();
    test_links();
    test_two_hops();
    test_no_symlinks();
    test_hostile();
    test_refs();
    test_foreign_refs();
    test_read_only();
    test_repos();
    test_lock();
    scratch_close();
    return done();
}
