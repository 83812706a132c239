#include "cache/quarantine.h"

#include <unistd.h>

#include "cache/aside.h"

#include "base/file.h"
#include "base/path.h"

int quarantine_dir(
    const struct place *p, const struct repo *r, char *out, struct err *e)
{
    char root[PATH_MAX];

    if (r == NULL)
        return aside_inside(p->volume.root, "quarantine", out, e);
    if (path_join(root, p->hub.root, r->folder, e) != 0)
        return -1;
    return aside_inside(root, "ml/quarantine", out, e);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
           a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int replaced(const char *path, struct err *e)
{
    return err_set(e, ERR_BUSY, "%s was replaced meanwhile", path);
}

/*
 * Another process may have put the right bytes under the name between the
 * look at it and the move: they go back.
 */
static int move_file(
    const struct object *o, const char *dir, char *out, struct err *e)
{
    struct err ignored = ERR_INIT;
    struct stat st;

    if (stat(o->path.p, &st) != 0)
        return err_sys(e, "%s", o->path.p);
    if (!is_same(&st, &o->st))
        return replaced(o->path.p, e);
    if (aside_move(o->path.p, dir, o->digest.hex, out, e) != 0)
        return -1;
    if (stat(out, &st) != 0 || is_same(&st, &o->st))
        return 0;
    aside_back(out, o->path.p, &ignored);
    return replaced(o->path.p, e);
}

/* Nobody may be about to publish it: it has a lock for that. */
static int move_blob(const struct place *p, const struct object *o,
    const char *dir, char *out, struct err *e)
{
    int lock AUTO(fd_close) = -1;

    if (hubdir_try_lock(&p->hub, o->repo, &o->digest, &lock, e) != 0)
        return -1;
    if (lock < 0)
        return err_set(
            e, ERR_BUSY, "%s is being fetched by another process", o->path.p);
    return move_file(o, dir, out, e);
}

static int move_conversion(
    const struct object *o, const char *dir, char *out, struct err *e)
{
    char folder[PATH_MAX];
    size_t n = o->path.len - o->shown.len - 1; /* "/" and its name */

    if (path_fmt(folder, e, "%.*s", (int)n, o->path.p) != 0)
        return -1;
    return aside_move(folder, dir, path_base(folder), out, e);
}

int quarantine_entry(const char *path, const struct object *o, struct err *e)
{
    char dir[PATH_MAX];
    struct stat st;

    if (lstat(path, &st) != 0 || st.st_ino != o->st.st_ino ||
        st.st_dev != o->st.st_dev)
        return 0;
    path_dir(dir, sizeof(dir), path);
    return unlink(path) != 0 ? err_sys(e, "%s", path) : dir_sync(dir, e);
}

/* Names of the view that are the file itself: links lead nowhere by now. */
static int clear_view(
    const struct place *p, const struct object *o, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)4 << 30);
    struct volume_entry *list;
    char path[PATH_MAX];
    uint64_t n;

    if (volume_list(&p->volume, NULL, &arena, &list, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        if (volume_view(&p->volume, list[i].name.p, path, e) != 0)
            return -1;
        if (quarantine_entry(path, o, e) != 0)
            return -1;
    }
    return 0;
}

int quarantine_object(
    const struct place *p, const struct object *o, char *out, struct err *e)
{
    char dir[PATH_MAX];
    int rc;

    if (quarantine_dir(p, o->repo, dir, e) != 0)
        return -1;
    if (o->kind == OBJECT_BLOB)
        return move_blob(p, o, dir, out, e);
    if (o->kind == OBJECT_CONVERTED)
        return move_conversion(o, dir, out, e);
    rc = move_file(o, dir, out, e);
    if (rc == 0 && o->kind == OBJECT_CONTENT)
        rc = clear_view(p, o, e);
    return rc;
}

int quarantine_ref(const struct place *p, const struct census_ref *ref,
    char *out, struct err *e)
{
    char dir[PATH_MAX], path[PATH_MAX];

    if (quarantine_dir(p, ref->repo, dir, e) != 0 ||
        path_fmt(path, e, "%s/%s/refs/%s", p->hub.root, ref->repo->folder,
            ref->name.p) != 0)
        return -1;
    return aside_move(path, dir, path_base(path), out, e);
}
