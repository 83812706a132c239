/* t_converted.c - which conversion of a snapshot is taken. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "formats/manifest.h"
#include "tests/unit/tap.h"
#include "verify-run/converted.h"

static char folder[64] = "/tmp/t_converted-XXXXXX";

/* A finished conversion, as old as said; commit NULL: unfinished. */
static void make(const char *name, const char *commit, time_t when)
{
    struct buf text AUTO(buf_free) = BUF_INIT(1 << 16);
    struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };
    struct manifest m = { .tool = str_of("test") };
    char dir[PATH_MAX];
    char path[PATH_MAX];
    struct err e = ERR_INIT;

    path_join(dir, folder, name, &e);
    path_join(path, dir, MANIFEST_NAME, &e);
    dir_make(dir, &e);
    if (commit == NULL)
        return;
    if (commit[0] != '\0') {
        m.repository = str_of("o/n");
        m.commit = str_of(commit);
    }
    m.dtype = str_of("fp16");
    if (manifest_write(&text, &m, &e) != 0 ||
        file_put(path, text.p, text.len, 0644, &e) != 0 ||
        utimensat(AT_FDCWD, path, times, 0) != 0)
        printf("# %s\n", e.msg);
}

static void drop(const char *name)
{
    char dir[PATH_MAX];
    char path[PATH_MAX];
    struct err e = ERR_INIT;

    path_join(dir, folder, name, &e);
    path_join(path, dir, MANIFEST_NAME, &e);
    unlink(path);
    rmdir(dir);
}

/* Of a snapshot whose conversions are there. */
static bool find(const char *where, const char *commit, char out[PATH_MAX])
{
    struct found f = { .kind = FOUND_REPO };

    snprintf(f.converted, sizeof(f.converted), "%s", where);
    snprintf(f.commit, sizeof(f.commit), "%s", commit);
    return converted_find(&f, out);
}

int main(void)
{
    static const char a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static const char b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    char out[PATH_MAX] = "";

    if (mkdtemp(folder) == NULL)
        return 1;
    ok(!find("", a, out), "no folder");
    ok(!find("/nowhere/at/all", a, out), "a folder not there");
    ok(!find(folder, a, out), "an empty folder");
    make("unfinished", NULL, 0);
    ok(!find(folder, a, out), "one without a manifest");
    make("old", a, 1000);
    make("new", a, 2000);
    make("other", b, 3000);
    ok(find(folder, a, out) && strcmp(path_base(out), "new") == 0,
        "the newest of this snapshot");
    ok(find(folder, "", out) && strcmp(path_base(out), "other") == 0,
        "of any, without a commit");
    drop("new");
    ok(find(folder, a, out) && strcmp(path_base(out), "old") == 0,
        "then the next");
    drop("old");
    ok(!find(folder, a, out), "never another snapshot's");
    drop("other");
    drop("unfinished");
    rmdir(folder);
    return done();
}
