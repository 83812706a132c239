/*
 * Hub caches of every client that writes the layout: links to blobs, links
 * over a shared store, hard links, and plain files where there are no links.
 * The digest of a file comes from its link, or else from its commit's listing.
 */
#include "cache/foreign.h"
#include "cache/foreign_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/aside.h"
#include "cache/hubdir_internal.h"

#include "base/file.h"
#include "base/hex.h"
#include "base/path.h"

/* A listing of 100,000 files takes 20 MB. */
enum { LISTING_MAX = 64 << 20 };

/* One repository of it. */
struct hub {
    struct foreign *f;
    struct hubdir dir;
    const struct repo *r;
    uint64_t blobs, blobs_end; /* in files, by digest */
    int64_t set;               /* the commit at hand */
};

static struct str no_name(void)
{
    return (struct str){ "", 0 };
}

/* ---- blobs ---- */

static int add_blob(
    struct hub *h, const struct foreign_entry *at, struct err *e)
{
    struct foreign_file file = { .repo = h->r, .path = at->path, .st = at->st };
    const char *base = path_base(at->path.p), *why = NULL;
    enum fault_kind kind = FAULT_UNKNOWN;
    char real[PATH_MAX];

    if (foreign_litter(base) || str_ends(str_of(base), ".lock"))
        return 0;
    if (foreign_leftover(base)) {
        kind = FAULT_UNFINISHED;
        why = "an unfinished download";
    } else if (!digest_parse(&file.digest, str_of(base))) {
        why = "its name is no digest";
    } else if (at->kind == WALK_OTHER) {
        kind = FAULT_UNSAFE;
        why = "not a regular file";
    } else if (at->kind == WALK_LINK) {
        why = foreign_follow(h->f, at->path.p, real, &file.st, &kind);
        file.path = str_of(real);
        /* The shared store of newer clients: others may need it there. */
        file.kept = true;
    }
    if (why != NULL)
        return foreign_fault(h->f, kind, at->path, no_name(), why, e);
    file.shown = at->path;
    return foreign_add_file(h->f, file, e) < 0 ? -1 : 0;
}

