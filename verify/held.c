#include "verify/held.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/path.h"
#include "cache/hubdir.h"

enum { HOPS_MAX = 8, NAMED_MAX = 5 };

/* Is path the place of a content-addressed file? Its name is the digest. */
static bool digest_of_place(const char *path, struct digest *out)
{
    char dir[PATH_MAX], above[PATH_MAX];

    if (!digest_parse(out, str_of(path_base(path))))
        return false;
    path_dir(dir, sizeof(dir), path);
    if (strcmp(path_base(dir), "blobs") == 0)
        return true;
    path_dir(above, sizeof(above), dir);
    return out->kind == HASH_SHA256 && strcmp(path_base(above), "sha256") == 0;
}

/* One hop along a link, as text; false at the end of the chain. */
static bool follow(char path[PATH_MAX])
{
    char target[PATH_MAX], dir[PATH_MAX], next[PATH_MAX];
    struct err ignored = ERR_INIT;
    ssize_t n = readlink(path, target, sizeof(target) - 1);

    if (n <= 0)
        return false;
    target[n] = '\0';
    path_dir(dir, sizeof(dir), path);
    if (target[0] == '/') {
        memcpy(path, target, (size_t)n + 1);
        return true;
    }
    if (path_join(next, dir, target, &ignored) != 0)
        return false;
    memcpy(path, next, sizeof(next));
    return true;
}

static void expect_links(struct vfile *f)
{
    char path[PATH_MAX];
    struct digest d;

    if ((size_t)snprintf(path, sizeof(path), "%s", f->path) >= sizeof(path))
        return;
    for (int hop = 0; hop < HOPS_MAX; hop++) {
        if (digest_of_place(path, &d))
            vfile_expect(f, &d, "the name of its blob");
        if (!follow(path))
            return;
    }
}

void held_expect_links(const struct filelist *l)
{
    for (size_t i = 0; i < l->n; i++)
        expect_links(&l->files[i]);
}

/*
 * ROOT/models--org--name/snapshots/<commit>, taken apart. False for any
 * other folder.
 */
static bool snapshot_parts(
    const char *folder, struct hubdir *hub, struct repo *repo, char commit[41])
{
    char path[PATH_MAX], up[PATH_MAX];
    const char *name;

    if (realpath(folder, path) == NULL || !repo_is_commit(path_base(path)))
        return false;
    snprintf(commit, 41, "%s", path_base(path));
    path_dir(up, sizeof(up), path);
    if (strcmp(path_base(up), "snapshots") != 0)
        return false;
    path_dir(path, sizeof(path), up);
    name = path_base(path);
    if (strstr(name, "s--") == NULL || strlen(name) >= sizeof(repo->folder))
        return false;
    *repo = (struct repo){ .type = REPO_MODEL };
    snprintf(repo->folder, sizeof(repo->folder), "%s", name);
    path_dir(hub->root, sizeof(hub->root), path);
    return true;
}

static void expect_listed(
    struct vfile *f, const struct tree_file *t, struct findings *report)
{
    if (f->size != t->size) {
        findings_fail(report, "listing", ERR_CORRUPT,
            "%.*s: has %llu bytes, the listing says %llu", STR_ARG(f->name),
            (unsigned long long)f->size, (unsigned long long)t->size);
        f->damaged = true;
        return;
    }
    vfile_expect(f, tree_etag(t), "the listing");
}

static void compare(
    const struct filelist *l, const struct tree *tree, struct findings *report)
{
    struct buf missing AUTO(buf_free) = BUF_INIT(4096);
    uint64_t n_missing = 0;

    for (uint64_t i = 0; i < tree->n; i++) {
        const struct tree_file *t = &tree->files[i];
        struct vfile *f = filelist_find(l, t->path);

        if (f != NULL)
            expect_listed(f, t, report);
        else if (n_missing++ < NAMED_MAX)
            buf_printf(&missing, "%s%.*s", missing.len ? ", " : "",
                (int)size_min(t->path.len, 200), t->path.p);
    }
    if (n_missing == 0)
        findings_ok(report, "listing", "all %llu files of the commit are there",
            (unsigned long long)tree->n);
    else
        findings_note(report, "listing",
            "%llu of the %llu files of the commit are not here: %s%s",
            (unsigned long long)n_missing, (unsigned long long)tree->n,
            missing.p, n_missing > NAMED_MAX ? ", ..." : "");
}

int held_expect_listing(const struct filelist *l, const char *folder,
    struct findings *report, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)256 << 20);
    struct hubdir hub;
    struct repo repo;
    struct tree tree;
    char commit[41];

    if (!snapshot_parts(folder, &hub, &repo, commit))
        return 0;
    switch (hubdir_tree(&hub, &repo, commit, &arena, &tree, e)) {
    case HAVE:
        compare(l, &tree, report);
        return 0;
    case HAVE_NOT:
        findings_skip(report, "listing", "none is kept for commit %s", commit);
        return 0;
    case HAVE_DAMAGED:
        findings_fail(report, "listing", ERR_CORRUPT,
            "trees/%s.json: is not a listing", commit);
        return 0;
    default:
        return -1;
    }
}
