#include "serve/edition.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache/listing.h"
#include "cache/used.h"
#include "cache/walk.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"

#define EDITION_BYTES_MAX ((uint64_t)2 << 30)

enum { KEPT_MAX = 256, NOTE_EVERY_MS = 600 * 1000 };

/* What makes a listing another: it is never changed, but replaced. */
struct stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed;
};

struct edition_private {
    struct edition edition;
    struct arena arena;
    atomic_uint uses;
    struct stamp stamp;
    uint64_t turn; /* when it was asked for last */
    atomic_uint_fast64_t noted_ms;
};

struct editions {
    pthread_mutex_t lock;
    struct edition_private *kept[KEPT_MAX];
    unsigned n;
    uint64_t turn;
    uint64_t memory, memory_max; /* of those that are kept */
};

struct editions *editions_open(uint64_t memory_max, struct err *e)
{
    struct editions *all = calloc(1, sizeof(*all));

    if (all == NULL) {
        err_set(e, ERR_NOMEM, "no memory for listings");
        return NULL;
    }
    pthread_mutex_init(&all->lock, NULL);
    all->memory_max = memory_max;
    return all;
}

static void drop(struct edition_private *p)
{
    if (p == NULL || atomic_fetch_sub(&p->uses, 1) != 1)
        return;
    arena_free(&p->arena);
    free(p);
}

void edition_drop(struct edition *ed)
{
    drop(ed != NULL ? ed->private : NULL);
}

void edition_drop_auto(struct edition **ed)
{
    edition_drop(*ed);
    *ed = NULL;
}

