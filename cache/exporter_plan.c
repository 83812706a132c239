/* Which revisions, files and names an archive is to hold. */
#include "cache/exporter.h"
#include "cache/exporter_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cache/census.h"
#include "cache/lockfile.h"
#include "cache/unfinished.h"
#include "cache/walk.h"

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/sign.h"
#include "base/utf8.h"

struct planning {
    struct exporter *x;
    struct arena *arena;
    uint64_t cap, leases_cap;
    struct err *e;
};

static const struct hubdir *hub_of(const struct planning *p)
{
    return &p->x->place->hub;
}

static int hold(struct planning *p, const char *path)
{
    struct exporter *x = p->x;
    struct lease *v = arena_grow(
        p->arena, x->leases, x->n_leases, &p->leases_cap, sizeof(*v), p->e);

    if (v == NULL)
        return -1;
    x->leases = v;
    v[x->n_leases] = (struct lease)LEASE_INIT;
    return lease_hold(&v[x->n_leases++], path, true, p->e);
}

static int hold_repo(struct planning *p, const struct repo *r)
{
    char path[PATH_MAX];

    return lease_of_repo(hub_of(p), r, path, p->e) != 0 ? -1 : hold(p, path);
}

/* ---- revisions ---- */

/* The entry of a commit, made when it is new. */
static struct archive_revision *revision_of(
    struct planning *p, const struct repo *r, const char *commit)
{
    struct archive *a = &p->x->archive;
    struct archive_revision *v;

    for (uint64_t i = 0; i < a->n_revisions; i++)
        if (strcmp(a->revisions[i].commit, commit) == 0 &&
            strcmp(a->revisions[i].repo.folder, r->folder) == 0)
            return &a->revisions[i];
    v = arena_grow(
        p->arena, a->revisions, a->n_revisions, &p->cap, sizeof(*v), p->e);
    if (v == NULL)
        return NULL;
    a->revisions = v;
    v += a->n_revisions++;
    *v = (struct archive_revision){ .repo = *r };
    snprintf(v->commit, sizeof(v->commit), "%s", commit);
    return v;
}

static int add_ref(
    struct planning *p, struct archive_revision *r, struct str name)
{
    struct str *v;

    for (uint64_t i = 0; i < r->n_refs; i++)
        if (str_eq(r->refs[i], name))
            return 0;
    v = arena_alloc(p->arena, r->n_refs + 1, sizeof(*v), p->e);
    if (v == NULL)
        return -1;
    if (r->n_refs > 0)
        memcpy(v, r->refs, r->n_refs * sizeof(*v));
    v[r->n_refs] = arena_str(p->arena, name, p->e);
    if (v[r->n_refs].p == NULL)
        return -1;
    r->refs = v;
    r->n_refs++;
    return 0;
}

/* Other tools keep other files there; no import would take their names. */
static bool is_ref(const struct repo *repo, struct str name)
{
    struct err why = ERR_INIT;
    char text[512];
    struct repo named;

    if (name.len >= sizeof(named.revision) ||
        snprintf(text, sizeof(text), "%s@%.*s", repo->id, STR_ARG(name)) >=
            (int)sizeof(text))
        return false;
    return repo_parse(&named, repo->type, text, &why) == 0 &&
           str_is(name, named.revision) && !repo_is_commit(named.revision);
}

