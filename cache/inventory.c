#include "cache/inventory.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cache/pin.h"
#include "cache/walk.h"

#include "base/log.h"
#include "base/path.h"

/* One folder of a repository, walked. */
static int walk_part(const struct hubdir *h, const struct repo *r,
    const char *part, char *root, struct arena *arena, struct walk_entry **out,
    uint64_t *out_n, struct err *e)
{
    if (path_fmt(root, e, "%s/%s/%s", h->root, r->folder, part) != 0)
        return -1;
    return walk(root, arena, out, out_n, e);
}

/* What a file takes on disk: a partial one may have holes. */
static uint64_t disk_bytes(const struct stat *st)
{
    return size_min((uint64_t)st->st_size, (uint64_t)st->st_blocks * 512);
}

static int count_blobs(const struct hubdir *h, struct held_repo *out,
    struct arena *arena, struct err *e)
{
    char root[PATH_MAX], path[PATH_MAX];
    struct walk_entry *found;
    struct stat st;
    uint64_t n;

    if (walk_part(h, &out->repo, "blobs", root, arena, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        if (path_join(path, root, found[i].path.p, e) != 0)
            return -1;
        if (stat(path, &st) != 0)
            continue;
        if (str_ends(found[i].path, ".incomplete")) {
            out->partial_files++;
            out->partial_bytes += disk_bytes(&st);
        } else {
            out->bytes += (uint64_t)st.st_size;
        }
    }
    return 0;
}

static struct held_revision *last_revision(const struct hubdir *h,
    struct held_repo *out, struct str commit, uint64_t *cap,
    struct arena *arena, struct err *e)
{
    struct held_revision *list = out->revisions;

    if (out->n_revisions > 0 &&
        str_eq(list[out->n_revisions - 1].commit, commit))
        return &list[out->n_revisions - 1];
    list = arena_grow(arena, list, out->n_revisions, cap, sizeof(*list), e);
    if (list == NULL)
        return NULL;
    out->revisions = list;
    list += out->n_revisions++;
    *list = (struct held_revision){ .commit = arena_str(arena, commit, e) };
    list->pinned =
        list->commit.p != NULL && pin_is(h, &out->repo, list->commit.p);
    return list->commit.p != NULL ? list : NULL;
}

/* "<commit>/<path>", sorted: the entries of a commit stand together. */
static int count_snapshots(const struct hubdir *h, struct held_repo *out,
    struct arena *arena, struct err *e)
{
    char root[PATH_MAX], path[PATH_MAX];
    struct walk_entry *found;
    uint64_t n, cap = 0;

    if (walk_part(h, &out->repo, "snapshots", root, arena, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        const char *slash = strchr(found[i].path.p, '/');
        struct held_revision *rev;
        struct stat st;

        if (slash == NULL)
            continue;
        rev = last_revision(h, out,
            (struct str){ found[i].path.p, (size_t)(slash - found[i].path.p) },
            &cap, arena, e);
        if (rev == NULL || path_join(path, root, found[i].path.p, e) != 0)
            return -1;
        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
            rev->missing++;
            continue;
        }
        rev->files++;
        rev->bytes += (uint64_t)st.st_size;
        /* A file of its own, where there are no links. */
        if (found[i].kind == WALK_FILE && st.st_nlink == 1)
            out->bytes += (uint64_t)st.st_size;
    }
    return 0;
}

static int add_ref(struct held_revision *rev, struct str name,
    struct arena *arena, struct err *e)
{
    struct str *refs = arena_alloc(arena, rev->n_refs + 1, sizeof(*refs), e);

    if (refs == NULL)
        return -1;
    if (rev->n_refs > 0)
        memcpy(refs, rev->refs, rev->n_refs * sizeof(*refs));
    refs[rev->n_refs++] = name;
    rev->refs = refs;
    return 0;
}

static int add_refs(const struct hubdir *h, struct held_repo *out,
    struct arena *arena, struct err *e)
{
    struct walk_entry *found;
    char root[PATH_MAX];
    uint64_t n;

    if (walk_part(h, &out->repo, "refs", root, arena, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct repo r = out->repo;
        struct err ignored = ERR_INIT;
        char commit[41];

        if (found[i].path.len >= sizeof(r.revision))
            continue;
        memcpy(r.revision, found[i].path.p, found[i].path.len + 1);
        if (hubdir_ref(h, &r, commit, &ignored) != HAVE)
            continue;
        for (uint64_t k = 0; k < out->n_revisions; k++)
            if (str_is(out->revisions[k].commit, commit) &&
                add_ref(&out->revisions[k], found[i].path, arena, e) != 0)
                return -1;
    }
    return 0;
}

static int count_conversions(const struct hubdir *h, struct held_repo *out,
    struct arena *arena, struct err *e)
{
    struct str last = { "", 0 };
    struct walk_entry *found;
    char root[PATH_MAX];
    uint64_t n;

    if (walk_part(h, &out->repo, "ml/uniform", root, arena, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        const char *slash = strchr(found[i].path.p, '/');
        struct str key = found[i].path;

        if (slash == NULL)
            continue;
        key.len = (size_t)(slash - key.p);
        if (!str_eq(key, last))
            out->conversions++;
        last = key;
        out->conversion_bytes += found[i].size;
    }
    return 0;
}

/* How many files a folder of ours has, and their bytes. */
static int count_files(const struct hubdir *h, const struct repo *r,
    const char *part, uint64_t *files, uint64_t *bytes, struct arena *arena,
    struct err *e)
{
    struct walk_entry *found;
    char root[PATH_MAX];

    if (walk_part(h, r, part, root, arena, &found, files, e) != 0)
        return -1;
    for (uint64_t i = 0; i < *files; i++)
        *bytes += found[i].size;
    return 0;
}

static int count_aside(const struct hubdir *h, struct held_repo *out,
    struct arena *arena, struct err *e)
{
    uint64_t files;

    if (count_files(h, &out->repo, "ml/quarantine", &out->aside_files,
            &out->aside_bytes, arena, e) != 0)
        return -1;
    return count_files(
        h, &out->repo, "ml/trash", &files, &out->trash_bytes, arena, e);
}

static int count(const struct hubdir *h, struct held_repo *out,
    struct arena *arena, struct err *e)
{
    if (count_blobs(h, out, arena, e) != 0 ||
        count_snapshots(h, out, arena, e) != 0 ||
        add_refs(h, out, arena, e) != 0)
        return -1;
    return count_conversions(h, out, arena, e) != 0
               ? -1
               : count_aside(h, out, arena, e);
}

int inventory(const struct hubdir *h, struct arena *arena,
    struct held_repo **out, uint64_t *out_n, struct err *e)
{
    struct repo *repos;
    uint64_t n;

    *out = NULL;
    if (hubdir_repos(h, arena, &repos, &n, e) != 0)
        return -1;
    *out = arena_alloc(arena, n, sizeof(**out), e);
    if (*out == NULL)
        return -1;
    *out_n = 0;
    for (uint64_t i = 0; i < n; i++) {
        struct held_repo held = { .repo = repos[i] };
        struct err why = ERR_INIT;

        if (count(h, &held, arena, &why) == 0) {
            (*out)[(*out_n)++] = held;
            continue;
        }
        err_ctx(&why, "%s", repos[i].id);
        if (why.kind != ERR_IO) {
            *e = why;
            return -1;
        }
        log_warn("left out: %s", why.msg);
    }
    return 0;
}
