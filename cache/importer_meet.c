/* The manifest of an archive, against its lock, the key, and what is here. */
#include "cache/importer.h"
#include "cache/importer_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/lockfile.h"
#include "cache/volume_internal.h"
#include "cache/walk.h"

#include "base/human.h"

/* ---- what the lock says ---- */

static const struct archive_revision *find_revision(
    const struct archive *a, const struct lock_entry *l)
{
    for (uint64_t i = 0; i < a->n_revisions; i++)
        if (strcmp(a->revisions[i].repo.folder, l->repo.folder) == 0 &&
            strcmp(a->revisions[i].commit, l->commit) == 0)
            return &a->revisions[i];
    return NULL;
}

static int by_path(const void *key, const void *file)
{
    const struct str *path = key;
    const struct archive_file *f = file;

    return str_cmp(*path, f->f.path);
}

static bool has_ref(const struct archive_revision *r, const char *name)
{
    for (uint64_t i = 0; i < r->n_refs; i++)
        if (str_is(r->refs[i], name))
            return true;
    return false;
}

/* Every file of the lock's entry is in the archive, with its digest. */
static int check_entry(const struct importer *m, const struct lock_entry *l,
    const struct archive_revision **out, struct err *e)
{
    const struct archive_revision *r = find_revision(&m->archive, l);

    *out = r;
    if (r == NULL ||
        (!repo_is_commit(l->repo.revision) && !has_ref(r, l->repo.revision)))
        return err_set(e, ERR_REFUSED,
            "%s: its lock asks for %s@%s, which it does not have", m->name,
            l->repo.id, l->repo.revision);
    for (uint64_t i = 0; i < l->tree.n; i++) {
        const struct tree_file *f = &l->tree.files[i];
        const struct archive_file *found =
            r->n_files > 0 ? bsearch(&f->path, r->files, r->n_files,
                                 sizeof(*found), by_path)
                           : NULL;

        if (found == NULL || found->absent || found->f.size != f->size ||
            !digest_eq(tree_etag(&found->f), tree_etag(f)))
            return err_set(e, ERR_REFUSED,
                "%s: '%.*s' of %s is not in it as its lock says", m->name,
                STR_ARG(f->path), l->repo.id);
    }
    return 0;
}

static int not_vouched(
    const struct importer *m, const char *what, const char *name, struct err *e)
{
    err_set(e, ERR_VERDICT, "%s: nobody vouches for %s %s in it", m->name, what,
        name);
    return err_hint(e, "an archive of the lock alone is what --key can judge: "
                       "mlcache export --lock FILE ARCHIVE");
}

/* With a key, nothing may come that the signed lock does not list. */
static int check_more(
    const struct importer *m, const struct lockfile *lock, struct err *e)
{
    const struct archive *a = &m->archive;

    if (a->n_puts > 0)
        return not_vouched(m, "the file", a->puts[0].name.p, e);
    for (uint64_t i = 0; i < a->n_revisions; i++) {
        struct archive_revision *r = &a->revisions[i];
        const struct lock_entry *l = NULL;
        uint64_t files = 0;

        for (size_t k = 0; k < lock->n && l == NULL; k++)
            if (find_revision(a, &lock->v[k]) == r)
                l = &lock->v[k];
        for (uint64_t k = 0; k < r->n_files; k++)
            files += !r->files[k].absent;
        /* All of the lock's are there: more would be others. */
        if (l == NULL || files != l->tree.n)
            return not_vouched(m, "files of", r->repo.id, e);
        for (uint64_t k = 0; k < r->n_refs; k++)
            if (!str_is(r->refs[k], l->repo.revision))
                return not_vouched(m, "a reference of", r->repo.id, e);
        /* Nor is there one for what a listing says of files that are not. */
        if (files != r->n_files)
            r->listed = false;
    }
    return 0;
}

static int check_lock(struct importer *m, struct err *e)
{
    struct lockfile lock AUTO(lockfile_free) = LOCKFILE_INIT;
    const struct archive *a = &m->archive;
    const struct archive_revision *r;

    if (a->lock_name.len == 0 && m->key != NULL) {
        err_set(
            e, ERR_VERDICT, "%s: there is no lock in it to be signed", m->name);
        return err_hint(
            e, "mlcache export --lock FILE takes the signature along");
    }
    if (a->lock_name.len == 0)
        return 0;
    if (m->key != NULL &&
        trust_check_text(&m->trust, &m->place.hub, a->lock_name.p, a->lock_text,
            a->signature, m->key, e) != 0)
        return err_ctx(e, "%s", m->name);
    if (lockfile_parse(&lock, a->lock_text, a->lock_name.p, e) != 0)
        return err_ctx(e, "%s", m->name);
    for (size_t i = 0; i < lock.n; i++)
        if (check_entry(m, &lock.v[i], &r, e) != 0)
            return -1;
    return m->key != NULL ? check_more(m, &lock, e) : 0;
}

