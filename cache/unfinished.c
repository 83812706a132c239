#include "cache/unfinished.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/hubdir_internal.h"
#include "cache/walk.h"

#include "base/path.h"

/* A snapshot of 100,000 files takes about 20 MB. */
enum { LISTING_MAX = 1 << 30 };

static int mark_path(const struct hubdir *h, const struct repo *r,
    const char *commit, char *out, struct err *e)
{
    return path_fmt(out, e, "%s/%s/ml/pulling/%s", h->root, r->folder, commit);
}

int unfinished_mark(const struct hubdir *h, const struct repo *r,
    const char *commit, struct err *e)
{
    char path[PATH_MAX];

    if (mark_path(h, r, commit, path, e) != 0)
        return -1;
    if (access(path, F_OK) == 0)
        return 0;
    return hubdir_put(h, r, path, str_of(""), e);
}

void unfinished_clear(
    const struct hubdir *h, const struct repo *r, const char *commit)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    if (mark_path(h, r, commit, path, &ignored) == 0)
        unlink(path);
}

static int not_whole(
    const struct repo *r, const char *commit, const char *why, struct err *e)
{
    err_set(e, ERR_MISSING, "%s@%.12s is here in part only: %s", r->id, commit,
        why);
    return err_hint(e, "run: mlfetch pull %s@%s", r->id,
        repo_is_commit(r->revision) ? commit : r->revision);
}

/* A listing is written after the entries, a ref after the listing. */
static int check_mark(const struct hubdir *h, const struct repo *r,
    const char *commit, struct arena *arena, struct err *e)
{
    struct tree ignored;
    char path[PATH_MAX];
    int have;

    if (!repo_is_commit(r->revision))
        return 0;
    if (mark_path(h, r, commit, path, e) != 0)
        return -1;
    if (access(path, F_OK) != 0)
        return 0;
    have = hubdir_tree(h, r, commit, arena, &ignored, e);
    if (have < 0)
        return -1;
    return have == HAVE
               ? 0
               : not_whole(r, commit, "a pull did not come to its end", e);
}

int unfinished_check(const struct hubdir *h, const struct repo *r,
    const char *commit, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(LISTING_MAX);
    char root[PATH_MAX], path[PATH_MAX], why[300];
    struct walk_entry *found;
    struct stat st;
    uint64_t n;

    if (check_mark(h, r, commit, &arena, e) != 0 ||
        hubdir_snapshot(h, r, commit, root, e) != 0 ||
        walk(root, &arena, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        if (found[i].kind != WALK_LINK)
            continue;
        if (path_join(path, root, found[i].path.p, e) != 0)
            return -1;
        if (stat(path, &st) == 0)
            continue;
        snprintf(why, sizeof(why), "'%.200s' leads nowhere", found[i].path.p);
        return not_whole(r, commit, why, e);
    }
    return 0;
}
