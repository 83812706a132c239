/* A volume: put, find, list, get, and what may go wrong with each. */
#include "cache/volume.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <time.h>
#include <utime.h>

#include "cache/hubdir.h"
#include "cache/putlist.h"

#include "base/file.h"
#include "base/log.h"
#include "tests/unit/tap.h"

#include "tests/unit/scratch.h"

#define HELLO_SHA                                                              \
    "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static struct volume vol;
static struct arena arena = ARENA_INIT(64 << 20);

static enum err_kind put_kind(const char *file, const char *name)
{
    struct volume_entry entry;
    struct err e = ERR_INIT;

    volume_put(&vol, file, name, NULL, &entry, &arena, &e);
    if (e.kind != ERR_NONE)
        printf("# %s\n", e.msg);
    return e.kind;
}

static enum err_kind get_kind(const char *name, const char *dest)
{
    struct volume_entry entry;
    struct err e = ERR_INIT;

    if (volume_find(&vol, name, &arena, &entry, &e) == 0)
        volume_save(&vol, &entry, dest, NULL, &e);
    if (e.kind != ERR_NONE)
        printf("# %s\n", e.msg);
    return e.kind;
}

static void test_locate(void)
{
    struct err e = ERR_INIT;
    struct volume v;

    setenv("MLFETCH_VOLUMES", "/v", 1);
    ok(volume_locate(&v, "name", &e) == 0 && strcmp(v.root, "/v/name") == 0,
        "a name lives under MLFETCH_VOLUMES");
    ok(volume_locate(&v, "./name/", &e) == 0 && strcmp(v.root, "./name") == 0,
        "a text with a slash is a path");
    unsetenv("MLFETCH_VOLUMES");
    setenv("XDG_DATA_HOME", "/x", 1);
    ok(volume_locate(&v, "name", &e) == 0 &&
            strcmp(v.root, "/x/mlfetch/volumes/name") == 0,
        "XDG_DATA_HOME");
    unsetenv("XDG_DATA_HOME");
    setenv("HOME", "/h", 1);
    ok(volume_locate(&v, "name", &e) == 0 &&
            strcmp(v.root, "/h/.local/share/mlfetch/volumes/name") == 0,
        "the home folder");
    ok(volume_locate(&v, "", &e) == -1 && e.kind == ERR_USAGE, "no name");
    err_clear(&e);
    ok(volume_locate(&v, "s3://bucket", &e) == -1 && e.kind == ERR_USAGE,
        "object storage is not of this room");
}

static void test_create(void)
{
    struct utimbuf old = { 1000, 1000 };
    struct volume other;
    struct err e = ERR_INIT;
    bool created = false;

    ok(!volume_exists(&vol), "not there yet");
    ok(volume_create(&vol, &created, &e) == 0 && created, "made");
    ok(volume_create(&vol, &created, &e) == 0 && !created, "made once");
    is_str(read_text(at("vol/ml-volume.json")), "{\"ml-volume\": 1}\n",
        "the marker");
    write_text(at("full/x"), "x");
    snprintf(other.root, sizeof(other.root), "%s", at("full"));
    ok(volume_create(&other, &created, &e) == -1 && e.kind == ERR_REFUSED,
        "a folder with other things in it is refused");
    err_clear(&e);
    write_text(at("new/ml-volume.json"), "{\"ml-volume\": 2}");
    snprintf(other.root, sizeof(other.root), "%s", at("new"));
    write_text(at("new/tmp/x"), "x");
    utime(at("new/tmp/x"), &old);
    ok(volume_create(&other, &created, &e) == -1 && e.kind == ERR_UNSUPPORTED &&
            access(at("new/tmp/x"), F_OK) == 0,
        "a newer volume is not touched");
}