/* Every branch and tag here that names a commit of the archive's. */
static int add_all_refs(struct planning *p, const struct repo *repo)
{
    char root[PATH_MAX], commit[41];
    struct archive *a = &p->x->archive;
    struct walk_entry *found;
    uint64_t n;

    if (path_fmt(root, p->e, "%s/%s/refs", hub_of(p)->root, repo->folder) !=
            0 ||
        walk(root, p->arena, &found, &n, p->e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct repo named = *repo;
        int have;

        if (!is_ref(repo, found[i].path))
            continue;
        memcpy(named.revision, found[i].path.p, found[i].path.len + 1);
        have = hubdir_ref(hub_of(p), &named, commit, p->e);
        if (have < 0)
            return -1;
        for (uint64_t k = 0; have == HAVE && k < a->n_revisions; k++)
            if (strcmp(a->revisions[k].commit, commit) == 0 &&
                strcmp(a->revisions[k].repo.folder, repo->folder) == 0 &&
                add_ref(p, &a->revisions[k], found[i].path) != 0)
                return -1;
    }
    return 0;
}

static int by_path(const void *a, const void *b)
{
    const struct tree_file *x = a, *y = b;

    return str_cmp(x->path, y->path);
}

/*
 * The files of a revision: those that are here, and where a listing of the
 * commit is kept, all of it, so that it can be kept there, too.
 */
static int set_files(
    struct planning *p, struct archive_revision *r, const struct tree *here)
{
    const struct tree *all;
    struct tree listing;
    int have =
        hubdir_tree(hub_of(p), &r->repo, r->commit, p->arena, &listing, p->e);

    if (have < 0)
        return -1;
    r->listed = have == HAVE;
    all = r->listed ? &listing : here;
    r->files = arena_alloc(p->arena, all->n, sizeof(*r->files), p->e);
    if (r->files == NULL)
        return -1;
    r->n_files = all->n;
    for (uint64_t i = 0; i < all->n; i++) {
        const struct tree_file *f = here->n > 0
                                        ? bsearch(&all->files[i], here->files,
                                              here->n, sizeof(*f), by_path)
                                        : NULL;

        r->files[i].f = all->files[i];
        r->files[i].absent = f == NULL;
        if (f != NULL && (!digest_eq(tree_etag(f), tree_etag(&all->files[i])) ||
                             f->size != all->files[i].size))
            return err_set(p->e, ERR_CORRUPT,
                "%s@%s: '%.*s' is not what the commit's listing says",
                r->repo.id, r->commit, STR_ARG(f->path));
    }
    return 0;
}

static int not_here(struct planning *p, const struct repo *r,
    const char *commit, struct str name)
{
    err_set(p->e, ERR_MISSING, "%s@%.12s: '%.*s' is not here", r->id, commit,
        STR_ARG(name));
    return err_hint(p->e, "run: mlfetch pull %s@%s", r->id, commit);
}

/* ---- of names ---- */

static int size_of(struct planning *p, const struct census_name *n,
    const char *commit, uint64_t *out)
{
    char root[PATH_MAX], path[PATH_MAX];
    struct stat st;

    if (hubdir_snapshot(hub_of(p), n->repo, commit, root, p->e) != 0 ||
        path_fmt(path, p->e, "%s/%.*s", root, STR_ARG(n->name)) != 0)
        return -1;
    if (stat(path, &st) != 0)
        return err_sys(p->e, "%s", path);
    *out = (uint64_t)st.st_size;
    return 0;
}

/* The files of one commit: names from up to to of the census. */
static int add_commit(
    struct planning *p, const struct census *c, uint64_t from, uint64_t to)
{
    const struct census_name *v = &c->names[from];
    struct archive_revision *r;
    struct tree here = { .n = 0 };
    struct repo repo = *v->repo;

    r = revision_of(p, v->repo, v->commit.p);
    here.files = arena_alloc(p->arena, to - from, sizeof(*here.files), p->e);
    if (r == NULL || here.files == NULL)
        return -1;
    snprintf(repo.revision, sizeof(repo.revision), "%s", r->commit);
    if (unfinished_check(hub_of(p), &repo, r->commit, p->e) != 0)
        return -1;
    for (; from < to; from++, v++) {
        struct tree_file *f = &here.files[here.n++];

        if (v->broken)
            return not_here(p, v->repo, r->commit, v->name);
        if (v->other || v->digest.hex[0] == '\0') {
            err_set(p->e, v->other ? ERR_CORRUPT : ERR_REFUSED,
                "%s@%s: '%.*s' %s", v->repo->id, r->commit, STR_ARG(v->name),
                v->other ? "is not what the commit's listing says"
                         : "has no digest that was written down");
            return err_hint(
                p->e, "run: mlfetch pull %s@%s", v->repo->id, r->commit);
        }
        f->path = v->name;
        f->lfs = v->digest.kind == HASH_SHA256;
        *(f->lfs ? &f->sha256 : &f->oid) = v->digest;
        if (size_of(p, v, r->commit, &f->size) != 0)
            return -1;
    }
    if (here.n > 1)
        qsort(here.files, here.n, sizeof(*here.files), by_path);
    return set_files(p, r, &here);
}

static int add_put(struct planning *p, struct str name, uint64_t *cap)
{
    struct archive *a = &p->x->archive;
    struct archive_put *v =
        arena_grow(p->arena, a->puts, a->n_puts, cap, sizeof(*v), p->e);
    struct volume_entry entry;

    if (v == NULL)
        return -1;
    a->puts = v;
    if (volume_find(&p->x->place->volume, name.p, p->arena, &entry, p->e) != 0)
        return -1;
    v[a->n_puts++] = (struct archive_put){
        .name = entry.name, .size = entry.size, .sha256 = entry.sha256
    };
    return 0;
}

static bool same_commit(
    const struct census_name *a, const struct census_name *b)
{
    return a->repo == b->repo && str_eq(a->commit, b->commit);
}

static int add_names(struct planning *p, const struct census *c)
{
    uint64_t from = 0, cap = 0;

    for (uint64_t i = 0; i < c->n_names; i = from) {
        for (from = i + 1; from < c->n_names && c->names[i].repo != NULL &&
                           same_commit(&c->names[i], &c->names[from]);)
            from++;
        if (c->names[i].repo != NULL ? add_commit(p, c, i, from) != 0
                                     : add_put(p, c->names[i].name, &cap) != 0)
            return -1;
    }
    return 0;
}

/* A revision without a file has no name in a census. */
static int add_empty(struct planning *p, const struct target *t)
{
    struct tree none = { .n = 0 };
    struct archive_revision *r = revision_of(p, &t->repo, t->commit);

    if (r == NULL)
        return -1;
    return r->files != NULL ? 0 : set_files(p, r, &none);
}

static int add_target(struct planning *p, const struct target *t)
{
    if (t->kind == TARGET_PUT)
        return 0;
    if (t->kind == TARGET_REPO)
        return add_all_refs(p, &t->repo);
    if (add_empty(p, t) != 0)
        return -1;
    if (repo_is_commit(t->repo.revision))
        return 0;
    return add_ref(
        p, revision_of(p, &t->repo, t->commit), str_of(t->repo.revision));
}

static int add_targets(struct planning *p)
{
    struct exporter *x = p->x;
    char path[PATH_MAX];
    struct census c;

    if (x->n_targets == 0)
        return 0;
    for (size_t i = 0; i < x->n_targets; i++)
        if (x->targets[i].kind != TARGET_PUT &&
            hold_repo(p, &x->targets[i].repo) != 0)
            return -1;
    if (x->place->has_volume &&
        (lease_of_volume(&x->place->volume, path, p->e) != 0 ||
            hold(p, path) != 0))
        return -1;
    if (census(x->place, x->targets, x->n_targets, 0, &c, p->arena, p->e) !=
            0 ||
        add_names(p, &c) != 0)
        return -1;
    for (size_t i = 0; i < x->n_targets; i++)
        if (add_target(p, &x->targets[i]) != 0)
            return -1;
    return 0;
}

/* ---- of a lock ---- */

static int add_entry(struct planning *p, const struct lock_entry *l)
{
    struct archive_revision *r;

    if (hold_repo(p, &l->repo) != 0)
        return -1;
    for (uint64_t i = 0; i < l->tree.n; i++) {
        int have = hubdir_have(
            hub_of(p), &l->repo, l->commit, &l->tree.files[i], p->e);

        if (have < 0)
            return -1;
        if (have != HAVE)
            return not_here(p, &l->repo, l->commit, l->tree.files[i].path);
    }
    r = revision_of(p, &l->repo, l->commit);
    if (r == NULL)
        return -1;
    if (r->files != NULL)
        return err_set(p->e, ERR_UNSUPPORTED,
            "%s@%s: two entries of the lock, for one commit", l->repo.id,
            l->commit);
    if (set_files(p, r, &l->tree) != 0)
        return -1;
    if (l->convert[0] != '\0')
        log_warn("%s: the %s form is not exported; mlfetch warm --lock makes "
                 "it from what is",
            l->repo.id, l->convert);
    return repo_is_commit(l->repo.revision)
               ? 0
               : add_ref(p, r, str_of(l->repo.revision));
}

static int keep(struct planning *p, const struct buf *b, struct str *out)
{
    *out = arena_str(p->arena, buf_str(b), p->e);
    return out->p == NULL ? -1 : 0;
}

/* The signature beside it goes along, whoever made it. */
static int add_signature(struct planning *p)
{
    struct buf text AUTO(buf_free) = BUF_INIT(SIGN_FILE_MAX);
    struct err why = ERR_INIT;
    char path[PATH_MAX];

    if (path_fmt(path, p->e, "%s" SIGN_SUFFIX, p->x->lock) != 0)
        return -1;
    if (file_slurp(path, &text, &why) == 0)
        return keep(p, &text, &p->x->archive.signature);
    if (why.kind == ERR_MISSING)
        return 0;
    *p->e = why;
    return -1;
}

static int add_lock(struct planning *p)
{
    struct lockfile lock AUTO(lockfile_free) = LOCKFILE_INIT;
    struct buf text AUTO(buf_free) = BUF_INIT(ARCHIVE_LOCK_MAX);
    struct archive *a = &p->x->archive;

    if (p->x->lock == NULL)
        return 0;
    if (file_slurp(p->x->lock, &text, p->e) != 0 ||
        lockfile_parse(&lock, buf_str(&text), p->x->lock, p->e) != 0 ||
        keep(p, &text, &a->lock_text) != 0 || add_signature(p) != 0)
        return -1;
    a->lock_name = arena_str(p->arena, str_of(path_base(p->x->lock)), p->e);
    if (a->lock_name.p == NULL)
        return -1;
    for (size_t i = 0; i < lock.n; i++) {
        struct lock_entry *l = &lock.v[i];

        /* What is in the lock's own arena goes with it. */
        for (uint64_t k = 0; k < l->tree.n; k++) {
            struct str *path = &l->tree.files[k].path;

            *path = arena_str(p->arena, *path, p->e);
            if (path->p == NULL)
                return -1;
        }
        if (add_entry(p, l) != 0)
            return -1;
    }
    return 0;
}

/* ---- all of it ---- */

static int measure(struct planning *p)
{
    struct exporter *x = p->x;
    struct buf head AUTO(buf_free) = BUF_INIT(1 << 20);
    struct digest any;
    struct buf seal AUTO(buf_free) = BUF_INIT(4096);
    struct tar_member ends[] = {
        { .path = str_of(ARCHIVE_MANIFEST),
            .type = TAR_FILE,
            .size = x->manifest.len },
        { .path = str_of(ARCHIVE_SEAL), .type = TAR_FILE },
    };
    uint64_t at;

    tar_head(&head, &ends[0]);
    at = head.len + x->manifest.len + tar_padding(x->manifest.len);
    for (uint64_t i = 0; i < x->members.n; i++) {
        const struct tar_member *t = &x->members.v[i].tar;

        buf_clear(&head);
        tar_head(&head, t);
        if (buf_check(&head, p->e) != 0)
            return -1;
        at += head.len + t->size + tar_padding(t->size);
    }
    memset(&any, '0', sizeof(any) - 1);
    any.hex[HASH_MAX_HEX - 1] = '\0';
    archive_seal(&seal, &any, x->members.n + 1, at);
    x->tar_bytes = at + TAR_BLOCK + seal.len + tar_padding(seal.len) + TAR_END;
    return 0;
}

static int check_utf8(struct str text, const char *what, struct err *e)
{
    uint32_t cp;

    for (struct str left = text; left.len > 0;) {
        unsigned n = utf8_get(left, &cp);

        if (n == 0) {
            err_set(
                e, ERR_REFUSED, "%s '%.*s' is not UTF-8", what, STR_ARG(text));
            return err_hint(e, "an archive cannot have it: rename it");
        }
        left.p += n;
        left.len -= n;
    }
    return 0;
}

/* A manifest says it in JSON: what is no text would come out otherwise. */
static int check_texts(const struct archive *a, struct err *e)
{
    for (uint64_t i = 0; i < a->n_puts; i++)
        if (check_utf8(a->puts[i].name, "the name", e) != 0)
            return -1;
    for (uint64_t i = 0; i < a->n_revisions; i++) {
        const struct archive_revision *r = &a->revisions[i];

        for (uint64_t k = 0; k < r->n_files; k++)
            if (check_utf8(r->files[k].f.path, "the name", e) != 0)
                return err_ctx(e, "%s@%.12s", r->repo.id, r->commit);
        for (uint64_t k = 0; k < r->n_refs; k++)
            if (check_utf8(r->refs[k], "the reference", e) != 0)
                return err_ctx(e, "%s", r->repo.id);
    }
    return check_utf8(a->signature, "the signature", e) == 0
               ? check_utf8(a->lock_name, "the lock's name", e)
               : -1;
}

/* What no import would take is told here, and not behind the air gap. */
static int check_readable(const struct exporter *x, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)8 << 30);
    struct archive again;

    if (check_texts(&x->archive, e) != 0)
        return -1;
    return archive_parse(&again, buf_str(&x->manifest), &arena, e) == 0
               ? 0
               : err_ctx(e, "an archive cannot hold this");
}

static int lay_out(struct exporter *x, struct err *e)
{
    buf_clear(&x->manifest);
    return archive_text(&x->manifest, &x->archive, e) != 0
               ? -1
               : archive_members(&x->members, &x->archive, x->arena, e);
}

int exporter_plan(struct exporter *x, struct arena *arena, struct err *e)
{
    struct planning p = { .x = x, .arena = arena, .e = e };

    x->arena = arena;
    if (add_lock(&p) != 0 || add_targets(&p) != 0)
        return -1;
    if (lay_out(x, e) != 0 || (x->group && exporter_group(x, e) != 0) ||
        (x->archive.n_groups > 0 && lay_out(x, e) != 0) ||
        check_readable(x, e) != 0)
        return -1;
    return measure(&p);
}

void exporter_free(struct exporter *x)
{
    for (uint64_t i = 0; i < x->n_leases; i++)
        lease_free(&x->leases[i]);
    x->n_leases = 0;
    buf_free(&x->manifest);
}
