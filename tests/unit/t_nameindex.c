/* The index of a volume's names: true, or not believed. */
#include "cache/nameindex.h"
#include "cache/step.h"

#include <fcntl.h>

#include "base/file.h"
#include "base/log.h"
#include "tests/unit/tap.h"

#include "tests/unit/scratch.h"

enum { NAMES = 1200, LONG_AGO = -1000 /* as if nothing were young */ };

static struct volume vol;
static struct arena arena = ARENA_INIT(256 << 20);
static struct volume_entry *list;
static uint64_t n;

static void name_file(const char *name, uint64_t i)
{
    char text[192];
    int len = snprintf(text, sizeof(text),
        "{\"sha256\": \"%064llx\", \"size\": %llu, \"mtime\": 1700000000}\n",
        (unsigned long long)i, (unsigned long long)(3 * i));

    write_file(at("new"), text, (size_t)len);
    rename(at("new"), at("vol/names/%s.json", name));
}

static void make_volume(void)
{
    struct err e = ERR_INIT;
    bool created;
    char name[64];

    snprintf(vol.root, sizeof(vol.root), "%s", at("vol"));
    volume_create(&vol, &created, &e);
    mkdir(at("vol/names"), 0755);
    mkdir(at("vol/names/d"), 0755);
    mkdir(at("vol/names/d/none"), 0755);
    for (uint64_t i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), i % 3 != 0 ? "d/n%llu" : "n%llu",
            (unsigned long long)i);
        name_file(name, i);
    }
}

/* The times of a file system go in ticks. */
static void tick(void)
{
    usleep(25000);
}

static void fresh(double took_s)
{
    struct err e = ERR_INIT;

    unlink(at("vol/names.index"));
    tick();
    volume_list(&vol, NULL, &arena, &list, &n, &e);
    nameindex_write(&vol, list, n, took_s);
}

static bool believed(void)
{
    struct volume_entry *out;
    uint64_t count;

    return nameindex_read(&vol, &arena, &out, &count);
}

static bool same(const struct volume_entry *a, const struct volume_entry *b)
{
    return str_eq(a->name, b->name) && digest_eq(&a->sha256, &b->sha256) &&
           a->size == b->size && a->mtime == b->mtime;
}

static void test_same(void)
{
    struct volume_entry *out;
    uint64_t count = 0, bad = 0;

    ok(!believed(), "there is none at first");
    fresh(LONG_AGO);
    ok(nameindex_read(&vol, &arena, &out, &count) && count == NAMES &&
            n == NAMES,
        "what was written is read");
    for (uint64_t i = 0; i < count; i++)
        bad += !same(&out[i], &list[i]);
    is_int((long long)bad, 0, "and is what the names say");
}

static void test_shown(void)
{
    static const char *const prefixes[] = { NULL, "", "d", "d/", "d/n1", "n3",
        "d/n", "no" };
    struct volume_entry *a, *b;
    uint64_t na, nb, bad = 0;
    struct err e = ERR_INIT;

    fresh(LONG_AGO);
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        bad += volume_list(&vol, prefixes[i], &arena, &a, &na, &e) != 0 ||
               volume_shown(&vol, prefixes[i], &arena, &b, &nb, &e) != 0 ||
               na != nb;
        for (uint64_t k = 0; k < na && k < nb; k++)
            bad += !same(&a[k], &b[k]);
    }
    is_int((long long)bad, 0, "what is shown is what is listed");
}

/* A step of the log that names/ does not show yet, as a kill leaves it. */
static void test_pending(void)
{
    struct change changes[] = {
        { .name = str_of("d/n1"), .was = true, .old = { .size = 3 } },
        { .name = str_of("later"), .is = true, .now = { .size = 77 } },
    };
    struct step step = { .number = 1,
        .when = 1700000000,
        .what = str_of("mv"),
        .who = str_of("a@b"),
        .changes = changes,
        .n = 2 };
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 16);
    struct volume_entry *out;
    struct err e = ERR_INIT;
    uint64_t count = 0;
    char sha[65];

    snprintf(sha, sizeof(sha), "%064d", 1);
    digest_parse(&changes[0].old.sha256, str_of(sha));
    digest_parse(&changes[1].now.sha256, str_of(sha));
    fresh(LONG_AGO);
    step_text(&step, &b, &e);
    write_file(at("vol/log"), b.p, b.len);
    ok(believed() &&
            volume_shown(&vol, "later", &arena, &out, &count, &e) == 0 &&
            count == 1 && out[0].size == 77,
        "a name of a step that is still to be done is shown");
    ok(volume_shown(&vol, "d/n1", &arena, &out, &count, &e) == 0 && count == 0,
        "one that it takes out is not");
    unlink(at("vol/log"));
}

static void is_seen(const char *what)
{
    ok(!believed(), "%s", what);
    fresh(LONG_AGO);
    ok(believed(), "and then there is a new one");
}

static void test_changes(void)
{
    fresh(LONG_AGO);
    tick();
    name_file("n3", 999);
    is_seen("a name that means something else is seen");
    tick();
    name_file("d/new", 1);
    is_seen("a new name is");
    tick();
    unlink(at("vol/names/d/new.json"));
    is_seen("a name that is gone is");
    tick();
    name_file("d/none/x", 1);
    is_seen("a name in a folder that was empty is");
    tick();
    mkdir(at("vol/names/e"), 0755);
    is_seen("a new folder is");
    tick();
    rename(at("vol/names"), at("vol/was"));
    mkdir(at("vol/names"), 0755);
    ok(!believed(), "other names in their place are");
    rmdir(at("vol/names"));
    rename(at("vol/was"), at("vol/names"));
    fresh(LONG_AGO);
    tick();
    rename(at("vol/names/d"), at("d"));
    symlink(at("d"), at("vol/names/d"));
    ok(!believed(), "a folder that became a link is not");
    unlink(at("vol/names/d"));
    rename(at("d"), at("vol/names/d"));
}

