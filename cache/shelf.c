#include "cache/shelf.h"
#include "cache/volume_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cache/aside.h"
#include "cache/lease.h"
#include "cache/pin.h"
#include "cache/walk.h"

#include "base/file.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/path.h"

static const char gone[] = ".ml-gone";

/* ---- looking ---- */

int shelf_look(const struct volume *v, struct shelved *out, struct arena *arena,
    struct err *e)
{
    struct volume_entry *list;
    struct repo *repos;
    struct hubdir hub;

    *out = (struct shelved){ .volume = *v };
    out->name = arena_str(arena, str_of(v->root), e);
    if (out->name.p == NULL ||
        volume_list(v, NULL, arena, &list, &out->files, e) != 0 ||
        volume_hub(v, &hub, e) != 0 ||
        hubdir_repos(&hub, arena, &repos, &out->repositories, e) != 0)
        return -1;
    for (uint64_t i = 0; i < out->files; i++)
        if (!size_add(out->bytes, list[i].size, &out->bytes))
            return err_set(e, ERR_CORRUPT, "sizes do not add up");
    return 0;
}

static int cmp_names(const void *a, const void *b)
{
    const struct shelved *x = a, *y = b;

    return str_cmp(x->name, y->name);
}

/* 1: it is one; 0: it is none, or cannot be read; -1: *e. */
static int look_at(const char *shelf, const char *name, struct shelved *out,
    struct arena *arena, struct err *e)
{
    struct err why = ERR_INIT;
    struct volume v;

    if (name[0] == '.' || path_join(v.root, shelf, name, &why) != 0 ||
        !volume_exists(&v))
        return 0;
    if (shelf_look(&v, out, arena, &why) != 0) {
        if (why.kind == ERR_CANCELLED || why.kind == ERR_NOMEM) {
            *e = why;
            return -1;
        }
        log_warn("%s", why.msg);
        return 0;
    }
    out->name = arena_str(arena, str_of(name), e);
    return out->name.p != NULL ? 1 : -1;
}

int shelf_list(
    struct shelved **out, uint64_t *n, struct arena *arena, struct err *e)
{
    DIR *d AUTO(dir_close) = NULL;
    char shelf[PATH_MAX];
    struct dirent *entry;
    uint64_t cap = 0;

    *out = NULL;
    *n = 0;
    if (volume_shelf(shelf, e) != 0)
        return -1;
    d = opendir(shelf);
    if (d == NULL)
        return errno == ENOENT ? 0 : err_sys(e, "%s", shelf);
    while ((entry = readdir(d)) != NULL) {
        struct shelved *list =
            arena_grow(arena, *out, *n, &cap, sizeof(*list), e);
        int rc;

        if (list == NULL)
            return -1;
        *out = list;
        rc = look_at(shelf, entry->d_name, &list[*n], arena, e);
        if (rc < 0)
            return -1;
        *n += (uint64_t)rc;
    }
    if (*n > 1)
        qsort(*out, *n, sizeof(**out), cmp_names);
    return 0;
}

/* ---- removing ---- */

/* volume.h lists them. */
static bool is_own(const char *name)
{
    static const char *const parts[] = { ".", "..", "ml-volume.json", "store",
        "names", "names.index", "files", "hub", "uniform", "tmp", "log",
        "lease", "trash", "quarantine", "verify.log", NULL };
    static const char holder[] = "lease.";

    for (const char *const *p = parts; *p != NULL; p++)
        if (strcmp(*p, name) == 0)
            return true;
    return strncmp(name, holder, sizeof(holder) - 1) == 0 &&
           hex_is(str_of(name + sizeof(holder) - 1), 16);
}

