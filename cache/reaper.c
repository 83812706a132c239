#include "cache/reaper.h"
#include "cache/reaper_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "cache/aside.h"
#include "cache/doomed.h"
#include "cache/edit.h"
#include "cache/walk.h"

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"

/* The names of one repository. */
#define CENSUS_MAX ((uint64_t)16 << 30)

bool reaper_is_volume(const struct reaper *r)
{
    return r->repo.folder[0] == '\0';
}

/* A path inside the repository's folder. */
static int inside(
    const struct reaper *r, const char *part, char *out, struct err *e)
{
    return path_fmt(
        out, e, "%s/%s/%s", r->place->hub.root, r->repo.folder, part);
}

/* What the names say now. */
int reaper_look(const struct reaper *r, struct census *out, struct arena *arena,
    struct err *e)
{
    struct target t = { .kind = TARGET_REPO, .repo = r->repo };

    if (reaper_is_volume(r))
        return census(
            r->place, NULL, 0, CENSUS_BARE | CENSUS_PUTS, out, arena, e);
    return census(r->place, &t, 1, CENSUS_BARE, out, arena, e);
}

int reaper_unlink(const char *path, struct err *e)
{
    char dir[PATH_MAX];

    if (unlink(path) != 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : err_sys(e, "cannot remove %s", path);
    path_dir(dir, sizeof(dir), path);
    return dir_sync(dir, e);
}

/* ---- the trash ---- */

int reaper_home(
    const struct reaper *r, const struct digest *d, char *out, struct err *e)
{
    if (reaper_is_volume(r))
        return path_fmt(out, e, "%s/store/sha256/%.2s/%s",
            r->place->volume.root, d->hex, d->hex);
    return hubdir_blob(&r->place->hub, &r->repo, d, out, e);
}

int reaper_cmp_hex(const void *key, const void *digest)
{
    const struct digest *a = key, *b = digest;

    return strcmp(a->hex, b->hex);
}

static bool is_old(const char *path, uint64_t age_s)
{
    struct stat st;

    return lstat(path, &st) == 0 && time(NULL) - st.st_ctime >= (time_t)age_s;
}

/* Back to its place, unless that is filled by now. */
int reaper_put_back(
    const struct reaper *r, const struct digest *d, struct err *e)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct err why = ERR_INIT;

    if (path_join(from, r->trash, d->hex, e) != 0 ||
        reaper_home(r, d, to, e) != 0)
        return -1;
    if (access(from, F_OK) != 0 || aside_back(from, to, &why) == 0)
        return 0;
    if (why.kind == ERR_BUSY)
        return 0;
    *e = why;
    return -1;
}

/* Those in the trash that some name misses go back: trashed is sorted. */
int reaper_put_needed_back(const struct reaper *r, const struct digest *trashed,
    uint64_t n, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(CENSUS_MAX);
    struct census c;

    if (reaper_look(r, &c, &arena, e) != 0)
        return -1;
    for (uint64_t i = 0; i < c.n_names; i++)
        if (c.names[i].broken && c.names[i].digest.hex[0] != '\0' &&
            bsearch(&c.names[i].digest, trashed, n, sizeof(*trashed),
                reaper_cmp_hex) != NULL &&
            reaper_put_back(r, &c.names[i].digest, e) != 0)
            return -1;
    return 0;
}

/* What the trash holds, sorted: objects only. */
static int list_trash(const struct reaper *r, struct arena *arena,
    struct digest **out, uint64_t *n, struct err *e)
{
    DIR *d AUTO(dir_close) = opendir(r->trash);
    struct dirent *entry;
    struct digest one;
    uint64_t cap = 0;

    *out = NULL;
    *n = 0;
    while (d != NULL && (entry = readdir(d)) != NULL) {
        struct digest *list;

        if (!digest_parse(&one, str_of(entry->d_name)))
            continue;
        if (*n == cap) {
            cap = cap == 0 ? 64 : 2 * cap;
            list = arena_alloc(arena, cap, sizeof(*list), e);
            if (list == NULL)
                return -1;
            if (*n > 0)
                memcpy(list, *out, *n * sizeof(*list));
            *out = list;
        }
        (*out)[(*n)++] = one;
    }
    if (*n > 1)
        qsort(*out, *n, sizeof(**out), reaper_cmp_hex);
    return 0;
}

