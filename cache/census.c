#include "cache/census.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cache/kept.h"
#include "cache/walk.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/path.h"

enum { MANIFEST_MAX = 512 << 20, REF_AGE_S = 60 };

/* The lists grow while the census goes on. */
struct count {
    const struct place *p;
    const struct target *targets;
    size_t n_targets;
    struct census *out;
    struct arena *arena;
    uint64_t objects_cap, names_cap, refs_cap;
    struct census_part blobs; /* those of the repository at hand */
    bool bare;
};

static bool wanted(
    const struct count *c, const struct repo *r, const char *commit)
{
    for (size_t i = 0; i < c->n_targets; i++)
        if (target_has(&c->targets[i], r, commit))
            return true;
    return c->n_targets == 0;
}

static bool wanted_put(const struct count *c, struct str name)
{
    for (size_t i = 0; i < c->n_targets; i++)
        if (target_has_put(&c->targets[i], name))
            return true;
    return c->n_targets == 0;
}

static bool wants_puts(const struct count *c)
{
    for (size_t i = 0; i < c->n_targets; i++)
        if (c->targets[i].kind == TARGET_PUT)
            return true;
    return c->n_targets == 0;
}

static int add_object(struct count *c, struct object o, const char *path,
    struct str shown, struct err *e)
{
    struct census *out = c->out;
    struct object *list = arena_grow(c->arena, out->objects, out->n_objects,
        &c->objects_cap, sizeof(*list), e);

    if (list == NULL)
        return -1;
    out->objects = list;
    o.path = arena_str(c->arena, str_of(path), e);
    o.shown = shown;
    if (o.path.p == NULL)
        return -1;
    list[out->n_objects++] = o;
    return 0;
}

static int add_name(struct count *c, struct census_name name, struct err *e)
{
    struct census *out = c->out;
    struct census_name *list = arena_grow(
        c->arena, out->names, out->n_names, &c->names_cap, sizeof(*list), e);

    if (list == NULL)
        return -1;
    out->names = list;
    list[out->n_names++] = name;
    return 0;
}

static int add_ref(struct count *c, struct census_ref ref, struct err *e)
{
    struct census *out = c->out;
    struct census_ref *list = arena_grow(
        c->arena, out->refs, out->n_refs, &c->refs_cap, sizeof(*list), e);

    if (list == NULL)
        return -1;
    out->refs = list;
    list[out->n_refs++] = ref;
    return 0;
}

/* ---- a repository ---- */

static int count_blobs(struct count *c, const struct repo *r, struct err *e)
{
    char root[PATH_MAX], path[PATH_MAX];
    struct walk_entry *found;
    uint64_t n;

    c->blobs.from = c->blobs.to = c->out->n_objects;
    if (path_fmt(root, e, "%s/%s/blobs", c->p->hub.root, r->folder) != 0 ||
        walk(root, c->arena, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct object o = { .kind = OBJECT_BLOB, .repo = r };

        if (!digest_parse(&o.digest, found[i].path) ||
            path_join(path, root, found[i].path.p, e) != 0 ||
            stat(path, &o.st) != 0 || !S_ISREG(o.st.st_mode)) {
            if (e->kind != ERR_NONE)
                return -1;
            continue;
        }
        if (add_object(c, o, path, found[i].path, e) != 0)
            return -1;
    }
    c->blobs.to = c->out->n_objects;
    return 0;
}

static int cmp_digest(const void *key, const void *object)
{
    const struct digest *d = key;
    const struct object *o = object;

    return strcmp(d->hex, o->digest.hex);
}

static int cmp_objects(const void *a, const void *b)
{
    const struct object *x = a, *y = b;

    return strcmp(x->digest.hex, y->digest.hex);
}

static struct object *blob_in(const struct census *c,
    const struct census_part *part, const struct digest *d)
{
    if (part->from == part->to)
        return NULL;
    return bsearch(d, c->objects + part->from, part->to - part->from,
        sizeof(struct object), cmp_digest);
}

static struct object *blob_of(const struct count *c, const struct digest *d)
{
    return blob_in(c->out, &c->blobs, d);
}

struct object *census_blob(
    const struct census *c, const struct repo *r, const struct digest *d)
{
    uint64_t i = r != NULL ? (uint64_t)(r - c->repos) : c->n_repos;

    return blob_in(c, &c->parts[i], d);
}

static struct object *blob_of_inode(struct count *c, const struct stat *st)
{
    for (uint64_t i = c->blobs.from; i < c->blobs.to; i++) {
        struct object *o = &c->out->objects[i];
        if (o->st.st_ino == st->st_ino && o->st.st_dev == st->st_dev)
            return o;
    }
    return NULL;
}

static int cmp_path(const void *key, const void *file)
{
    const struct str *name = key;
    const struct tree_file *f = file;

    return str_cmp(*name, f->path);
}

static const struct tree_file *listed(const struct tree *t, struct str name)
{
    if (t->n == 0)
        return NULL;
    return bsearch(&name, t->files, t->n, sizeof(*t->files), cmp_path);
}

/* What a link of a snapshot says it leads to. */
static bool link_digest(const char *path, struct digest *out)
{
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof(target) - 1);

    if (n <= 0)
        return false;
    target[n] = '\0';
    return digest_parse(out, str_of(path_base(target)));
}