int shelf_check(const struct volume *v, struct err *e)
{
    DIR *d AUTO(dir_close) = NULL;
    struct dirent *entry;
    struct stat st;

    if (!volume_exists(v)) {
        err_set(e, ERR_MISSING, "%s: no volume there", v->root);
        return err_hint(e, "mlfetch volume ls lists those that have a name");
    }
    if (volume_check(v, e) != 0)
        return -1;
    if (lstat(v->root, &st) != 0)
        return err_sys(e, "%s", v->root);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ERR_REFUSED,
            "%s: a symbolic link: remove what it leads to by its own name",
            v->root);
    d = opendir(v->root);
    if (d == NULL)
        return err_sys(e, "%s", v->root);
    while ((entry = readdir(d)) != NULL)
        if (!is_own(entry->d_name)) {
            err_set(e, ERR_REFUSED, "%s: '%s' in it is not the volume's",
                v->root, entry->d_name);
            return err_hint(e, "move it elsewhere first");
        }
    return 0;
}

/* Nobody is at work on its files, nor on one of its repositories. */
static int take_all(const struct volume *v, struct lease *leases,
    const struct repo *repos, uint64_t n, const struct hubdir *hub,
    struct err *e)
{
    char path[PATH_MAX];

    if (lease_of_volume(v, path, e) != 0 ||
        lease_take(&leases[0], path, v->root, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (lease_of_repo(hub, &repos[i], path, e) != 0 ||
            lease_take(&leases[i + 1], path, repos[i].id, e) != 0)
            return -1;
    return 0;
}

static int check_pins(const struct hubdir *hub, const struct repo *repos,
    uint64_t n, struct err *e)
{
    for (uint64_t i = 0; i < n; i++)
        if (pin_is(hub, &repos[i], NULL)) {
            err_set(e, ERR_REFUSED, "%s: %s in it is pinned", hub->root,
                repos[i].id);
            return err_hint(e, "mlcache unpin %s first", repos[i].id);
        }
    return 0;
}

/* Those that were killed between the rename and the end. */
static void sweep(const char *parent)
{
    DIR *d AUTO(dir_close) = opendir(parent);
    struct dirent *entry;
    char path[PATH_MAX];

    while (d != NULL && (entry = readdir(d)) != NULL) {
        struct str name = str_of(entry->d_name);
        struct err ignored = ERR_INIT;

        if (name.len == sizeof(gone) + 16 + 4 && str_starts(name, gone) &&
            str_ends(name, ".tmp") &&
            hex_is((struct str){ name.p + sizeof(gone), 16 }, 16) &&
            path_join(path, parent, name.p, &ignored) == 0)
            aside_remove(path, &ignored);
    }
}

static int move_and_remove(const struct volume *v, struct err *e)
{
    char parent[PATH_MAX], to[PATH_MAX];

    path_dir(parent, sizeof(parent), v->root);
    if (file_temp_name(to, parent, gone, e) != 0)
        return -1;
    if (rename(v->root, to) != 0)
        return err_sys(e, "cannot move %s aside", v->root);
    if (dir_sync(parent, e) != 0)
        return -1;
    sweep(parent);
    return aside_remove(to, e);
}

int shelf_remove(const struct volume *v, struct arena *arena, struct err *e)
{
    struct lease *leases;
    struct repo *repos;
    struct hubdir hub;
    uint64_t n;
    int rc;

    if (shelf_check(v, e) != 0 || volume_hub(v, &hub, e) != 0 ||
        hubdir_repos(&hub, arena, &repos, &n, e) != 0)
        return -1;
    leases = arena_alloc(arena, n + 1, sizeof(*leases), e);
    if (leases == NULL)
        return -1;
    for (uint64_t i = 0; i <= n; i++)
        leases[i] = (struct lease)LEASE_INIT;
    rc = take_all(v, leases, repos, n, &hub, e);
    if (rc == 0)
        rc = check_pins(&hub, repos, n, e);
    if (rc == 0)
        rc = move_and_remove(v, e);
    for (uint64_t i = 0; i <= n; i++)
        lease_free(&leases[i]);
    return rc;
}
