/*
 * The end of a move: what came over is removed from the source. Nothing is
 * that the place does not have, synced, under all its names; nothing that is
 * not the very file that was read.
 */
#include "cache/adopt.h"
#include "cache/adopt_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cache/aside.h"
#include "cache/foreign_internal.h"

#include "base/file.h"
#include "base/path.h"

/* May the file go? */
static bool may_go(const struct adopt *a, uint64_t i)
{
    const struct foreign_file *f = &a->foreign.files[i];

    return adopt_is_in(a, i) && !a->files[i].failed && !f->kept;
}

/* By another way the source's folder may be the place's own. */
static bool is_own(const struct adopt *a, uint64_t file, int parent)
{
    char path[PATH_MAX], dir[PATH_MAX];
    struct err ignored = ERR_INIT;
    struct stat theirs, ours;

    if (adopt_place(a, file, &a->files[file].digest, path, &ignored) != 0)
        return true;
    path_dir(dir, sizeof(dir), path);
    return stat(dir, &ours) != 0 || fstat(parent, &theirs) != 0 ||
           (ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev);
}

/* It, and all that leads to it, stays in the source; why is told. */
static int leave(struct adopt *a, uint64_t file, const char *path,
    const char *why, struct err *e)
{
    a->files[file].failed = true;
    return foreign_fault(&a->foreign, FAULT_UNMOVED, str_of(path),
        a->foreign.files[file].shown, why, e);
}

/* Does a link still lead to it? */
static bool leads_to(
    const struct adopt *a, const char *link, const struct foreign_file *f)
{
    enum fault_kind ignored;
    char real[PATH_MAX];
    struct stat st;

    return foreign_follow(&a->foreign, link, real, &st, &ignored) == NULL &&
           str_is(f->path, real);
}

static bool is_same(const struct stat *st, const struct foreign_file *f)
{
    return st->st_ino == f->st.st_ino && st->st_dev == f->st.st_dev &&
           st->st_size == f->st.st_size &&
           st->st_mtim.tv_sec == f->st.st_mtim.tv_sec &&
           st->st_mtim.tv_nsec == f->st.st_mtim.tv_nsec;
}

/* What a program writes into a file without a name is lost. */
static bool is_written(int up, const char *base)
{
    int fd AUTO(fd_close) =
        openat(up, base, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);

    return fd >= 0 && bring_has_writers(fd);
}

/* Take a name away, if it is still what was looked at. */
static int remove_name(
    struct adopt *a, uint64_t file, const char *path, struct err *e)
{
    const struct foreign_file *f = &a->foreign.files[file];
    struct err ignored = ERR_INIT;
    const char *base;
    int up AUTO(fd_close) = foreign_parent(&a->foreign, path, &base, &ignored);
    char why[160];
    struct stat st;

    if (up < 0 || fstatat(up, base, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        is_own(a, file, up))
        return 0;
    if (S_ISLNK(st.st_mode) ? !leads_to(a, path, f) : !is_same(&st, f))
        return leave(a, file, path, "has changed since it was read", e);
    if (S_ISREG(st.st_mode) && is_written(up, base))
        return leave(a, file, path, "a program has it open for writing", e);
    if (unlinkat(up, base, 0) == 0) {
        a->removed++;
        return 0;
    }
    if (errno != EROFS && errno != EACCES && errno != EPERM)
        return err_sys(e, "cannot remove %s/%s", a->foreign.root, path);
    snprintf(why, sizeof(why), "cannot be removed: %s", strerror(errno));
    return leave(a, file, path, why, e);
}

/* The folders that are left empty; the source itself stays. */
static void prune(const struct adopt *a, const char *path)
{
    struct err ignored = ERR_INIT;
    char part[PATH_MAX], up[PATH_MAX];

    if (path_fmt(part, &ignored, "%s", path) != 0)
        return;
    for (;;) {
        const char *base;
        int fd = -1, rc;

        path_dir(up, sizeof(up), part);
        if (strcmp(up, ".") == 0)
            return;
        fd = foreign_parent(&a->foreign, up, &base, &ignored);
        rc = fd >= 0 ? unlinkat(fd, base, AT_REMOVEDIR) : -1;
        fd_close(&fd);
        if (rc != 0)
            return;
        memcpy(part, up, sizeof(part));
    }
}

/* ---- a repository ---- */

/* Its path below the source, if it is a plain file there. */
static void remove_state(const struct adopt *a, const char *path)
{
    struct err ignored = ERR_INIT;
    const char *base;
    int up AUTO(fd_close) = foreign_parent(&a->foreign, path, &base, &ignored);

    if (up >= 0 && unlinkat(up, base, 0) == 0)
        prune(a, path);
}

/* The refs, the listing and what is known to be absent of a commit that goes
 * as a whole: refs first, or they would lead nowhere. */
static void remove_refs(const struct adopt *a, const struct foreign_set *set)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    for (uint64_t i = 0; i < a->foreign.n_refs; i++) {
        const struct foreign_ref *ref = &a->foreign.refs[i];

        if (strcmp(ref->repo.folder, set->repo->folder) == 0 &&
            strcmp(ref->commit, set->commit) == 0 &&
            path_fmt(path, &ignored, "%s/refs/%s", ref->repo.folder,
                ref->repo.revision) == 0)
            remove_state(a, path);
    }
}

static void remove_listing(const struct adopt *a, const struct foreign_set *set)
{
    struct err ignored = ERR_INIT;
    char part[PATH_MAX], path[PATH_MAX];

    if (path_fmt(part, &ignored, "%s/trees/%s.json", set->repo->folder,
            set->commit) == 0)
        remove_state(a, part);
    if (path_fmt(part, &ignored, "%s/.no_exist/%s", set->repo->folder,
            set->commit) == 0 &&
        aside_inside(a->foreign.root, part, path, &ignored) == 0 &&
        aside_remove(path, &ignored) == 0)
        prune(a, part);
}

/* ---- all of it ---- */

static int remove_entries(struct adopt *a, struct err *e)
{
    const struct foreign *f = &a->foreign;

    for (uint64_t i = 0; i < f->n_names; i++) {
        const struct foreign_name *name = &f->names[i];
        const struct foreign_set *set = &f->sets[name->set];

        if ((i == 0 || f->names[i - 1].set != name->set) && set->repo != NULL &&
            set->broken == 0)
            remove_refs(a, set);
        if (may_go(a, name->file) &&
            !str_eq(name->entry, f->files[name->file].path)) {
            if (remove_name(a, name->file, name->entry.p, e) != 0)
                return -1;
            prune(a, name->entry.p);
        }
        if ((i + 1 == f->n_names || f->names[i + 1].set != name->set) &&
            set->repo != NULL && set->broken == 0)
            remove_listing(a, set);
    }
    return 0;
}

/* What names others goes before what it names: manifests have no digest that
 * was known. */
static int remove_files(struct adopt *a, bool known, struct err *e)
{
    for (uint64_t i = 0; i < a->foreign.n_files; i++) {
        const struct foreign_file *f = &a->foreign.files[i];

        if ((f->digest.hex[0] != '\0') != known || !may_go(a, i))
            continue;
        if (remove_name(a, i, f->path.p, e) != 0)
            return -1;
        prune(a, f->path.p);
    }
    return 0;
}

int adopt_move_out(struct adopt *a, struct err *e)
{
    if (remove_entries(a, e) != 0 || remove_files(a, false, e) != 0)
        return -1;
    return remove_files(a, true, e);
}