void editions_close(struct editions *all)
{
    if (all == NULL)
        return;
    for (unsigned i = 0; i < all->n; i++)
        drop(all->kept[i]);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

/* ---- those that are kept; all->lock is held ---- */

static void forget(struct editions *all, unsigned i)
{
    all->memory -= all->kept[i]->arena.used;
    drop(all->kept[i]);
    all->kept[i] = all->kept[--all->n];
}

static bool is_of(
    const struct edition_private *p, const struct repo *r, const char *commit)
{
    return strcmp(p->edition.repo.folder, r->folder) == 0 &&
           strcmp(p->edition.commit, commit) == 0;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

static struct edition *find(struct editions *all, const struct repo *r,
    const char *commit, const struct stamp *stamp)
{
    for (unsigned i = 0; i < all->n; i++) {
        struct edition_private *p = all->kept[i];

        if (!is_of(p, r, commit))
            continue;
        if (!same_stamp(&p->stamp, stamp)) {
            forget(all, i);
            return NULL;
        }
        p->turn = ++all->turn;
        atomic_fetch_add(&p->uses, 1);
        return &p->edition;
    }
    return NULL;
}

/* The one that was not asked for longest goes first. */
static void make_room(struct editions *all, uint64_t memory)
{
    while (all->n > 0 &&
           (all->n == KEPT_MAX || all->memory + memory > all->memory_max)) {
        unsigned oldest = 0;

        for (unsigned i = 1; i < all->n; i++)
            if (all->kept[i]->turn < all->kept[oldest]->turn)
                oldest = i;
        forget(all, oldest);
    }
}

static void keep(struct editions *all, struct edition_private *p)
{
    pthread_mutex_lock(&all->lock);
    for (unsigned i = 0; i < all->n; i++)
        if (is_of(all->kept[i], &p->edition.repo, p->edition.commit)) {
            forget(all, i);
            break;
        }
    if (p->arena.used <= all->memory_max) {
        make_room(all, p->arena.used);
        p->turn = ++all->turn;
        atomic_fetch_add(&p->uses, 1);
        all->memory += p->arena.used;
        all->kept[all->n++] = p;
    }
    pthread_mutex_unlock(&all->lock);
}

/* ---- one ---- */

static struct edition_private *begin(
    const struct repo *r, const char *commit, struct err *e)
{
    struct edition_private *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a listing");
        return NULL;
    }
    p->arena = (struct arena)ARENA_INIT(EDITION_BYTES_MAX);
    p->edition = (struct edition){ .repo = *r, .whole = true, .private = p };
    snprintf(p->edition.repo.revision, sizeof(p->edition.repo.revision), "%s",
        commit);
    snprintf(p->edition.commit, sizeof(p->edition.commit), "%s", commit);
    atomic_init(&p->uses, 1);
    return p;
}

static void finish(struct edition_private *p, int64_t made)
{
    struct edition *ed = &p->edition;

    ed->made = made;
    ed->bytes = 0;
    for (uint64_t i = 0; i < ed->tree.n; i++)
        if (!size_add(ed->bytes, ed->tree.files[i].size, &ed->bytes))
            ed->bytes = UINT64_MAX;
}

/* What is looked at first: the listing, or the snapshot where there is none. */
static bool take_stamp(const struct hubdir *h, const struct repo *r,
    const char *commit, struct stamp *out, bool *listed)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    struct stat st;

    if (path_fmt(path, &ignored, "%s/%s/trees/%s.json", h->root, r->folder,
            commit) != 0)
        return false;
    *listed = stat(path, &st) == 0;
    if (!*listed && (hubdir_snapshot(h, r, commit, path, &ignored) != 0 ||
                        stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
        return false;
    *out = (struct stamp){ st.st_dev, st.st_ino, st.st_size, st.st_mtim };
    return true;
}

/*
 * A file of a snapshot that has no listing: the name of the blob that it leads
 * to is its digest. What an LFS pointer's digest is follows from its text.
 */
static int pointer_oid(struct tree_file *f, struct err *e)
{
    char text[256];
    int n = snprintf(text, sizeof(text),
        "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize "
        "%llu\n",
        f->sha256.hex, (unsigned long long)f->size);

    return hash_bytes(HASH_GIT_SHA1, text, (size_t)n, &f->oid, e);
}

static int read_entry(const char *root, const struct walk_entry *entry,
    struct tree_file *out, bool *known, struct err *e)
{
    char path[PATH_MAX], target[PATH_MAX];
    struct digest digest;
    struct stat st;
    ssize_t n;

    *known = false;
    if (path_join(path, root, entry->path.p, e) != 0)
        return -1;
    n = readlink(path, target, sizeof(target) - 1);
    if (n <= 0 || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    target[n] = '\0';
    if (!digest_parse(&digest, str_of(path_base(target))))
        return 0;
    *known = true;
    *out = (struct tree_file){ .path = entry->path,
        .size = (uint64_t)st.st_size,
        .lfs = digest.kind == HASH_SHA256 };
    if (!out->lfs) {
        out->oid = digest;
        return 0;
    }
    out->sha256 = digest;
    return pointer_oid(out, e);
}

static int read_snapshot(
    const struct hubdir *h, struct edition_private *p, struct err *e)
{
    struct edition *ed = &p->edition;
    struct walk_entry *found;
    char root[PATH_MAX];
    uint64_t n;

    ed->whole = false;
    if (hubdir_snapshot(h, &ed->repo, ed->commit, root, e) != 0 ||
        walk(root, &p->arena, &found, &n, e) != 0)
        return -1;
    ed->tree.files = arena_alloc(&p->arena, n, sizeof(*ed->tree.files), e);
    if (ed->tree.files == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        bool known;

        if (read_entry(
                root, &found[i], &ed->tree.files[ed->tree.n], &known, e) != 0)
            return -1;
        if (known)
            ed->tree.n++;
        else
            log_debug("%s@%.12s: '%s' is not served: nothing tells its digest",
                ed->repo.id, ed->commit, found[i].path.p);
    }
    return 0;
}

/* A first pull by commit that has not come to its end leaves a mark. */
static bool is_being_pulled(
    const struct hubdir *h, const struct repo *r, const char *commit)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    return path_fmt(path, &ignored, "%s/%s/ml/pulling/%s", h->root, r->folder,
               commit) == 0 &&
           access(path, F_OK) == 0;
}

bool edition_unlisted(
    const struct hubdir *h, const struct repo *r, const char *commit)
{
    struct stamp ignored;
    bool listed;

    return take_stamp(h, r, commit, &ignored, &listed) && !listed &&
           !is_being_pulled(h, r, commit);
}

static int load(const struct hubdir *h, struct edition_private *p, bool listed,
    struct err *e)
{
    struct edition *ed = &p->edition;
    int have =
        listed ? hubdir_tree(h, &ed->repo, ed->commit, &p->arena, &ed->tree, e)
               : HAVE_NOT;

    if (have < 0)
        return -1;
    if (have == HAVE_DAMAGED)
        return err_set(e, ERR_CORRUPT, "the listing of %s@%.12s is damaged",
            ed->repo.id, ed->commit);
    if (have == HAVE)
        return 0;
    return read_snapshot(h, p, e);
}

int edition_held(struct editions *all, const struct hubdir *h,
    const struct repo *r, const char *commit, bool read, struct edition **out,
    struct err *e)
{
    struct edition_private *p;
    struct stamp stamp;
    bool listed;

    *out = NULL;
    if (!take_stamp(h, r, commit, &stamp, &listed) ||
        (!listed && is_being_pulled(h, r, commit)))
        return HAVE_NOT;
    pthread_mutex_lock(&all->lock);
    *out = find(all, r, commit, &stamp);
    pthread_mutex_unlock(&all->lock);
    if (*out != NULL)
        return HAVE;
    if (!read)
        return EDITION_UNREAD;
    p = begin(r, commit, e);
    if (p == NULL)
        return -1;
    p->stamp = stamp;
    if (load(h, p, listed, e) != 0) {
        drop(p);
        return -1;
    }
    finish(p, stamp.changed.tv_sec);
    keep(all, p);
    *out = &p->edition;
    return HAVE;
}

int edition_keep(struct editions *all, const struct repo *r, const char *commit,
    const struct tree *tree, struct edition **out, struct err *e)
{
    struct edition_private *p = begin(r, commit, e);
    struct tree_file *files = NULL;

    *out = NULL;
    if (p != NULL)
        files = arena_alloc(&p->arena, tree->n, sizeof(*files), e);
    for (uint64_t i = 0; files != NULL && i < tree->n; i++) {
        files[i] = tree->files[i];
        files[i].path = arena_str(&p->arena, tree->files[i].path, e);
        if (files[i].path.p == NULL)
            files = NULL;
    }
    if (files == NULL) {
        drop(p);
        return -1;
    }
    p->edition.tree = (struct tree){ files, tree->n };
    finish(p, (int64_t)time(NULL));
    keep(all, p);
    *out = &p->edition;
    return 0;
}

void edition_note_use(const struct edition *ed, const struct hubdir *h)
{
    uint_fast64_t now = clock_ms(), last = atomic_load(&ed->private->noted_ms);

    if ((last != 0 && now - last < NOTE_EVERY_MS) ||
        !atomic_compare_exchange_strong(&ed->private->noted_ms, &last, now))
        return;
    if (used_is_noted(h, &ed->repo, ed->commit))
        used_note(h, &ed->repo, ed->commit);
}

/* ---- its files ---- */

/* The first file whose path is not before this one. */
static uint64_t lower(const struct edition *ed, struct str path)
{
    uint64_t low = 0, high = ed->tree.n;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (str_cmp(ed->tree.files[middle].path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct tree_file *edition_file(const struct edition *ed, struct str path)
{
    uint64_t i = lower(ed, path);

    return i < ed->tree.n && str_eq(ed->tree.files[i].path, path)
               ? &ed->tree.files[i]
               : NULL;
}

/* All names below "a/" stand between "a/" and "a0". */
uint64_t edition_below(
    const struct edition *ed, struct str folder, uint64_t *first)
{
    char edge[PATH_MAX];

    *first = 0;
    if (folder.len == 0)
        return ed->tree.n;
    if (folder.len + 1 >= sizeof(edge))
        return 0;
    memcpy(edge, folder.p, folder.len);
    edge[folder.len] = '/';
    *first = lower(ed, (struct str){ edge, folder.len + 1 });
    edge[folder.len] = '/' + 1;
    return lower(ed, (struct str){ edge, folder.len + 1 }) - *first;
}