/*
 * A link that leads to a folder: 1. Which blobs its names need is known only
 * if they are counted under their own; else what is not named cannot be told
 * from what is: -1 with *e, where that is asked.
 */
static int leads_to_folder(
    const struct count *c, const char *root, const char *path, struct err *e)
{
    char top[PATH_MAX], end[PATH_MAX];
    struct stat st;
    size_t n;

    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return 0;
    if (!c->bare || (realpath(root, top) != NULL &&
                        realpath(path, end) != NULL && (n = strlen(top)) > 0 &&
                        strncmp(end, top, n) == 0 && end[n] == '/'))
        return 1;
    err_set(
        e, ERR_REFUSED, "%s: a symbolic link where a folder should be", path);
    return err_hint(e, "what it leads to may need blobs from here");
}

/* A link: of the blob it names, whether that is there or not. */
static void count_link(struct count *c, const char *path,
    const struct tree_file *f, struct census_name *name)
{
    struct object *blob;
    struct stat st;

    name->broken = stat(path, &st) != 0 || !S_ISREG(st.st_mode);
    if (link_digest(path, &name->digest)) {
        blob = blob_of(c, &name->digest);
    } else {
        /* By way of another link: what counts is where it ends. */
        blob = name->broken ? NULL : blob_of_inode(c, &st);
        if (blob != NULL)
            name->digest = blob->digest;
        else if (f != NULL)
            name->digest = *tree_etag(f);
    }
    name->other = f != NULL && !digest_eq(&name->digest, tree_etag(f));
    if (blob != NULL) {
        blob->named = true;
        blob->shown = name->name;
    }
}

/* A file in a snapshot: a blob under another name, or bytes of its own. */
static int count_file(struct count *c, const char *path,
    const struct tree_file *f, struct census_name *name, struct err *e)
{
    struct object o = {
        .kind = OBJECT_COPY, .repo = name->repo, .named = true
    };
    struct object *blob = NULL;

    if (stat(path, &o.st) != 0) {
        name->broken = true;
        return 0;
    }
    if (o.st.st_nlink > 1)
        blob = blob_of_inode(c, &o.st);
    if (blob != NULL) {
        blob->named = true;
        blob->shown = name->name;
        name->digest = blob->digest;
        name->other = f != NULL && !digest_eq(&blob->digest, tree_etag(f));
        return 0;
    }
    if (f == NULL) {
        c->out->unknown++;
        return 0;
    }
    o.digest = name->digest = *tree_etag(f);
    return add_object(c, o, path, name->name, e);
}

struct commit {
    struct str name;
    struct tree tree;
    bool wanted;
};

/* The commit that "<commit>/<path>" begins with; its listing, once. */
static int turn_to(struct count *c, const struct repo *r, struct str name,
    struct commit *at, struct err *e)
{
    if (str_eq(at->name, name))
        return 0;
    *at = (struct commit){ .name = arena_str(c->arena, name, e) };
    if (at->name.p == NULL)
        return -1;
    at->wanted = wanted(c, r, at->name.p);
    if (!at->wanted || c->bare)
        return 0;
    return hubdir_tree(&c->p->hub, r, at->name.p, c->arena, &at->tree, e) < 0
               ? -1
               : 0;
}