static void test_put(void)
{
    struct volume_entry entry, *list;
    struct err e = ERR_INIT;
    struct stat a, b;
    uint64_t n;

    write_text(at("hello"), "hello");
    write_text(at("world"), "world");
    is_int(put_kind(at("hello"), "m/hello"), ERR_NONE, "put");
    is_str(read_text(at("vol/store/sha256/2c/" HELLO_SHA)), "hello",
        "the store has it");
    ok(stat(at("vol/store/sha256/2c/" HELLO_SHA), &a) == 0 &&
            (a.st_mode & 0777) == 0444,
        "read-only");
    ok(stat(at("vol/files/m/hello"), &b) == 0 && a.st_ino == b.st_ino,
        "files/ shows the same file");
    ok(volume_find(&vol, "m/hello", &arena, &entry, &e) == 0 &&
            entry.size == 5 && strcmp(entry.sha256.hex, HELLO_SHA) == 0 &&
            entry.mtime + 60 > time(NULL),
        "found");
    is_int(put_kind(at("hello"), "again"), ERR_NONE, "the same content");
    ok(stat(at("vol/files/again"), &b) == 0 && a.st_ino == b.st_ino,
        "is not kept twice");
    is_int(put_kind(at("hello"), "again"), ERR_NONE, "the same name");
    is_int(put_kind(at("world"), "again"), ERR_NONE, "another content");
    is_str(read_text(at("vol/files/again")), "world", "replaces it");
    write_text(at("empty"), "");
    is_int(put_kind(at("empty"), "empty"), ERR_NONE, "an empty file");
    ok(volume_list(&vol, NULL, &arena, &list, &n, &e) == 0 && n == 3 &&
            str_is(list[0].name, "again") && str_is(list[2].name, "m/hello"),
        "listed in order");
    ok(volume_list(&vol, "m", &arena, &list, &n, &e) == 0 && n == 1,
        "below a folder");
    ok(volume_list(&vol, "m/hello", &arena, &list, &n, &e) == 0 && n == 1,
        "one by name");
    ok(volume_list(&vol, "m/he", &arena, &list, &n, &e) == 0 && n == 0,
        "a beginning is no folder");
    ok(access(at("vol/tmp"), F_OK) == 0 && rmdir(at("vol/tmp")) == 0,
        "nothing is left in tmp/");
}

static void test_names(void)
{
    static const char *const bad[] = { "../x", "/etc/x", "a/../b", "", "a/",
        "./a", "a//b", "a\\b", "a\nb", "." };
    char long_name[300];

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ok(put_kind(at("hello"), bad[i]) == ERR_REFUSED,
            "putting name %zu is refused", i);
        ok(get_kind(bad[i], at("out")) == ERR_REFUSED,
            "getting name %zu is refused", i);
    }
    is_int(
        put_kind(at("hello"), "m/hello/x"), ERR_REFUSED, "a file is no folder");
    is_int(put_kind(at("hello"), "m"), ERR_REFUSED, "a folder is no file");
    is_int(put_kind(at("hello"), "m/hello.json/x"), ERR_NONE,
        "beside a file x there may be a folder x.json");
    is_int(put_kind(at("hello"), "j.json/x"), ERR_NONE, "x.json/ alone");
    is_int(get_kind("j", at("out")), ERR_MISSING, "is no damaged x");
    is_int(put_kind(at("world"), "j"), ERR_NONE, "and x can join it");
    is_int(put_kind(at("world"), "j.json+/x"), ERR_NONE, "x.json+/, too");
    is_int(put_kind(at("world"), "j.json"), ERR_REFUSED, "but no x.json");
    is_int(get_kind("j.json/x", at("out")), ERR_NONE, "got");
    is_str(read_text(at("out")), "hello", "each");
    is_int(get_kind("j.json+/x", at("out")), ERR_NONE, "got");
    is_str(read_text(at("out")), "world", "has its own");
    memset(long_name, 'n', 251);
    long_name[251] = '\0';
    is_int(
        put_kind(at("hello"), long_name), ERR_REFUSED, "a name of 251 bytes");
    long_name[250] = '\0';
    is_int(put_kind(at("hello"), long_name), ERR_NONE, "one of 250");
    is_int(put_kind(at("none"), "x"), ERR_MISSING, "no such file");
    is_int(put_kind(at("vol"), "x"), ERR_REFUSED, "a folder as a file");
    is_int(get_kind("none", at("out")), ERR_MISSING, "no such name");
}

static void test_get(void)
{
    static const char stored[] = "vol/store/sha256/2c/" HELLO_SHA;
    struct volume_entry entry;
    struct err e = ERR_INIT;
    struct stat st;

    is_int(get_kind("m/hello", at("got")), ERR_NONE, "got");
    is_str(read_text(at("got")), "hello", "the bytes");
    ok(stat(at("got"), &st) == 0 && (st.st_mode & 0777) == 0644, "writable");
    unlink(at("got"));
    unlink(at("vol/files/m/hello"));

    unlink(at("%s", stored));
    write_text(at("%s", stored), "hellO");
    is_int(get_kind("m/hello", at("got")), ERR_CORRUPT, "a changed byte");
    ok(access(at("got"), F_OK) != 0, "leaves no file");
    write_text(at("%s", stored), "hell");
    is_int(get_kind("m/hello", at("got")), ERR_CORRUPT, "a byte too few");
    unlink(at("%s", stored));
    is_int(get_kind("m/hello", at("got")), ERR_CORRUPT, "no content at all");
    ok(access(at("got"), F_OK) != 0, "leaves no file");

    write_text(at("%s", stored), "hellO");
    is_int(put_kind(at("hello"), "m/hello"), ERR_NONE, "put again");
    is_int(get_kind("m/hello", at("got")), ERR_NONE, "repairs it");
    is_str(read_text(at("got")), "hello", "the bytes");

    write_text(at("vol/names/m/hello.json"), "{\"sha256\": \"x\"}");
    ok(volume_find(&vol, "m/hello", &arena, &entry, &e) == -1 &&
            e.kind == ERR_CORRUPT,
        "a damaged name is told");
    is_int(put_kind(at("hello"), "m/hello"), ERR_NONE, "and put again");
}

