/* The files below a folder: all of them, what they are, in order. */
#include "cache/walk.h"

#include <errno.h>

#include "tests/unit/tap.h"

#include "tests/unit/scratch.h"

static struct arena arena = ARENA_INIT(64 << 20);

static bool is(const struct walk_entry *w, const char *path,
    enum walk_kind kind, uint64_t size)
{
    return str_is(w->path, path) && w->path.p[w->path.len] == '\0' &&
           w->kind == kind && w->size == size;
}

static void test_kinds(void)
{
    struct err e = ERR_INIT;
    struct walk_entry *w;
    uint64_t n, seen = 0;

    write_file(at("t/b/deep/file"), "12345", 5);
    write_file(at("t/a"), "", 0);
    write_file(at("t/b-x"), "1", 1);
    write_file(at("t/.hidden/..odd"), "12", 2);
    mkdir(at("t/empty"), 0777);
    symlink("b", at("t/link"));
    symlink("nowhere", at("t/b/lost"));
    mkfifo(at("t/pipe"), 0600);
    is_int(walk(at("t"), &arena, &w, &n, &e), 0, "a folder is walked");
    ok(n == 7 && is(&w[0], ".hidden/..odd", WALK_FILE, 2) &&
            is(&w[1], "a", WALK_FILE, 0) && is(&w[2], "b-x", WALK_FILE, 1) &&
            is(&w[3], "b/deep/file", WALK_FILE, 5) &&
            is(&w[4], "b/lost", WALK_LINK, 0) &&
            is(&w[5], "link", WALK_LINK, 0) && is(&w[6], "pipe", WALK_OTHER, 0),
        "every file, in order of the paths, no folder, no link followed");
    is_int(walk_names(at("t"), &arena, &w, &n, &e), 0, "and for names alone");
    for (uint64_t i = 0; i < n; i++)
        seen += is(&w[i], "b/deep/file", WALK_FILE, 0) ||
                is(&w[i], "link", WALK_LINK, 0) ||
                is(&w[i], "pipe", WALK_OTHER, 0);
    ok(n == 7 && seen == 3, "which are the same, without sizes");
}

static void test_roots(void)
{
    struct err e = ERR_INIT;
    struct walk_entry *w;
    uint64_t n;

    ok(walk(at("none"), &arena, &w, &n, &e) == 0 && n == 0,
        "a folder that is not there has no files");
    symlink("t", at("way"));
    ok(walk(at("way"), &arena, &w, &n, &e) == 0 && n == 7,
        "the root may be a link");
    ok(walk(at("t/"), &arena, &w, &n, &e) == 0 && n == 7 &&
            is(&w[1], "a", WALK_FILE, 0),
        "and end with a slash");
    ok(walk(at("t/a"), &arena, &w, &n, &e) == -1 && e.sys == ENOTDIR,
        "a file is no folder");
}

static void test_refused(void)
{
    struct arena small = ARENA_INIT(512);
    struct err e = ERR_INIT;
    struct walk_entry *w;
    uint64_t n;

    is_int(walk(at("t"), &small, &w, &n, &e), -1, "a limit of memory holds");
    is_int(e.kind, ERR_REFUSED, "and is the reason");
    arena_free(&small);
    if (geteuid() == 0) {
        skip("a folder that cannot be read", "root reads everything");
        return;
    }
    e = (struct err)ERR_INIT;
    chmod(at("t/b/deep"), 0);
    ok(walk(at("t"), &arena, &w, &n, &e) == -1 && e.sys == EACCES &&
            strstr(e.msg, "b/deep") != NULL,
        "a folder that cannot be read is named");
    chmod(at("t/b/deep"), 0700);
}

static void test_deep(void)
{
    char path[PATH_MAX];
    struct err e = ERR_INIT;
    struct walk_entry *w;
    size_t len = (size_t)snprintf(path, sizeof(path), "%s", at("deep"));
    uint64_t n;

    while (len < 3000)
        len += (size_t)snprintf(path + len, sizeof(path) - len, "/d");
    snprintf(path + len, sizeof(path) - len, "/f");
    write_file(path, "x", 1);
    ok(walk(at("deep"), &arena, &w, &n, &e) == 0 && n == 1 && w[0].size == 1,
        "more than a thousand folders in each other");
}

int main(void)
{
    scratch_open();
    test_kinds();
    test_roots();
    test_refused();
    test_deep();
    arena_free(&arena);
    scratch_close();
    return done();
}
