#include "cache/aside.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/path.h"

#include "tests/unit/tap.h"

enum { FILES = 40, RACE_S = 1 };

static char top[PATH_MAX];

static const char *at(char *out, const char *name)
{
    struct err ignored = ERR_INIT;

    path_join(out, top, name, &ignored);
    return out;
}

static void make(const char *name, bool folder)
{
    char path[PATH_MAX];
    int fd;

    if (folder) {
        mkdir(at(path, name), 0755);
        return;
    }
    fd = open(at(path, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0)
        close(fd);
}

static bool is_there(const char *name)
{
    char path[PATH_MAX];
    struct stat st;

    return lstat(at(path, name), &st) == 0;
}

static void fill(const char *folder, const char *front)
{
    char name[256];

    make(folder, true);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "%s/%s%d", folder, front, i);
        make(name, false);
    }
}

static void t_trees(void)
{
    struct err e = ERR_INIT;
    char path[PATH_MAX], deep[PATH_MAX] = "deep";

    fill("a", "");
    fill("a/b", "");
    fill("a/b/c", "");
    ok(chmod(at(path, "a/b"), 0555) == 0, "a folder is made read-only");
    ok(chmod(at(path, "a/b/c"), 0) == 0, "and one that nobody may enter");
    ok(aside_remove(at(path, "a"), &e) == 0, "a tree: %s", e.msg);
    ok(!is_there("a"), "is gone");
    ok(aside_remove(at(path, "a"), &e) == 0, "what is not there is fine");
    ok(aside_remove(at(path, "no/such"), &e) == 0, "nor the folder above it");
    for (int i = 0; i < 200; i++) {
        make(deep, true);
        snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep), "/dddd");
    }
    ok(aside_remove(at(path, "deep"), &e) == 0, "a deep one: %s", e.msg);
    ok(!is_there("deep"), "is gone, too");
}

static void t_links(void)
{
    struct err e = ERR_INIT;
    char path[PATH_MAX], to[PATH_MAX];

    fill("kept", "kept");
    make("a", true);
    ok(symlink(at(to, "kept"), at(path, "a/link")) == 0, "a link in a folder");
    ok(symlink(at(to, "kept"), at(path, "link")) == 0, "and one by itself");
    ok(aside_remove(at(path, "a"), &e) == 0, "the folder: %s", e.msg);
    ok(aside_remove(at(path, "link"), &e) == 0, "the link: %s", e.msg);
    ok(!is_there("a") && !is_there("link") && is_there("kept/kept0"),
        "a link goes, what it leads to stays");
}

/* Somebody who puts a link to what is not ours in a folder's place. */
static atomic_bool over;

static void *swap(void *arg)
{
    char folder[PATH_MAX], link[PATH_MAX];

    (void)arg;
    at(folder, "tree/inner");
    at(link, "swapped");
    while (!atomic_load(&over))
        renameat2(AT_FDCWD, folder, AT_FDCWD, link, RENAME_EXCHANGE);
    return NULL;
}

static void t_race(void)
{
    struct err e = ERR_INIT;
    time_t end = time(NULL) + RACE_S;
    char path[PATH_MAX], to[PATH_MAX];
    pthread_t thread;
    int rounds = 0;

    fill("kept", "kept");
    if (pthread_create(&thread, NULL, swap, NULL) != 0) {
        ok(false, "a thread");
        return;
    }
    for (; time(NULL) <= end; rounds++) {
        aside_remove(at(path, "swapped"), &e);
        symlink(at(to, "kept"), at(path, "swapped"));
        fill("tree", "");
        fill("tree/inner", "");
        err_clear(&e);
        aside_remove(at(path, "tree"), &e);
    }
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    for (int i = 0; i < FILES; i++) {
        char name[32];

        snprintf(name, sizeof(name), "kept/kept%d", i);
        if (!is_there(name)) {
            ok(false, "%s is gone after %d rounds", name, rounds);
            return;
        }
    }
    ok(true, "a link that takes a folder's place leads nowhere, %d times",
        rounds);
}

int main(void)
{
    struct err e = ERR_INIT;

    snprintf(top, sizeof(top), "%s/ml-test-XXXXXX",
        getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    if (mkdtemp(top) == NULL)
        return 1;
    t_trees();
    t_links();
    t_race();
    ok(aside_remove(top, &e) == 0, "all of it: %s", e.msg);
    return done();
}