/* All of it; where locks lie, only what has been there long enough. */
int reaper_empty_trash(const struct reaper *r, struct err *e)
{
    DIR *d AUTO(dir_close) = opendir(r->trash);
    struct dirent *entry;
    char path[PATH_MAX];

    while (d != NULL && (entry = readdir(d)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (path_join(path, r->trash, entry->d_name, e) != 0)
            return -1;
        if ((r->lease.honest || is_old(path, r->grace_s)) &&
            aside_remove(path, e) != 0)
            return -1;
    }
    rmdir(r->trash);
    return 0;
}

static int recover(const struct reaper *r, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(CENSUS_MAX);
    struct digest *trashed;
    uint64_t n;

    if (access(r->trash, F_OK) != 0)
        return 0;
    if (list_trash(r, &arena, &trashed, &n, e) != 0 ||
        (n > 0 && reaper_put_needed_back(r, trashed, n, e) != 0))
        return -1;
    return reaper_empty_trash(r, e);
}

/* Revisions whose removal was killed. */
static int finish(struct reaper *r, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(CENSUS_MAX);
    struct str *doomed;
    uint64_t n;

    if (doomed_list(&r->place->hub, &r->repo, &arena, &doomed, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct err why = ERR_INIT;

        if (reaper_revision(r, doomed[i].p, &why) == 0 || why.kind == ERR_BUSY)
            continue;
        *e = why;
        return -1;
    }
    return 0;
}

/* A change of names that was killed; a full disk is none the better for it. */
static void end_edit(const struct reaper *r)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(CENSUS_MAX);
    struct edit ed AUTO(edit_close) = EDIT_INIT;
    struct err why = ERR_INIT;

    if (history_size(&r->place->volume) > 0 &&
        edit_begin(&ed, &r->place->volume, "", true, &arena, &why) != 0)
        log_warn("%s", why.msg);
}

int reaper_in_use(const struct reaper *r, struct err *e)
{
    err_set(e, ERR_BUSY, "%s is in use by another process",
        reaper_is_volume(r) ? r->place->volume.root : r->repo.id);
    return err_hint(e, "try again when it has ended");
}

/* ---- taking it ---- */

static int find_paths(struct reaper *r, struct err *e)
{
    if (reaper_is_volume(r)) {
        if (path_join(r->trash, r->place->volume.root, "trash", e) != 0)
            return -1;
        return lease_of_volume(&r->place->volume, r->lease_path, e);
    }
    if (inside(r, "ml/trash", r->trash, e) != 0)
        return -1;
    return lease_of_repo(&r->place->hub, &r->repo, r->lease_path, e);
}

int reaper_check(const struct place *p, const struct repo *r, struct err *e)
{
    static const char *const of_repo[] = { "blobs", "snapshots", "refs",
        "trees", ".no_exist", "ml/trash", "ml/uniform", "ml/journal",
        "ml/quarantine", "ml/used", "ml/pulling", "ml/pins", "ml/removing",
        NULL };
    static const char *const of_volume[] = { "store/sha256", "names", "files",
        "tmp", "trash", "quarantine", "uniform", NULL };
    const char *const *part = r != NULL ? of_repo : of_volume;
    char root[PATH_MAX], path[PATH_MAX];

    if (r != NULL ? path_join(root, p->hub.root, r->folder, e) != 0
                  : path_fmt(root, e, "%s", p->volume.root) != 0)
        return -1;
    for (; *part != NULL; part++)
        if (aside_inside(root, *part, path, e) != 0)
            return err_hint(e, "what it leads to is not touched: make it a "
                               "folder, or remove it by hand");
    return 0;
}

int reaper_open(struct reaper *out, const struct place *p, const struct repo *r,
    uint64_t grace_s, struct err *e)
{
    *out = (struct reaper)REAPER_INIT;
    out->place = p;
    out->grace_s = grace_s;
    if (r != NULL)
        out->repo = *r;
    if (reaper_check(p, r, e) != 0 || find_paths(out, e) != 0 ||
        lease_take(&out->lease, out->lease_path,
            r != NULL ? r->id : p->volume.root, e) != 0)
        return -1;
    if (recover(out, e) == 0 && (r == NULL || finish(out, e) == 0)) {
        if (r == NULL)
            end_edit(out);
        return 0;
    }
    reaper_close(out);
    return -1;
}

void reaper_close(struct reaper *r)
{
    lease_free(&r->lease);
}

/* ---- names ---- */

/* The refs that name the commit, and folders that they leave empty. */
static int remove_refs(struct reaper *r, const char *commit, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(CENSUS_MAX);
    char root[PATH_MAX], path[PATH_MAX], names[41];
    struct walk_entry *found;
    uint64_t n;

    if (inside(r, "refs", root, e) != 0 ||
        walk(root, &arena, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct repo named = r->repo;
        int have;

        if (found[i].path.len >= sizeof(named.revision))
            continue;
        memcpy(named.revision, found[i].path.p, found[i].path.len + 1);
        have = hubdir_ref(&r->place->hub, &named, names, e);
        if (have < 0)
            return -1;
        if (have != HAVE || strcmp(names, commit) != 0)
            continue;
        if (path_join(path, root, found[i].path.p, e) != 0 ||
            reaper_unlink(path, e) != 0)
            return -1;
        aside_prune(path, root);
    }
    return 0;
}

/* The same where there is no room for the trash: this folder is there. */
static int remove_tree(const struct reaper *r, const char *path, struct err *e)
{
    char locks[PATH_MAX], name[PATH_MAX], to[PATH_MAX];

    /* A name of its own: gc may be removing another one at this moment. */
    if (path_join(locks, r->place->hub.root, ".locks", e) != 0 ||
        file_temp_name(name, locks, "ml-trash", e) != 0 ||
        aside_move(path, locks, path_base(name), to, e) != 0)
        return -1;
    return aside_remove(to, e);
}

/* To the trash in one step: readers see all of it, or nothing. */
static int trash_tree(
    const struct reaper *r, const char *path, const char *name, struct err *e)
{
    struct err why = ERR_INIT;
    char to[PATH_MAX];

    if (access(path, F_OK) != 0 ||
        aside_move(path, r->trash, name, to, &why) == 0)
        return 0;
    /* It may be a sync that has failed: then it has been moved. */
    if (why.kind == ERR_NOSPACE && access(path, F_OK) == 0)
        return remove_tree(r, path, e);
    *e = why;
    return -1;
}

static int remove_conversions(
    struct reaper *r, const char *commit, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(CENSUS_MAX);
    struct target t = { .kind = TARGET_REVISION, .repo = r->repo };
    char path[PATH_MAX];
    struct census c;

    snprintf(t.commit, sizeof(t.commit), "%s", commit);
    if (census(r->place, &t, 1, 0, &c, &arena, e) != 0)
        return -1;
    for (uint64_t i = 0; i < c.n_objects; i++) {
        const struct object *o = &c.objects[i];
        size_t n = o->path.len - o->shown.len - 1;

        if (o->kind != OBJECT_CONVERTED || !str_is(o->commit, commit))
            continue;
        if (path_fmt(path, e, "%.*s", (int)n, o->path.p) != 0 ||
            trash_tree(r, path, path_base(path), e) != 0)
            return -1;
    }
    return 0;
}

int reaper_revision(struct reaper *r, const char *commit, struct err *e)
{
    static const struct {
        const char *front, *tail;
    } marks[] = { { "trees/", ".json" }, { "ml/used/", "" },
        { "ml/pulling/", "" }, { "ml/pins/", "" }, { "ml/removing/", "" } };
    char part[128], path[PATH_MAX];

    if (lease_lost(&r->lease, r->lease_path))
        return reaper_in_use(r, e);
    if (hubdir_idle(&r->place->hub, &r->repo, e) != 0 ||
        doomed_mark(&r->place->hub, &r->repo, commit, e) != 0 ||
        remove_refs(r, commit, e) != 0 || remove_conversions(r, commit, e) != 0)
        return -1;
    snprintf(part, sizeof(part), "snapshots/%s", commit);
    if (inside(r, part, path, e) != 0 ||
        trash_tree(r, path, "snapshot", e) != 0)
        return -1;
    snprintf(part, sizeof(part), ".no_exist/%s", commit);
    if (inside(r, part, path, e) != 0 ||
        trash_tree(r, path, "no_exist", e) != 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        snprintf(part, sizeof(part), "%s%s%s", marks[i].front, commit,
            marks[i].tail);
        if (inside(r, part, path, e) != 0 || reaper_unlink(path, e) != 0)
            return -1;
    }
    return reaper_empty_trash(r, e);
}

int reaper_repo(struct reaper *r, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;

    if (hubdir_idle(&r->place->hub, &r->repo, e) != 0 ||
        path_join(path, r->place->hub.root, r->repo.folder, e) != 0)
        return -1;
    if (lease_lost(&r->lease, r->lease_path))
        return reaper_in_use(r, e);
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
        return err_set(e, ERR_REFUSED,
            "%s: a symbolic link: remove what it leads to by hand", path);
    return remove_tree(r, path, e);
}