/* ---- the place ---- */

static int find_place(struct importer *m, struct err *e)
{
    if (m->volume == NULL && m->archive.n_puts > 0) {
        err_set(e, ERR_USAGE, "%s: has files of a volume, as '%.*s'", m->name,
            STR_ARG(m->archive.puts[0].name));
        return err_hint(e, "say which volume they go to: --volume VOLUME");
    }
    m->place = (struct place){ .name = m->volume };
    if (m->volume == NULL)
        return hubdir_default(&m->place.hub, e);
    m->place.has_volume = true;
    if (volume_locate(&m->place.volume, m->volume, e) != 0)
        return -1;
    if (volume_exists(&m->place.volume) &&
        volume_check(&m->place.volume, e) != 0)
        return -1;
    return volume_hub(&m->place.volume, &m->place.hub, e);
}

/* What is here already is not collected until it has its names. */
static int hold(struct importer *m, struct err *e)
{
    const struct archive *a = &m->archive;
    char path[PATH_MAX];

    m->leases =
        arena_alloc(&m->arena, a->n_revisions + 1, sizeof(*m->leases), e);
    if (m->leases == NULL)
        return -1;
    for (uint64_t i = 0; i <= a->n_revisions; i++)
        m->leases[i] = (struct lease)LEASE_INIT;
    m->n_leases = a->n_revisions + 1;
    for (uint64_t i = 0; i < a->n_revisions; i++)
        if ((i == 0 || strcmp(a->revisions[i].repo.folder,
                           a->revisions[i - 1].repo.folder) != 0) &&
            (lease_of_repo(&m->place.hub, &a->revisions[i].repo, path, e) !=
                    0 ||
                lease_hold(&m->leases[i], path, false, e) != 0))
            return -1;
    if (!m->place.has_volume)
        return 0;
    if (lease_of_volume(&m->place.volume, path, e) != 0)
        return -1;
    return lease_hold(&m->leases[a->n_revisions], path, false, e);
}

int importer_held(const struct importer *m, const struct archive_content *c,
    char *out, struct err *e)
{
    if (c->file == NULL)
        return volume_stored(&m->place.volume, &c->digest, out, e);
    return hubdir_blob(&m->place.hub, &m->archive.revisions[c->revision].repo,
        &c->digest, out, e);
}

static bool is_sized(const char *path, uint64_t size)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size == size;
}

static int check_space(const struct importer *m, struct err *e)
{
    const char *root =
        m->place.has_volume ? m->place.volume.root : m->place.hub.root;
    char path[PATH_MAX], need[HUMAN_MAX], lack[HUMAN_MAX];
    uint64_t bytes = 0, free_bytes;

    for (uint64_t i = 0; i < m->members.n_contents; i++) {
        const struct archive_content *c = &m->members.contents[i];

        if (importer_held(m, c, path, e) != 0)
            return -1;
        if (!is_sized(path, c->size) &&
            !landing_has(&m->landing, &c->digest, c->size) &&
            !size_add(bytes, c->size, &bytes))
            bytes = UINT64_MAX;
    }
    if (bytes == 0)
        return 0;
    if (dir_free_space(root, &free_bytes, e) != 0)
        return -1;
    if (bytes <= free_bytes)
        return 0;
    err_set(e, ERR_NOSPACE, "%s: %s needs %s, %s more than is free", root,
        m->name, human_size(need, bytes), human_size(lack, bytes - free_bytes));
    return err_hint(e, "make room there, or name another place");
}

int importer_meet(struct importer *m, struct err *e)
{
    if (find_place(m, e) != 0 || check_lock(m, e) != 0 || hold(m, e) != 0 ||
        importer_look(m, e) != 0 ||
        landing_open(&m->landing, &m->place, m->dry_run, e) != 0)
        return -1;
    m->landed =
        arena_alloc(&m->arena, m->members.n_contents, sizeof(*m->landed), e);
    if (m->landed == NULL)
        return -1;
    if (m->dry_run)
        return 0;
    if (check_space(m, e) != 0)
        return -1;
    return m->place.has_volume ? volume_create(&m->place.volume, &m->created, e)
                               : 0;
}
