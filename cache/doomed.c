#include "cache/doomed.h"

#include <sys/stat.h>
#include <unistd.h>

#include "cache/hubdir_internal.h"
#include "cache/used.h"
#include "cache/walk.h"

#include "base/log.h"
#include "base/path.h"

static int part_path(const struct hubdir *h, const struct repo *r,
    const char *part, const char *commit, char *out, struct err *e)
{
    return path_fmt(out, e, "%s/%s/%s/%s", h->root, r->folder, part, commit);
}

int doomed_mark(const struct hubdir *h, const struct repo *r,
    const char *commit, struct err *e)
{
    struct err why = ERR_INIT;
    char path[PATH_MAX];

    if (part_path(h, r, "ml/removing", commit, path, e) != 0)
        return -1;
    if (access(path, F_OK) == 0 ||
        hubdir_put(h, r, path, str_of(""), &why) == 0)
        return 0;
    /* Removing is what helps then. */
    if (why.kind == ERR_NOSPACE) {
        log_debug("%s", why.msg);
        return 0;
    }
    *e = why;
    return -1;
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec
                                  : a->tv_nsec >= b->tv_nsec;
}

/* 1: some ref names it, 0, -1: *e. */
static int has_ref(const struct hubdir *h, const struct repo *r,
    const char *commit, struct arena *arena, struct err *e)
{
    struct walk_entry *found;
    char root[PATH_MAX], names[41];
    uint64_t n;

    if (path_fmt(root, e, "%s/%s/refs", h->root, r->folder) != 0 ||
        walk_names(root, arena, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct repo named = *r;
        int have;

        if (found[i].path.len >= sizeof(named.revision))
            continue;
        memcpy(named.revision, found[i].path.p, found[i].path.len + 1);
        have = hubdir_ref(h, &named, names, e);
        if (have < 0)
            return -1;
        if (have == HAVE && strcmp(names, commit) == 0)
            return 1;
    }
    return 0;
}

/* 1: the mark counts, 0: the revision has come back, -1: *e. */
static int counts(const struct hubdir *h, const struct repo *r,
    const char *commit, struct arena *arena, struct err *e)
{
    char mark[PATH_MAX], used[PATH_MAX], pulling[PATH_MAX];
    struct stat at, use;
    int rc;

    if (part_path(h, r, "ml/removing", commit, mark, e) != 0 ||
        part_path(h, r, "ml/used", commit, used, e) != 0 ||
        part_path(h, r, "ml/pulling", commit, pulling, e) != 0)
        return -1;
    rc = has_ref(h, r, commit, arena, e);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    return access(pulling, F_OK) != 0 && stat(mark, &at) == 0 &&
           !(stat(used, &use) == 0 && is_later(&use.st_mtim, &at.st_mtim));
}

int doomed_list(const struct hubdir *h, const struct repo *r,
    struct arena *arena, struct str **out, uint64_t *out_n, struct err *e)
{
    struct walk_entry *found;
    char root[PATH_MAX], path[PATH_MAX];
    uint64_t n;

    *out = NULL;
    *out_n = 0;
    if (path_fmt(root, e, "%s/%s/ml/removing", h->root, r->folder) != 0 ||
        walk_names(root, arena, &found, &n, e) != 0)
        return -1;
    *out = arena_alloc(arena, n, sizeof(**out), e);
    if (*out == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        int rc;

        if (!repo_is_commit(found[i].path.p))
            continue;
        rc = counts(h, r, found[i].path.p, arena, e);
        if (rc < 0 || path_join(path, root, found[i].path.p, e) != 0)
            return -1;
        if (rc > 0)
            (*out)[(*out_n)++] = found[i].path;
        else
            unlink(path);
    }
    return 0;
}
