/* Objects that no name leads to any more, by way of the trash. */
#include "cache/reaper.h"
#include "cache/reaper_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/kept.h"

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"

/* The names of one repository. */
#define CENSUS_MAX ((uint64_t)16 << 30)

/* Of a full disk so many objects are tried. */
enum { MAKE_ROOM_TRIES = 16 };

bool reaper_dead(const struct object *o, uint64_t grace_s)
{
    return !o->named && (o->kind == OBJECT_BLOB || o->kind == OBJECT_CONTENT) &&
           time(NULL) - o->st.st_ctime >= (time_t)grace_s &&
           !kept_is(o, grace_s);
}

/* False: somebody is at it. A lock whose file there is no room for is held by
 * nobody. */
static bool lock_blob(const struct reaper *r, const struct object *o, int *lock)
{
    struct err why = ERR_INIT;

    if (hubdir_try_lock(&r->place->hub, &r->repo, &o->digest, lock, &why) != 0)
        return why.kind == ERR_NOSPACE;
    return *lock >= 0;
}

/* Is it the object that was seen, and nobody at it while *lock is held? */
static bool claim(const struct reaper *r, const struct object *o, int *lock)
{
    struct stat st;

    if (o->kind == OBJECT_BLOB && !lock_blob(r, o, lock))
        return false;
    /* Somebody may have put another one there: that has its own age. */
    return lstat(o->path.p, &st) == 0 && st.st_ino == o->st.st_ino &&
           st.st_ctim.tv_sec == o->st.st_ctim.tv_sec &&
           st.st_ctim.tv_nsec == o->st.st_ctim.tv_nsec;
}

/* 1: it is in the trash; 0: somebody is at it, or it is gone; -1: *e. */
static int trash_one(
    const struct reaper *r, const struct object *o, struct err *e)
{
    int lock AUTO(fd_close) = -1;
    char to[PATH_MAX];

    if (!claim(r, o, &lock))
        return 0;
    if (path_join(to, r->trash, o->digest.hex, e) != 0)
        return -1;
    if (rename(o->path.p, to) == 0)
        return 1;
    return errno == ENOENT ? 0 : err_sys(e, "cannot move %s aside", o->path.p);
}

/* Without the trash, unless it is needed: 0, or -1 with *e. */
static int delete_one(
    const struct reaper *r, const struct object *o, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(CENSUS_MAX);
    int lock AUTO(fd_close) = -1;
    struct census c;

    if (!claim(r, o, &lock))
        return 0;
    if (reaper_look(r, &c, &arena, e) != 0)
        return -1;
    for (uint64_t i = 0; i < c.n_objects; i++)
        if (str_eq(c.objects[i].path, o->path) && !c.objects[i].named &&
            !kept_is(&c.objects[i], r->grace_s))
            return reaper_unlink(o->path.p, e);
    return 0;
}

/*
 * On a disk without a block for the folder one object, or a few, make room for
 * it: looked at once more while its lock is held, and then deleted. That is
 * less than the second look behind the trash only for a client without a
 * lease that has found the object there and not yet taken its lock. 1: there
 * is no trash, and nothing left for it; -1: *e.
 */
static int make_trash(const struct reaper *r, struct object *const *objects,
    uint64_t n, struct err *e)
{
    struct err why = ERR_INIT;

    if (dir_make(r->trash, &why) == 0)
        return 0;
    for (uint64_t i = 0; why.kind == ERR_NOSPACE && r->lease.honest; i++) {
        struct err again = ERR_INIT;

        if (i == n)
            return 1;
        if (i == MAKE_ROOM_TRIES)
            break;
        if (delete_one(r, objects[i], e) < 0)
            return -1;
        if (dir_make(r->trash, &again) == 0)
            return 0;
    }
    *e = why;
    return -1;
}

/* The folder of each is synced; contents of a store have many. */
static int sync_homes(const struct reaper *r, const struct digest *trashed,
    uint64_t n, struct err *e)
{
    char path[PATH_MAX], dir[PATH_MAX], last[PATH_MAX] = "";

    if (dir_sync(r->trash, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        if (reaper_home(r, &trashed[i], path, e) != 0)
            return -1;
        path_dir(dir, sizeof(dir), path);
        if (strcmp(dir, last) != 0 && dir_sync(dir, e) != 0)
            return -1;
        memcpy(last, dir, sizeof(last));
    }
    return 0;
}

static int trash_all(struct reaper *r, struct object *const *objects,
    uint64_t n, struct digest *trashed, uint64_t *n_trashed, struct err *e)
{
    int made = make_trash(r, objects, n, e);

    *n_trashed = 0;
    if (made != 0)
        return made < 0 ? -1 : 0;
    for (uint64_t i = 0; i < n; i++) {
        int rc = trash_one(r, objects[i], e);

        if (rc < 0)
            return -1;
        if (rc > 0)
            trashed[(*n_trashed)++] = objects[i]->digest;
    }
    if (*n_trashed > 1)
        qsort(trashed, *n_trashed, sizeof(*trashed), reaper_cmp_hex);
    return sync_homes(r, trashed, *n_trashed, e);
}

/* Better too much than too little: what cannot be looked at stays. */
static int all_back(
    const struct reaper *r, const struct digest *trashed, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        struct err why = ERR_INIT;

        if (reaper_put_back(r, &trashed[i], &why) != 0)
            log_warn("%s", why.msg);
    }
    return -1;
}

static uint64_t count_gone(
    const struct reaper *r, struct object *const *objects, uint64_t n)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    uint64_t bytes = 0;

    for (uint64_t i = 0; i < n; i++)
        if (reaper_home(r, &objects[i]->digest, path, &ignored) == 0 &&
            access(path, F_OK) != 0)
            bytes += (uint64_t)objects[i]->st.st_size;
    return bytes;
}

int reaper_objects(struct reaper *r, struct object *const *objects, uint64_t n,
    uint64_t *out_bytes, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(CENSUS_MAX);
    struct digest *trashed = arena_alloc(&arena, n, sizeof(*trashed), e);
    uint64_t n_trashed;

    *out_bytes = 0;
    if (trashed == NULL)
        return -1;
    if (n == 0)
        return 0;
    if (trash_all(r, objects, n, trashed, &n_trashed, e) != 0 ||
        (lease_lost(&r->lease, r->lease_path) && reaper_in_use(r, e) != 0) ||
        (n_trashed > 0 &&
            reaper_put_needed_back(r, trashed, n_trashed, e) != 0))
        return all_back(r, trashed, n_trashed);
    *out_bytes = count_gone(r, objects, n);
    return reaper_empty_trash(r, e);
}
