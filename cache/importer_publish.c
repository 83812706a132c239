/*
 * Names for what has landed, in the order of every writer: blobs, entries,
 * listing, ref. A kill in between leaves whole names, and contents in their
 * places, which the next run finds there.
 */
#include "cache/importer.h"
#include "cache/importer_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/hubdir_internal.h"
#include "cache/mode.h"
#include "cache/unfinished.h"
#include "cache/used.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/path.h"

enum { COPY_CHUNK = 1 << 20 };

/* ---- contents ---- */

int importer_settle(
    const struct importer *m, const struct archive_content *c, struct err *e)
{
    enum landed landed = m->landed[c - m->members.contents];
    char from[PATH_MAX], to[PATH_MAX];
    struct err why = ERR_INIT;

    if (importer_held(m, c, to, e) != 0 ||
        landing_path(&m->landing, &c->digest, from, e) != 0)
        return -1;
    if (landed != LANDED_HELD && file_move(from, to, &why) == 0)
        return 0;
    /* It was here, or another import was faster. */
    if (access(to, F_OK) == 0)
        return 0;
    if (why.kind != ERR_NONE && why.kind != ERR_MISSING) {
        *e = why;
        return -1;
    }
    err_set(e, ERR_BUSY, "%s: was removed meanwhile", to);
    return err_hint(e, "run the import again");
}

/* Are the digest's bytes there? */
static bool is_sound(const char *path, const struct digest *d)
{
    struct err ignored = ERR_INIT;
    struct digest found;

    return access(path, F_OK) == 0 &&
           file_hash(path, d->kind, &found, NULL, NULL, &ignored) == 0 &&
           digest_eq(&found, d);
}

static int copy(const char *from, int to, const char *name,
    const struct archive_content *c, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(COPY_CHUNK);
    struct hash h AUTO(hash_free) = HASH_INIT;
    int fd AUTO(fd_close) = file_open(from, NULL, e);
    struct digest found;

    if (fd < 0 || hash_begin(&h, c->digest.kind, c->size, e) != 0)
        return -1;
    if (buf_room(&b, COPY_CHUNK) == NULL)
        return buf_check(&b, e);
    for (uint64_t at = 0; at < c->size;) {
        size_t n = size_min(COPY_CHUNK, c->size - at);

        if (cancel_check(e) != 0 ||
            file_read_at(fd, b.p, n, at, from, e) != 0 ||
            file_write_at(to, b.p, n, at, name, e) != 0)
            return -1;
        hash_add(&h, b.p, n);
        at += n;
    }
    hash_end(&h, &found);
    return digest_eq(&found, &c->digest)
               ? 0
               : err_set(e, ERR_CORRUPT, "%s: damaged on disk", from);
}

/* A blob whose bytes are in another repository of the archive already. */
static int copy_blob(const struct importer *m, const struct repo *r,
    const struct archive_content *c, struct err *e)
{
    struct file_new f AUTO(file_new_abandon) = FILE_NEW_INIT;
    char from[PATH_MAX], to[PATH_MAX], work[PATH_MAX];

    if (importer_held(m, c, from, e) != 0 ||
        hubdir_blob(&m->place.hub, r, &c->digest, to, e) != 0)
        return -1;
    if (is_sound(to, &c->digest))
        return 0;
    if (hubdir_work(&m->place.hub, r, work, e) != 0 ||
        file_new_begin_in(&f, work, to, e) != 0 ||
        copy(from, f.fd, to, c, e) != 0)
        return -1;
    return file_new_commit(&f, hubdir_mode(), e);
}

/* The member at i is a blob of this repository. */
static bool is_blob_of(
    const struct importer *m, uint64_t i, const struct repo *r)
{
    const struct repo *of = m->members.v[i].blob_of;

    return of != NULL && strcmp(of->folder, r->folder) == 0;
}