static void test_sweep(void)
{
    struct utimbuf old = { 1000, 1000 };
    struct err e = ERR_INIT;
    bool created;
    int fd;

    write_text(at("vol/tmp/put.1.tmp"), "x");
    write_text(at("vol/tmp/put.2.tmp"), "x");
    write_text(at("vol/tmp/put.3.tmp"), "x");
    write_text(at("vol/tmp/.hidden.tmp"), "x");
    utime(at("vol/tmp/.hidden.tmp"), &old);
    utime(at("vol/tmp/put.1.tmp"), &old);
    utime(at("vol/tmp/put.2.tmp"), &old);
    fd = open(at("vol/tmp/put.2.tmp"), O_RDONLY);
    flock(fd, LOCK_EX);
    volume_create(&vol, &created, &e);
    ok(access(at("vol/tmp/put.1.tmp"), F_OK) != 0, "an old one is swept");
    ok(access(at("vol/tmp/.hidden.tmp"), F_OK) != 0, "of a hidden name too");
    ok(access(at("vol/tmp/put.2.tmp"), F_OK) == 0, "one in use is not");
    ok(access(at("vol/tmp/put.3.tmp"), F_OK) == 0, "a new one is not");
    close(fd);
}

static void *cut(void *path)
{
    struct timespec nap = { .tv_nsec = 20000000 };

    nanosleep(&nap, NULL);
    truncate(path, 10);
    return NULL;
}

static void test_cut(void)
{
    char path[PATH_MAX];
    pthread_t thread;

    snprintf(path, sizeof(path), "%s", at("shrinks"));
    write_text(path, "");
    truncate(path, 1 << 28);
    pthread_create(&thread, NULL, cut, path);
    is_int(put_kind(path, "shrinks"), ERR_BUSY,
        "a file that is cut while it is read changes, it is not damaged");
    pthread_join(thread, NULL);
    unlink(path);
}

static int list_of(const char *source, const char *name,
    struct putlist_item **items, uint64_t *n)
{
    struct err e = ERR_INIT;
    uint64_t total;

    *n = 0;
    if (putlist_make(&vol, source, name, &arena, items, n, &total, &e) == 0)
        return 0;
    printf("# %s\n", e.msg);
    return (int)e.kind;
}

static void test_putlist(void)
{
    struct putlist_item *items;
    struct putlist_done done;
    struct err e = ERR_INIT;
    uint64_t n;

    write_text(at("dir/b"), "b");
    write_text(at("dir/a/c"), "c");
    symlink("../b", at("dir/a/l"));
    ok(list_of(at("dir"), "to", &items, &n) == 0 && n == 3 &&
            strcmp(items[0].name, "to/a/c") == 0 &&
            strcmp(items[1].name, "to/a/l") == 0 &&
            strcmp(items[2].name, "to/b") == 0,
        "a folder's files, sorted, with a link inside");
    ok(putlist_run(&vol, items, n, false, NULL, &done, &arena, &e) == 0 &&
            done.step > 0 && done.copied[0],
        "put");
    ok(putlist_run(&vol, items, n, false, NULL, &done, &arena, &e) == 0 &&
            done.step == 0 && !done.copied[0],
        "and once more: nothing is copied, nothing changes");
    is_str(read_text(at("vol/files/to/a/l")), "b", "the link's content");
    ok(list_of(at("dir/"), NULL, &items, &n) == 0 &&
            strcmp(items[0].name, "dir/a/c") == 0,
        "its own name");
    ok(list_of(at("dir/."), "x/", &items, &n) == 0 &&
            strcmp(items[0].name, "x/dir/a/c") == 0,
        "into a folder, from '.'");
    ok(list_of(at("dir/b"), "x/", &items, &n) == 0 && n == 1 &&
            strcmp(items[0].name, "x/b") == 0,
        "a file into a folder");
    is_int(list_of(at("dir/b"), "../x", &items, &n), ERR_REFUSED,
        "a name that leaves");
    is_int(list_of(at("no"), NULL, &items, &n), ERR_MISSING, "no source");
    symlink("/etc/passwd", at("dir/out"));
    is_int(list_of(at("dir"), NULL, &items, &n), ERR_REFUSED,
        "a link that leaves the folder");
    unlink(at("dir/out"));
    symlink("../dir2/x", at("dir/out"));
    write_text(at("dir2/x"), "x");
    is_int(list_of(at("dir"), NULL, &items, &n), ERR_REFUSED,
        "one to a folder whose name begins alike");
    unlink(at("dir/out"));
    symlink("none", at("dir/out"));
    is_int(list_of(at("dir"), NULL, &items, &n), ERR_REFUSED, "one to nothing");
    unlink(at("dir/out"));
    symlink("a", at("dir/out"));
    is_int(
        list_of(at("dir"), NULL, &items, &n), ERR_REFUSED, "one to a folder");
    unlink(at("dir/out"));
    is_int(list_of(scratch, NULL, &items, &n), ERR_REFUSED,
        "a folder that the volume is in");
    is_int(
        list_of(at("vol"), NULL, &items, &n), ERR_REFUSED, "the volume itself");
    mkfifo(at("dir/pipe"), 0600);
    is_int(list_of(at("dir/pipe"), NULL, &items, &n), ERR_REFUSED,
        "a FIFO by itself");
    is_int(list_of(at("dir"), NULL, &items, &n), ERR_REFUSED, "a FIFO");
    mkdir(at("bare"), 0777);
    is_int(
        list_of(at("bare"), NULL, &items, &n), ERR_MISSING, "an empty folder");
}

