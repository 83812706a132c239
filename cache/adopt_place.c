/* The place that is adopted into: is it one, apart from the source, and held
 * against the collector? */
#include "cache/adopt.h"
#include "cache/adopt_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/pool.h"

/* Open files of the program, and of one core. */
enum { FILES_OWN = 32, FILES_CORE = 8 };

static bool is_below(const char *real, const char *root)
{
    size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);

    return strncmp(real, root, n) == 0 && (real[n] == '/' || real[n] == '\0');
}

/* The place, or what is there of the path to it, without links. */
static bool real_of(const char *root, char *real)
{
    char at[PATH_MAX], up[PATH_MAX];
    size_t n;

    snprintf(at, sizeof(at), "%s", root);
    while (realpath(at, real) == NULL) {
        path_dir(up, sizeof(up), at);
        if (errno != ENOENT || strcmp(up, at) == 0)
            return false;
        memcpy(at, up, sizeof(at));
    }
    /* What is not there yet stands behind what is. */
    n = strlen(real);
    if (strcmp(at, ".") != 0 && strlen(root) > strlen(at))
        snprintf(real + n, PATH_MAX - n, "%s", root + strlen(at));
    return true;
}

/* The same folder, by whatever path. */
static bool is_same(
    int fd, const char *in_source, const char *root, const char *in_place)
{
    struct err ignored = ERR_INIT;
    struct stat theirs, ours;
    char path[PATH_MAX];

    return path_join(path, root, in_place, &ignored) == 0 &&
           stat(path, &ours) == 0 && fstatat(fd, in_source, &theirs, 0) == 0 &&
           ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

/* What is mounted twice has two paths. */
static bool is_own(const struct adopt *a, const char *root)
{
    static const char *const parts[] = { ".", "hub", "store", "store/sha256",
        "files", "names" };
    const struct foreign *f = &a->foreign;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (is_same(f->fd, ".", root, parts[i]))
            return true;
    for (uint64_t i = 0; i < f->n_repos; i++)
        if (is_same(f->fd, f->repos[i].folder, a->place->hub.root,
                f->repos[i].folder))
            return true;
    return false;
}

static int check_apart(const struct adopt *a, struct err *e)
{
    const char *root =
        a->place->has_volume ? a->place->volume.root : a->place->hub.root;
    char real[PATH_MAX];

    if (!real_of(root, real))
        return err_sys(e, "%s", root);
    if (is_below(a->foreign.root, real) || is_own(a, root))
        return err_set(
            e, ERR_REFUSED, "%s: is part of %s itself", a->source, root);
    if (is_below(real, a->foreign.root))
        return err_set(e, ERR_REFUSED, "%s: %s lies in it", a->source, root);
    return 0;
}

static int check_needs(const struct adopt *a, struct err *e)
{
    if (a->foreign.kind == FOREIGN_HUB || a->place->has_volume)
        return 0;
    err_set(e, ERR_USAGE,
        "%s: %s; its files become put files, and those need a volume",
        a->source,
        a->foreign.kind == FOREIGN_OLLAMA     ? "an Ollama store"
        : a->foreign.kind == FOREIGN_LMSTUDIO ? "a folder of LM Studio"
                                              : "no hub cache");
    return err_hint(e, "--volume NAME; it is made where it is not there");
}

static int make_place(struct adopt *a, struct err *e)
{
    if (a->dry_run)
        return 0;
    if (a->place->has_volume &&
        volume_create(&a->place->volume, &a->created, e) != 0)
        return -1;
    return a->foreign.kind == FOREIGN_HUB ? hubdir_init(&a->place->hub, e) : 0;
}

/* ---- leases: what comes is not collected before it has a name ---- */

void adopt_leases_free(struct adopt_leases *l)
{
    for (uint64_t i = 0; i < l->n; i++)
        lease_free(&l->v[i]);
    l->n = 0;
}

/* Where a move takes from, nobody of ours may be at work: what was never in
 * use there has no lease. */
static int take_source(struct adopt_leases *l, const struct foreign *f,
    const struct repo *r, struct err *e)
{
    struct hubdir source;
    char path[PATH_MAX];

    memcpy(source.root, f->root, sizeof(source.root));
    if (lease_of_repo(&source, r, path, e) != 0)
        return -1;
    if (access(path, F_OK) != 0)
        return 0;
    l->v[l->n] = (struct lease)LEASE_INIT;
    if (lease_take(&l->v[l->n], path, r->id, e) != 0)
        return -1;
    l->n++;
    return 0;
}

static int hold_one(struct adopt_leases *l, const char *path, struct err *e)
{
    l->v[l->n] = (struct lease)LEASE_INIT;
    if (lease_hold(&l->v[l->n], path, true, e) != 0)
        return -1;
    l->n++;
    return 0;
}

/* A lease is an open file. */
static int make_room(const struct adopt *a, struct err *e)
{
    uint64_t need = (a->how == BRING_MOVE ? 2 : 1) * a->foreign.n_repos +
                    FILES_OWN + (uint64_t)FILES_CORE * pool_cores();
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || need <= r.rlim_cur)
        return 0;
    r.rlim_cur = (rlim_t)size_min(need, r.rlim_max);
    if (r.rlim_cur == need && setrlimit(RLIMIT_NOFILE, &r) == 0)
        return 0;
    err_set(e, ERR_IO, "%s: %llu repositories at once need %llu open files",
        a->source, (unsigned long long)a->foreign.n_repos,
        (unsigned long long)need);
    return err_hint(e, "raise the limit (ulimit -n), or adopt them one by one");
}

static int hold_all(struct adopt *a, struct arena *arena,
    struct adopt_leases *out, struct err *e)
{
    char path[PATH_MAX];

    out->v = arena_alloc(arena, 2 * a->foreign.n_repos + 1, sizeof(*out->v), e);
    if (out->v == NULL)
        return -1;
    if (a->dry_run)
        return 0;
    if (make_room(a, e) != 0)
        return -1;
    if (a->foreign.kind != FOREIGN_HUB &&
        (lease_of_volume(&a->place->volume, path, e) != 0 ||
            hold_one(out, path, e) != 0))
        return -1;
    for (uint64_t i = 0; i < a->foreign.n_repos; i++) {
        const struct repo *r = &a->foreign.repos[i];

        if (lease_of_repo(&a->place->hub, r, path, e) != 0 ||
            hold_one(out, path, e) != 0 ||
            (a->how == BRING_MOVE && take_source(out, &a->foreign, r, e) != 0))
            return -1;
    }
    return 0;
}

int adopt_ready(struct adopt *a, struct adopt_leases *leases,
    struct arena *arena, struct err *e)
{
    if (check_needs(a, e) != 0 || check_apart(a, e) != 0 ||
        make_place(a, e) != 0)
        return -1;
    return hold_all(a, arena, leases, e);
}