/* All blobs of one repository; *at is the first member not looked at yet. */
static int settle_blobs(
    const struct importer *m, const struct repo *r, uint64_t *at, struct err *e)
{
    char blobs[PATH_MAX];

    if (path_fmt(blobs, e, "%s/%s/blobs", m->place.hub.root, r->folder) != 0 ||
        dir_make(blobs, e) != 0)
        return -1;
    while (*at < m->members.n && !is_blob_of(m, *at, r))
        ++*at;
    for (; *at < m->members.n && is_blob_of(m, *at, r); ++*at) {
        const struct member *v = &m->members.v[*at];

        if ((v->tar.type == TAR_FILE ? importer_settle(m, v->content, e)
                                     : copy_blob(m, r, v->content, e)) != 0)
            return -1;
    }
    return dir_sync(blobs, e);
}

/* ---- names of a revision ---- */

static int link_files(
    const struct importer *m, const struct archive_revision *r, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)1 << 30);
    const struct tree_file **v = arena_alloc(&arena, r->n_files, sizeof(*v), e);
    char path[PATH_MAX];
    size_t n = 0;

    if (v == NULL ||
        hubdir_snapshot(&m->place.hub, &r->repo, r->commit, path, e) != 0)
        return -1;
    for (uint64_t i = 0; i < r->n_files; i++)
        if (!r->files[i].absent)
            v[n++] = &r->files[i].f;
    if (n == 0)
        return dir_make(path, e);
    return hubdir_link_all(&m->place.hub, &r->repo, r->commit, v, n, e);
}

static int set_ref(const struct importer *m, const struct archive_revision *r,
    struct str name, struct err *e)
{
    struct repo named = r->repo;
    struct err ignored = ERR_INIT;
    char old[41];

    snprintf(named.revision, sizeof(named.revision), "%.*s", STR_ARG(name));
    if (hubdir_ref(&m->place.hub, &named, old, &ignored) == HAVE &&
        strcmp(old, r->commit) != 0)
        log_info("%s: '%s' was %.12s here, and is %.12s now", named.id,
            named.revision, old, r->commit);
    return hubdir_set_ref(&m->place.hub, &named, r->commit, e);
}

static int name_revision(
    struct importer *m, const struct archive_revision *r, struct err *e)
{
    const struct hubdir *h = &m->place.hub;
    struct tree tree;
    int have = hubdir_tree(h, &r->repo, r->commit, &m->arena, &tree, e);

    if (have < 0 ||
        (have != HAVE && unfinished_mark(h, &r->repo, r->commit, e) != 0) ||
        link_files(m, r, e) != 0)
        return -1;
    if (r->listed && have != HAVE &&
        (archive_lists(r, &tree, &m->arena, e) != 0 ||
            hubdir_set_tree(h, &r->repo, r->commit, &tree, e) != 0))
        return -1;
    unfinished_clear(h, &r->repo, r->commit);
    for (uint64_t i = 0; i < r->n_refs; i++)
        if (set_ref(m, r, r->refs[i], e) != 0)
            return -1;
    used_note(h, &r->repo, r->commit);
    return 0;
}

static int publish_repos(struct importer *m, struct err *e)
{
    struct archive_revision *v = m->archive.revisions;
    char lease[PATH_MAX];
    uint64_t at = 0;

    if (m->archive.n_revisions > 0 && hubdir_init(&m->place.hub, e) != 0)
        return -1;
    for (uint64_t i = 0; i < m->archive.n_revisions; i++) {
        bool first =
            i == 0 || strcmp(v[i].repo.folder, v[i - 1].repo.folder) != 0;

        if (first && (lease_of_repo(&m->place.hub, &v[i].repo, lease, e) != 0 ||
                         lease_hold(&m->leases[i], lease, true, e) != 0 ||
                         settle_blobs(m, &v[i].repo, &at, e) != 0))
            return -1;
        if (cancel_check(e) != 0 || name_revision(m, &v[i], e) != 0)
            return err_ctx(e, "%s", v[i].repo.id);
    }
    return 0;
}

int importer_publish(struct importer *m, struct err *e)
{
    /* Much may have come to be here while all of it was read. */
    if (importer_look(m, e) != 0 || publish_repos(m, e) != 0 ||
        importer_name_puts(m, e) != 0)
        return -1;
    return m->key != NULL ? trust_remember(&m->trust, e) : 0;
}