/* Every byte of a name's file replaced by others, one at a time. */
static uint64_t write_mutants(void)
{
    static const char others[] = "09aF{}\"\\: ,-+.e\n";
    const char *good = "{\"sha256\": \"" HELLO_SHA
                       "\", \"size\": 105, \"mtime\": 1700000001}\n";
    uint64_t n = 0;

    for (size_t i = 0; i <= strlen(good); i++)
        for (size_t k = 0; k <= sizeof(others); k++, n++) {
            char text[256];
            int len = snprintf(text, sizeof(text), "%s", good);

            if (k == sizeof(others))
                len = (int)i; /* cut short */
            else if (i < strlen(good))
                text[i] = others[k];
            else
                text[len++] = others[k];
            write_file(at("many/names/d%llu/n%llu.json",
                           (unsigned long long)n % 7, (unsigned long long)n),
                text, (size_t)len);
        }
    return n;
}

/* What a list says of a name is what is found under it alone. */
static uint64_t disagreements(
    const struct volume *v, const struct volume_entry *list, uint64_t n)
{
    uint64_t bad = 0;

    for (uint64_t i = 0; i < n; i++) {
        struct err e = ERR_INIT;
        struct volume_entry one;

        bad += volume_find(v, list[i].name.p, &arena, &one, &e) != 0 ||
               !str_eq(one.name, list[i].name) ||
               !digest_eq(&one.sha256, &list[i].sha256) ||
               one.size != list[i].size || one.mtime != list[i].mtime ||
               (i > 0 && str_cmp(list[i - 1].name, list[i].name) >= 0);
    }
    return bad;
}

static void test_many(void)
{
    struct volume_entry *list, one;
    struct volume v;
    struct err e = ERR_INIT;
    uint64_t made, n, sound = 0;
    bool created;
    char name[64];

    snprintf(v.root, sizeof(v.root), "%s", at("many"));
    volume_create(&v, &created, &e);
    made = write_mutants();
    mkfifo(at("many/names/d0/fifo.json"), 0600);
    symlink("n0.json", at("many/names/d0/link.json"));
    write_file(at("many/names/d0/other.txt"), "", 0);
    is_int(volume_list(&v, NULL, &arena, &list, &n, &e), 0,
        "many names are listed");
    for (uint64_t i = 0; i < made; i++) {
        struct err why = ERR_INIT;

        snprintf(name, sizeof(name), "d%llu/n%llu", (unsigned long long)i % 7,
            (unsigned long long)i);
        sound += volume_find(&v, name, &arena, &one, &why) == 0;
    }
    printf("# %llu names, %llu sound\n", (unsigned long long)made,
        (unsigned long long)sound);
    ok(n == sound && sound > 100 && sound < made,
        "all that are sound, and no other");
    is_int((int)disagreements(&v, list, n), 0,
        "as they are found one by one, in order");
    is_int(volume_list(&v, "d3/", &arena, &list, &n, &e), 0, "one folder");
    ok(n > 10 && strncmp(list[0].name.p, "d3/", 3) == 0 &&
            disagreements(&v, list, n) == 0,
        "under their whole names");
}

int main(void)
{
    umask(022);
    scratch_open();
    test_locate();
    snprintf(vol.root, sizeof(vol.root), "%s/vol", scratch);
    log_set_level(LOG_ERROR);
    test_create();
    test_put();
    test_names();
    test_get();
    test_sweep();
    test_cut();
    test_putlist();
    test_many();
    arena_free(&arena);
    scratch_close();
    return done();
}