static void test_not_kept(void)
{
    tick();
    name_file("n3", 3);
    fresh(0);
    ok(access(at("vol/names.index"), F_OK) != 0,
        "nothing is kept while a folder is young: the next change could leave "
        "the same time");
    volume_list(&vol, NULL, &arena, &list, &n, &(struct err)ERR_INIT);
    nameindex_write(&vol, list, NAMEINDEX_MIN - 1, LONG_AGO);
    ok(access(at("vol/names.index"), F_OK) != 0, "nor of few names");
    nameindex_write(&vol, list, n - 1, LONG_AGO);
    ok(access(at("vol/names.index"), F_OK) != 0, "nor of a part of them");
    close(open(at("vol/names/d/bad.json"), O_CREAT | O_WRONLY, 0644));
    fresh(LONG_AGO);
    ok(access(at("vol/names.index"), F_OK) != 0,
        "nor while a name cannot be read, so that each list says so");
    unlink(at("vol/names/d/bad.json"));
    mkdir(at("vol/names/d/new\nline"), 0755);
    fresh(LONG_AGO);
    ok(access(at("vol/names.index"), F_OK) != 0, "nor with an odd folder");
    rmdir(at("vol/names/d/new\nline"));
    fresh(LONG_AGO);
    ok(believed(), "again it is");
}

static void index_is(const char *text, size_t len)
{
    int fd = open(
        at("vol/names.index"), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

    if (write(fd, text, len) != (ssize_t)len)
        perror("index");
    close(fd);
}

static void test_damage(void)
{
    struct buf b AUTO(buf_free) = BUF_INIT(16 << 20);
    struct err e = ERR_INIT;
    uint64_t bad = 0;

    fresh(LONG_AGO);
    file_slurp(at("vol/names.index"), &b, &e);
    for (size_t i = 0; i < b.len; i += i < 400 ? 1 : 997) {
        index_is(b.p, i);
        bad += believed();
        b.p[i] ^= 4;
        index_is(b.p, b.len);
        bad += believed();
        b.p[i] ^= 4;
    }
    is_int((long long)bad, 0, "cut short or damaged anywhere: not believed");
    index_is(b.p, b.len);
    ok(believed(), "whole it is");
}

/* As a stranger would write it: the sum and the folders are right. */
static bool forged(const char *rows, unsigned long long count)
{
    struct buf b AUTO(buf_free) = BUF_INIT(1 << 20),
                 rest AUTO(buf_free) = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct digest sum;
    struct stat st;

    stat(at("vol/names"), &st);
    buf_printf(&rest, "1 %llu\n%llu %lld %ld %lld %ld \n%s", count,
        (unsigned long long)st.st_ino, (long long)st.st_mtim.tv_sec,
        st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec,
        rows);
    hash_bytes(HASH_SHA256, rest.p, rest.len, &sum, &e);
    buf_printf(&b, "ml-names 1 %s\n%s", sum.hex, rest.p);
    index_is(b.p, b.len);
    return believed();
}

#define SHA "00000000000000000000000000000000000000000000000000000000000000aa"

static void test_forged(void)
{
    static const struct {
        const char *rows;
        unsigned long long count;
    } bad[] = {
        { SHA " 1 2 ../x\n", 1 },
        { SHA " 1 2 /x\n", 1 },
        { SHA " 1 2 a\x1b[1m\n", 1 },
        { SHA " 1 2 \n", 1 },
        { SHA " 1 2 b\n" SHA " 1 2 a\n", 2 },
        { SHA " 1 2 a\n" SHA " 1 2 a\n", 2 },
        { SHA " 1 2 a\n", 2 },
        { SHA " 1 2 a\n", 9000000000000000000u },
        { SHA " 1 2 a\n" SHA " 1 2 b\n", 1 },
        { "0123456789012345678901234567890123456789 1 2 a\n" SHA, 1 },
        { SHA " 99999999999999999999 2 a\n", 1 },
        { SHA " -1 2 a\n", 1 },
        { SHA " 1 2 a", 1 },
    };

    ok(forged(SHA " 1 2 a\n" SHA " 1 2 b/c\n", 2), "a sound one is read");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ok(!forged(bad[i].rows, bad[i].count), "but not %.60s", bad[i].rows);
}

static void test_no_file(void)
{
    unlink(at("vol/names.index"));
    mkfifo(at("vol/names.index"), 0600);
    ok(!believed(), "a pipe is none, and does not stop anybody");
    unlink(at("vol/names.index"));
    mkdir(at("vol/names.index"), 0700);
    ok(!believed(), "nor is a folder");
    nameindex_write(&vol, list, n, LONG_AGO);
    rmdir(at("vol/names.index"));
    rename(at("vol/tmp"), at("vol/tmp.was"));
    symlink("/nowhere/at/all", at("vol/tmp"));
    nameindex_write(&vol, list, n, LONG_AGO);
    ok(!believed(), "what cannot be written is done without");
}

int main(void)
{
    umask(022);
    log_set_level(LOG_ERROR);
    scratch_open();
    make_volume();
    test_same();
    test_shown();
    test_pending();
    test_changes();
    test_not_kept();
    test_damage();
    test_forged();
    test_no_file();
    arena_free(&arena);
    scratch_close();
    return done();
}