static int read_blobs(struct hub *h, struct err *e)
{
    struct foreign_entry *found;
    char part[PATH_MAX];
    uint64_t n;

    h->blobs = h->f->n_files;
    if (path_fmt(part, e, "%s/blobs", h->r->folder) != 0 ||
        foreign_walk(h->f, part, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (add_blob(h, &found[i], e) != 0)
            return -1;
    h->blobs_end = h->f->n_files;
    return 0;
}

static int cmp_digest(const void *key, const void *file)
{
    const struct digest *d = key;
    const struct foreign_file *f = file;

    return strcmp(d->hex, f->digest.hex);
}

static struct foreign_file *blob_of(const struct hub *h, const struct digest *d)
{
    if (h->blobs == h->blobs_end)
        return NULL;
    return bsearch(d, h->f->files + h->blobs, h->blobs_end - h->blobs,
        sizeof(struct foreign_file), cmp_digest);
}

static struct foreign_file *blob_of_inode(
    const struct hub *h, const struct stat *st)
{
    for (uint64_t i = h->blobs; i < h->blobs_end; i++) {
        struct foreign_file *b = &h->f->files[i];

        if (b->st.st_ino == st->st_ino && b->st.st_dev == st->st_dev)
            return b;
    }
    return NULL;
}

/* ---- snapshots ---- */

static int cmp_path(const void *key, const void *file)
{
    const struct str *name = key;
    const struct tree_file *f = file;

    return str_cmp(*name, f->path);
}

static const struct tree_file *listed(const struct hub *h, struct str name)
{
    const struct tree *t = &h->f->sets[h->set].tree;

    if (t->n == 0)
        return NULL;
    return bsearch(&name, t->files, t->n, sizeof(*t->files), cmp_path);
}

/* The listing that the source has of the commit; a strange one is none. */
static int read_listing(struct hub *h, struct foreign_set *set, struct err *e)
{
    struct err why = ERR_INIT;
    char part[PATH_MAX], path[PATH_MAX];
    struct stat st;
    int have;

    if (path_fmt(part, e, "%s/trees/%s.json", h->r->folder, set->commit) != 0)
        return -1;
    if (aside_inside(h->f->root, part, path, &why) != 0)
        return foreign_fault(h->f, FAULT_UNSAFE, str_of(part), no_name(),
            "a symbolic link where a file should be", e);
    if (lstat(path, &st) != 0)
        return 0;
    if (!S_ISREG(st.st_mode) || st.st_size > LISTING_MAX)
        return foreign_fault(h->f, FAULT_UNSAFE, str_of(part), no_name(),
            S_ISREG(st.st_mode) ? "too large for a listing"
                                : "not a regular file",
            e);
    have = hubdir_tree(&h->dir, h->r, set->commit, h->f->arena, &set->tree, e);
    set->listed = have == HAVE;
    if (have == HAVE_DAMAGED)
        return foreign_fault(h->f, FAULT_DAMAGED, str_of(part), no_name(),
            "not the listing of a commit", e);
    return have < 0 ? -1 : 0;
}

/* A pull of ours that did not end: what is there is no whole. */
static int note_unfinished(struct hub *h, struct err *e)
{
    struct foreign_set *set = &h->f->sets[h->set];
    char path[PATH_MAX];
    struct stat st;

    if (path_fmt(path, e, "%s/ml/pulling/%s", h->r->folder, set->commit) != 0)
        return -1;
    if (set->listed || fstatat(h->f->fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    set->broken++;
    return foreign_fault(h->f, FAULT_UNFINISHED, str_of(path), no_name(),
        "its pull did not come to its end", e);
}

static int turn_to(struct hub *h, struct str commit, struct err *e)
{
    struct foreign_set set = { .repo = h->r };

    if (h->set >= 0 && str_is(commit, h->f->sets[h->set].commit))
        return 0;
    memcpy(set.commit, commit.p, commit.len);
    if (read_listing(h, &set, e) != 0)
        return -1;
    h->set = foreign_add_set(h->f, set, e);
    return h->set < 0 ? -1 : note_unfinished(h, e);
}

/*
 * A file that is named by its listing alone: a copy, or what a link leads to,
 * which may be another repository's.
 */
static struct foreign_file *add_copy(struct hub *h, struct str path,
    const struct stat *st, const struct tree_file *t, bool linked,
    struct err *e)
{
    struct foreign_file file = { .repo = h->r,
        .path = path,
        .digest = *tree_etag(t),
        .st = *st,
        .kept = linked };
    int64_t i;

    file.shown = t->path;
    i = foreign_add_file(h->f, file, e);
    return i < 0 ? NULL : &h->f->files[i];
}

/* What a link says by its text: the digest it leads to, or it is no such. */
static struct foreign_file *blob_of_link(
    const struct hub *h, const char *path, const char *real)
{
    char full[PATH_MAX], target[PATH_MAX];
    struct err ignored = ERR_INIT;
    struct foreign_file *blob;
    struct digest d;
    ssize_t n;

    if (path_join(full, h->f->root, path, &ignored) != 0)
        return NULL;
    n = readlink(full, target, sizeof(target) - 1);
    if (n <= 0)
        return NULL;
    target[n] = '\0';
    if (!digest_parse(&d, str_of(path_base(target))) &&
        !digest_parse(&d, str_of(path_base(real))))
        return NULL;
    blob = blob_of(h, &d);
    return blob != NULL && str_is(blob->path, real) ? blob : NULL;
}

/* The file an entry leads to: NULL with *why, or *e. */
static struct foreign_file *file_of(struct hub *h,
    const struct foreign_entry *at, struct str name, enum fault_kind *kind,
    const char **why, struct err *e)
{
    const struct tree_file *t = listed(h, name);
    struct foreign_file *file = NULL;
    struct str path = at->path;
    struct stat st = at->st;
    char real[PATH_MAX];

    *why = NULL;
    if (at->kind == WALK_OTHER) {
        *kind = FAULT_UNSAFE;
        *why = "not a regular file";
        return NULL;
    }
    if (at->kind == WALK_LINK) {
        *why = foreign_follow(h->f, at->path.p, real, &st, kind);
        if (*why != NULL)
            return NULL;
        path = str_of(real);
        file = blob_of_link(h, at->path.p, real);
    } else if (st.st_nlink > 1) {
        file = blob_of_inode(h, &st);
    }
    if (file != NULL && t != NULL && !digest_eq(&file->digest, tree_etag(t))) {
        *kind = FAULT_OTHER;
        *why = "not what its commit's listing says";
        file->kept = true;
        return NULL;
    }
    if (file == NULL && t == NULL) {
        *kind = FAULT_UNKNOWN;
        *why = "nothing says what its digest should be";
    }
    if (file != NULL || t == NULL)
        return file;
    return add_copy(h, path, &st, t, at->kind == WALK_LINK, e);
}

static int add_entry(struct hub *h, const struct foreign_entry *at,
    struct str commit, struct str name, struct err *e)
{
    struct foreign_name entry = { .name = name, .entry = at->path };
    enum fault_kind kind = FAULT_UNSAFE;
    struct err unsafe = ERR_INIT;
    struct foreign_file *file;
    const char *why;

    if (foreign_litter(path_base(name.p)))
        return 0;
    if (turn_to(h, commit, e) != 0)
        return -1;
    entry.set = (uint64_t)h->set;
    if (path_check(name, &unsafe) != 0) {
        h->f->sets[h->set].broken++;
        return foreign_fault(h->f, kind, at->path, name, unsafe.msg, e);
    }
    file = file_of(h, at, name, &kind, &why, e);
    if (file == NULL && why == NULL)
        return -1;
    if (file == NULL) {
        h->f->sets[h->set].broken++;
        return foreign_fault(h->f, kind, at->path, name, why, e);
    }
    entry.file = (uint64_t)(file - h->f->files);
    return foreign_add_name(h->f, entry, e);
}

static int read_snapshots(struct hub *h, struct err *e)
{
    struct foreign_entry *found;
    char part[PATH_MAX];
    size_t front;
    uint64_t n;

    h->set = -1;
    if (path_fmt(part, e, "%s/snapshots", h->r->folder) != 0 ||
        foreign_walk(h->f, part, &found, &n, e) != 0)
        return -1;
    front = strlen(part) + 1;
    for (uint64_t i = 0; i < n; i++) {
        const char *at = found[i].path.p + front, *slash = strchr(at, '/');
        struct str commit = { at, slash != NULL ? (size_t)(slash - at) : 0 };
        int rc;

        if (foreign_litter(at))
            continue;
        if (slash == NULL || !hex_is(commit, 40))
            rc = foreign_fault(h->f,
                slash == NULL && found[i].kind != WALK_FILE ? FAULT_UNSAFE
                                                            : FAULT_UNKNOWN,
                found[i].path, no_name(), "not in the folder of a commit", e);
        else
            rc = add_entry(h, &found[i], commit, str_of(slash + 1), e);
        if (rc != 0)
            return -1;
    }
    return 0;
}

/* ---- refs ---- */

static int add_ref(struct hub *h, const struct foreign_entry *at,
    const char *name, struct err *e)
{
    struct foreign *f = h->f;
    struct foreign_ref ref = { .repo = *h->r }, *list;
    struct err why = ERR_INIT;
    const char *word = NULL;
    int have = HAVE_DAMAGED;

    if (foreign_litter(path_base(name)))
        return 0;
    if (at->kind != WALK_FILE)
        word = "not a regular file";
    else if (strlen(name) >= sizeof(ref.repo.revision) ||
             path_check(str_of(name), &why) != 0)
        word = "no name for a revision";
    if (word != NULL)
        return foreign_fault(f, FAULT_UNSAFE, at->path, no_name(), word, e);
    snprintf(ref.repo.revision, sizeof(ref.repo.revision), "%s", name);
    have = hubdir_ref(&h->dir, &ref.repo, ref.commit, &why);
    if (have != HAVE)
        return foreign_fault(
            f, FAULT_DAMAGED, at->path, no_name(), "names no commit", e);
    list = arena_grow(
        f->arena, f->refs, f->n_refs, &f->refs_cap, sizeof(*list), e);
    if (list == NULL)
        return -1;
    f->refs = list;
    list[f->n_refs++] = ref;
    return 0;
}

static int read_refs(struct hub *h, struct err *e)
{
    struct foreign_entry *found;
    char part[PATH_MAX];
    uint64_t n;

    if (path_fmt(part, e, "%s/refs", h->r->folder) != 0 ||
        foreign_walk(h->f, part, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (add_ref(h, &found[i], found[i].path.p + strlen(part) + 1, e) != 0)
            return -1;
    return 0;
}

/* ---- all of it ---- */

/* What looks like a repository's, yet has a name that no repository has. */
static int note_strange(struct foreign *f, struct err *e)
{
    static const char *const fronts[] = { "models--", "datasets--",
        "spaces--" };
    DIR *d AUTO(dir_close) = opendir(f->root);
    struct dirent *entry;
    struct repo ignored;

    while (d != NULL && (entry = readdir(d)) != NULL)
        for (size_t i = 0; i < ARRAY_LEN(fronts); i++)
            if (strncmp(entry->d_name, fronts[i], strlen(fronts[i])) == 0 &&
                !repo_of_folder(&ignored, entry->d_name) &&
                foreign_fault(f, FAULT_UNSAFE, str_of(entry->d_name), no_name(),
                    "no repository can have this name", e) != 0)
                return -1;
    return 0;
}

/* Those that are meant, and no link. */
static int choose(struct foreign *f, const char *only, struct err *e)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < f->n_repos; i++) {
        const char *folder = f->repos[i].folder;
        struct stat st;

        if (only[0] != '\0' && strcmp(only, folder) != 0)
            continue;
        if (fstatat(f->fd, folder, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISDIR(st.st_mode)) {
            if (foreign_fault(f, FAULT_UNSAFE, str_of(folder), no_name(),
                    "a symbolic link where a folder should be", e) != 0)
                return -1;
            continue;
        }
        f->repos[n++] = f->repos[i];
    }
    f->n_repos = n;
    return 0;
}

int foreign_hub(struct foreign *f, const char *only, struct err *e)
{
    struct hub h = { .f = f };

    if (path_fmt(h.dir.root, e, "%s", f->root) != 0 ||
        hubdir_repos(&h.dir, f->arena, &f->repos, &f->n_repos, e) != 0 ||
        choose(f, only, e) != 0 || (only[0] == '\0' && note_strange(f, e) != 0))
        return -1;
    for (uint64_t i = 0; i < f->n_repos; i++) {
        h.r = &f->repos[i];
        if (read_blobs(&h, e) != 0 || read_snapshots(&h, e) != 0 ||
            read_refs(&h, e) != 0)
            return err_ctx(e, "%s", h.r->id);
    }
    return 0;
}
