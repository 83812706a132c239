/*
 * The names of an archive against those that are here: what would fail, or
 * change what a commit is, is found before anything is visible.
 */
#include "cache/importer.h"
#include "cache/importer_internal.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/clash.h"
#include "cache/edit.h"
#include "cache/volume_internal.h"

#include "base/path.h"

#define ARENA_MAX ((uint64_t)8 << 30)

/* ---- files of a volume ---- */

static int look_put(const struct importer *m, const struct archive_put *p,
    bool there, struct arena *arena, struct err *e)
{
    const struct volume *v = &m->place.volume;
    struct err ignored = ERR_INIT;
    struct volume_entry old;
    char path[PATH_MAX];

    if (volume_named(v, p->name, path, e) != 0)
        return -1;
    if (!there)
        return 0;
    if (edit_name_free(v, p->name, NULL, arena, e) != 0)
        return -1;
    if (m->force || volume_now(v, p->name, arena, &old, &ignored) != 0 ||
        digest_eq(&old.sha256, &p->sha256))
        return 0;
    err_set(e, ERR_USAGE, "%s: '%.*s' is there already, with other bytes",
        v->root, STR_ARG(p->name));
    return err_hint(e, "--force replaces it");
}

static int look_puts(
    const struct importer *m, struct arena *arena, struct err *e)
{
    bool there = m->place.has_volume && volume_exists(&m->place.volume);

    for (uint64_t i = 0; i < m->archive.n_puts; i++)
        if (look_put(m, &m->archive.puts[i], there, arena, e) != 0)
            return -1;
    return 0;
}

/* ---- commits ---- */

static int look_files(const struct importer *m,
    const struct archive_revision *r, struct arena *arena, struct err *e)
{
    struct tree here;
    int have = hubdir_tree(&m->place.hub, &r->repo, r->commit, arena, &here, e);

    if (have < 0)
        return -1;
    for (uint64_t i = 0; i < r->n_files; i++) {
        const struct archive_file *f = &r->files[i];

        if (f->absent || !clash(&m->place.hub, &r->repo, r->commit,
                             have == HAVE ? &here : NULL, &f->f))
            continue;
        err_set(e, ERR_REFUSED,
            "%s@%.12s: '%.*s' is not what this commit has here", r->repo.id,
            r->commit, STR_ARG(f->f.path));
        return err_hint(e, "a commit never changes: one of the two is wrong; "
                           "mlcache rm removes what is here");
    }
    return 0;
}

/* References are files: none is a folder of others. */
static int look_ref(const struct importer *m, const struct archive_revision *r,
    struct str name, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;
    bool folder;

    if (path_fmt(path, e, "%s/%s/refs/%.*s", m->place.hub.root, r->repo.folder,
            STR_ARG(name)) != 0)
        return -1;
    folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (!folder && (access(path, F_OK) == 0 || errno != ENOTDIR))
        return 0;
    err_set(e, ERR_REFUSED,
        folder ? "%s: '%.*s' has other references below it here"
               : "%s: '%.*s' would be below another reference here",
        r->repo.id, STR_ARG(name));
    return err_hint(e, "remove the one that is in the way: %s/%s/refs",
        m->place.hub.root, r->repo.folder);
}

static int look_revision(
    const struct importer *m, const struct archive_revision *r, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);

    if (look_files(m, r, &arena, e) != 0)
        return -1;
    for (uint64_t i = 0; i < r->n_refs; i++)
        if (look_ref(m, r, r->refs[i], e) != 0)
            return -1;
    return 0;
}

int importer_look(const struct importer *m, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_MAX);

    for (uint64_t i = 0; i < m->archive.n_revisions; i++)
        if (look_revision(m, &m->archive.revisions[i], e) != 0)
            return err_ctx(e, "%s", m->name);
    return look_puts(m, &arena, e) == 0 ? 0 : err_ctx(e, "%s", m->name);
}
