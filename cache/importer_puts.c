/*
 * The files of a volume: contents into the store, and then all names at once,
 * as one step of the volume's log.
 */
#include "cache/importer.h"
#include "cache/importer_internal.h"

#include <time.h>

#include "cache/apply.h"
#include "cache/edit.h"
#include "cache/storing.h"
#include "cache/volume_internal.h"

#include "base/cancel.h"
#include "base/path.h"

struct naming {
    struct importer *m;
    struct volume_entry *entries;
    uint64_t n;
    struct storing storing;
};

/* From where it landed into the store, whose folder is synced later. */
static int settle(
    struct naming *n, const struct archive_content *c, struct err *e)
{
    char path[PATH_MAX], dir[PATH_MAX];

    if (storing_touch(&n->storing, &c->digest, e) != 0 ||
        importer_held(n->m, c, path, e) != 0)
        return -1;
    path_dir(dir, sizeof(dir), path);
    return dir_make(dir, e) != 0 ? -1 : importer_settle(n->m, c, e);
}

/* The bytes came as a blob of a repository: the store has its own. */
static int store_blob(struct naming *n, const struct archive_content *c,
    const struct archive_put *p, struct err *e)
{
    struct volume_entry stored;
    char blob[PATH_MAX];
    bool copied;

    if (importer_held(n->m, c, blob, e) != 0 ||
        storing_put(
            &n->storing, blob, p->name.p, true, NULL, &stored, &copied, e) != 0)
        return -1;
    return digest_eq(&stored.sha256, &p->sha256)
               ? 0
               : err_set(e, ERR_CORRUPT, "%s: damaged on disk", blob);
}

static int store_all(struct naming *n, struct err *e)
{
    const struct archive *a = &n->m->archive;
    const struct member *v = n->m->members.v + (n->m->members.n - a->n_puts);
    const int64_t now = time(NULL);

    for (uint64_t i = 0; i < n->n; i++) {
        const struct archive_content *c = v[i].content;
        const struct archive_put *p = &a->puts[i];

        if (cancel_check(e) != 0 || (c->file != NULL && /* not in the store */
                                        store_blob(n, c, p, e) != 0))
            return -1;
        if (v[i].tar.type == TAR_FILE && settle(n, c, e) != 0)
            return -1;
        n->entries[i] = (struct volume_entry){
            .name = p->name, .size = p->size, .sha256 = p->sha256, .mtime = now
        };
    }
    return storing_end(&n->storing, e);
}

/* Another process gave it another meaning since we looked. */
static int check_name(
    const struct naming *n, const struct volume_entry *put, struct err *e)
{
    struct err why = ERR_INIT;
    struct volume_entry now;
    int rc =
        volume_now(&n->m->place.volume, put->name, &n->m->arena, &now, &why);

    /* A name whose file is damaged is given anew. */
    if (rc < 0 && why.kind != ERR_CORRUPT) {
        *e = why;
        return -1;
    }
    if (rc != 0 || n->m->force || step_same(&now, put))
        return 0;
    err_set(e, ERR_BUSY, "'%.*s' was put by another process meanwhile",
        STR_ARG(put->name));
    return err_hint(
        e, "see mlfetch log %s; --force replaces it", n->m->place.volume.root);
}

static int name_all(const struct naming *n, struct err *e)
{
    struct edit ed AUTO(edit_close) = EDIT_INIT;
    uint64_t step;

    if (edit_begin(
            &ed, &n->m->place.volume, "import", false, &n->m->arena, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n->n; i++)
        if (check_name(n, &n->entries[i], e) != 0 ||
            edit_set(&ed, n->entries[i].name, &n->entries[i], e) != 0)
            return -1;
    if (edit_commit(&ed, &step, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n->n; i++)
        apply_show(&n->m->place.volume, &n->entries[i]);
    return 0;
}

static void naming_free(struct naming *n)
{
    storing_free(&n->storing);
}

int importer_name_puts(struct importer *m, struct err *e)
{
    struct naming n AUTO(naming_free) = { .m = m, .n = m->archive.n_puts };
    char path[PATH_MAX];

    if (n.n == 0)
        return 0;
    storing_open(&n.storing, &m->place.volume);
    n.entries = arena_alloc(&m->arena, n.n, sizeof(*n.entries), e);
    if (n.entries == NULL || lease_of_volume(&m->place.volume, path, e) != 0 ||
        lease_hold(&m->leases[m->archive.n_revisions], path, true, e) != 0 ||
        store_all(&n, e) != 0)
        return -1;
    return name_all(&n, e);
}