static int count_snapshots(struct count *c, const struct repo *r, struct err *e)
{
    char root[PATH_MAX], path[PATH_MAX];
    struct commit at = { .wanted = false };
    struct walk_entry *found;
    uint64_t n;

    if (path_fmt(root, e, "%s/%s/snapshots", c->p->hub.root, r->folder) != 0 ||
        walk(root, c->arena, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        const char *slash = strchr(found[i].path.p, '/');
        struct census_name name = { .repo = r };
        const struct tree_file *f;
        int rc = 0;

        if (path_join(path, root, found[i].path.p, e) != 0)
            return -1;
        if (found[i].kind == WALK_LINK)
            rc = leads_to_folder(c, root, path, e);
        if (rc < 0)
            return -1;
        if (rc > 0 || slash == NULL)
            continue;
        name.commit =
            (struct str){ found[i].path.p, (size_t)(slash - found[i].path.p) };
        if (turn_to(c, r, name.commit, &at, e) != 0)
            return -1;
        if (!at.wanted)
            continue;
        name.commit = at.name;
        name.name = str_of(slash + 1);
        f = listed(&at.tree, name.name);
        if (found[i].kind == WALK_LINK)
            count_link(c, path, f, &name);
        else if (count_file(c, path, f, &name, e) != 0)
            return -1;
        if (add_name(c, name, e) != 0)
            return -1;
    }
    return 0;
}

/*
 * The official client writes a ref first, and not in one step: one that is
 * new says nothing, nor does one whose commit is not here.
 */
static int count_refs(struct count *c, const struct repo *r, struct err *e)
{
    struct walk_entry *found;
    char root[PATH_MAX], path[PATH_MAX], commit[41];
    uint64_t n;

    if (path_fmt(root, e, "%s/%s/refs", c->p->hub.root, r->folder) != 0 ||
        walk(root, c->arena, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct repo named = *r;
        struct stat st;
        int have;

        if (found[i].path.len >= sizeof(named.revision))
            continue;
        memcpy(named.revision, found[i].path.p, found[i].path.len + 1);
        have = hubdir_ref(&c->p->hub, &named, commit, e);
        if (have < 0 || path_join(path, root, found[i].path.p, e) != 0)
            return -1;
        if (have != HAVE_DAMAGED || stat(path, &st) != 0 ||
            time(NULL) - st.st_mtime < REF_AGE_S)
            continue;
        if (add_ref(c, (struct census_ref){ .repo = r, .name = found[i].path },
                e) != 0)
            return -1;
    }
    return 0;
}

/* ---- conversions ---- */

static int add_converted(struct count *c, const struct repo *r,
    const char *folder, const struct json *v, struct str commit, struct err *e)
{
    struct object o = {
        .kind = OBJECT_CONVERTED, .repo = r, .commit = commit, .named = true
    };
    struct err unsafe = ERR_INIT;
    char path[PATH_MAX];
    struct str shown;

    if (path_check(str_of(json_key(v)), &unsafe) != 0 ||
        !json_digest(json_get(v, "sha256"), HASH_SHA256, &o.digest)) {
        c->out->unknown++;
        return 0;
    }
    shown = arena_str(c->arena, str_of(json_key(v)), e);
    if (shown.p == NULL || path_join(path, folder, shown.p, e) != 0)
        return -1;
    /* One that is gone is found out when it is hashed. */
    if (stat(path, &o.st) != 0)
        o.st.st_size = 0;
    return add_object(c, o, path, shown, e);
}

/* A folder without a manifest is no conversion: left to gc. */
static int count_conversion(
    struct count *c, const struct repo *r, const char *folder, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    struct err why = ERR_INIT;
    const char *text = "";
    struct str commit;
    char path[PATH_MAX];

    if (path_join(path, folder, "ml-manifest.json", e) != 0)
        return -1;
    if (json_read(&doc, path, MANIFEST_MAX, &why) != 0) {
        if (why.kind != ERR_MISSING)
            log_warn("%s", why.msg);
        return 0;
    }
    json_str(json_get(json_get(doc.root, "source"), "commit"), &text);
    if (r != NULL && !wanted(c, r, text))
        return 0;
    commit = arena_str(c->arena, str_of(text), e);
    if (commit.p == NULL)
        return -1;
    for (const struct json *v = json_first(json_get(doc.root, "files"));
         v != NULL; v = json_next(v))
        if (add_converted(c, r, folder, v, commit, e) != 0)
            return -1;
    return 0;
}

static int count_conversions(
    struct count *c, const struct repo *r, const char *root, struct err *e)
{
    DIR *d AUTO(dir_close) = opendir(root);
    char folder[PATH_MAX];
    struct dirent *entry;

    if (d == NULL)
        return errno == ENOENT ? 0 : err_sys(e, "%s", root);
    while ((entry = readdir(d)) != NULL) {
        if (entry->d_name[0] == '.' || str_ends(str_of(entry->d_name), ".tmp"))
            continue;
        if (path_join(folder, root, entry->d_name, e) != 0 ||
            count_conversion(c, r, folder, e) != 0)
            return -1;
    }
    return 0;
}

/* ---- a volume ---- */

static int count_content(struct count *c, struct err *e)
{
    const struct volume *v = &c->p->volume;
    char root[PATH_MAX], path[PATH_MAX];
    struct walk_entry *found;
    uint64_t n;

    c->blobs.from = c->blobs.to = c->out->n_objects;
    if (path_join(root, v->root, "store/sha256", e) != 0 ||
        walk_names(root, c->arena, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct object o = { .kind = OBJECT_CONTENT };
        const char *base = path_base(found[i].path.p);
        const size_t front = sizeof("ab/") - 1;

        /* Only where it belongs: nobody finds it elsewhere. */
        if (!digest_parse(&o.digest, str_of(base)) ||
            o.digest.kind != HASH_SHA256 ||
            found[i].path.len != front + strlen(base) ||
            memcmp(found[i].path.p, base, front - 1) != 0)
            continue;
        if (path_join(path, root, found[i].path.p, e) != 0)
            return -1;
        if (stat(path, &o.st) == 0 && S_ISREG(o.st.st_mode) &&
            add_object(c, o, path, str_of(base), e) != 0)
            return -1;
    }
    c->blobs.to = c->out->n_objects;
    if (c->blobs.to > c->blobs.from)
        qsort(c->out->objects + c->blobs.from, c->blobs.to - c->blobs.from,
            sizeof(struct object), cmp_objects);
    return 0;
}

static int count_puts(struct count *c, struct err *e)
{
    struct volume_entry *list;
    char path[PATH_MAX];
    struct stat st;
    uint64_t n;

    if (count_content(c, e) != 0 ||
        volume_list(&c->p->volume, NULL, c->arena, &list, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct census_name name = { .name = list[i].name,
            .digest = list[i].sha256 };
        struct object *o = blob_of(c, &list[i].sha256);

        if (!wanted_put(c, list[i].name))
            continue;
        /* What came since the contents were listed is not missing. */
        if (o == NULL && volume_path(&c->p->volume, &list[i], path, e) != 0)
            return -1;
        name.broken =
            o == NULL && (stat(path, &st) != 0 || !S_ISREG(st.st_mode));
        if (o != NULL) {
            o->named = true;
            o->shown = list[i].name;
        }
        if (add_name(c, name, e) != 0)
            return -1;
    }
    return 0;
}

/* ---- all of it ---- */

static int count_repo(struct count *c, const struct repo *r, struct err *e)
{
    char root[PATH_MAX];

    if (count_blobs(c, r, e) != 0)
        return -1;
    c->out->parts[r - c->out->repos] = c->blobs;
    if (count_snapshots(c, r, e) != 0 || count_refs(c, r, e) != 0 ||
        hubdir_converted(&c->p->hub, r, root, e) != 0)
        return -1;
    return c->bare ? 0 : count_conversions(c, r, root, e);
}

/* Of some targets only what they lead to is meant. */
static void drop_unnamed(struct count *c)
{
    struct census *out = c->out;
    uint64_t n = 0;

    for (uint64_t i = 0; i < out->n_objects; i++) {
        const struct object *o = &out->objects[i];
        bool keep = o->named;

        for (size_t k = 0; k < c->n_targets && !keep; k++)
            keep = o->repo != NULL && c->targets[k].kind == TARGET_REPO &&
                   target_has(&c->targets[k], o->repo, NULL);
        if (keep)
            out->objects[n++] = *o;
    }
    out->n_objects = n;
}

int census(const struct place *p, const struct target *targets,
    size_t n_targets, unsigned flags, struct census *out, struct arena *arena,
    struct err *e)
{
    struct count c = { .p = p,
        .targets = targets,
        .n_targets = n_targets,
        .out = out,
        .arena = arena,
        .bare = flags & CENSUS_BARE };
    char root[PATH_MAX];

    *out = (struct census){ .n_repos = 0 };
    if (hubdir_repos(&p->hub, arena, &out->repos, &out->n_repos, e) != 0)
        return -1;
    out->parts = arena_alloc(arena, out->n_repos + 1, sizeof(*out->parts), e);
    if (out->parts == NULL)
        return -1;
    for (uint64_t i = 0; i < out->n_repos; i++)
        if (!(flags & CENSUS_PUTS) && wanted(&c, &out->repos[i], NULL) &&
            count_repo(&c, &out->repos[i], e) != 0)
            return err_ctx(e, "%s", out->repos[i].id);
    c.blobs = (struct census_part){ out->n_objects, out->n_objects };
    if (p->has_volume && wants_puts(&c) && count_puts(&c, e) != 0)
        return -1;
    out->parts[out->n_repos] = c.blobs;
    if (c.blobs.to > c.blobs.from && kept_mark(&p->volume, out, e) != 0)
        return -1;
    if (p->has_volume && n_targets == 0 && !c.bare &&
        (volume_converted(&p->volume, root, e) != 0 ||
            count_conversions(&c, NULL, root, e) != 0))
        return -1;
    if (n_targets > 0)
        drop_unnamed(&c);
    return 0;
}
