#include "bucket/models.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "bucket/content.h"
#include "bucket/intent.h"
#include "cache/listing.h"

/* So much lies on this machine at a time, or a single file. */
#define GROUP_BYTES ((uint64_t)2 << 30)

enum {
    REF_MAX = 512,
    KEEP_TRIES = 8,
    GROUP_FILES = 1024,      /* their paths are in memory */
    BRANCH_MAX = 256 << 10,  /* its catalog has no files */
    BRANCH_ARENA = 256 << 20 /* but a list of moves */
};

static int ref_of(char out[REF_MAX], const struct repo *r, const char *revision)
{
    return snprintf(out, REF_MAX, "hub/%s/%s", r->folder, revision);
}

/* ---- what there is ---- */

static int tree_of(const struct catalog *c, struct arena *arena,
    struct tree *out, struct err *e)
{
    struct listing l AUTO(listing_free) = LISTING_INIT;

    for (uint64_t i = 0; i < c->n; i++) {
        const struct catalog_file *f = &c->files[i];
        struct tree_file t = { .path = f->name,
            .size = f->size,
            .oid = f->oid,
            .lfs = f->lfs,
            .sha256 = f->sha256 };

        if (tree_etag(&t)->hex[0] == '\0')
            return err_set(
                e, ERR_CORRUPT, "'%.*s' has no digest", STR_ARG(f->name));
        if (listing_put(&l, &t, e) != 0)
            return -1;
    }
    return listing_end(&l, arena, out, e);
}

static int not_there(
    const struct bucket *b, const struct repo *r, struct err *e)
{
    err_set(e, ERR_MISSING, "%s: no %s@%s there", b->shown, r->id, r->revision);
    return err_hint(e, "mlfetch pull %s@%s --volume %s brings it there", r->id,
        r->revision, b->shown);
}

/* "": it is none. */
static int branch_of(struct bucket *b, const struct repo *r,
    const char *revision, char out[41], struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(BRANCH_ARENA);
    struct catalog branch;
    char ref[REF_MAX];

    ref_of(ref, r, revision);
    if (names_load(b, ref, &arena, &branch, NULL, e) != 0)
        return -1;
    memcpy(out, branch.commit, 41);
    return 0;
}

int models_commit(
    struct bucket *b, const struct repo *r, char out[41], struct err *e)
{
    if (bucket_need(b, e) != 0)
        return -1;
    if (repo_is_commit(r->revision)) {
        memcpy(out, r->revision, 41);
        return 0;
    }
    if (branch_of(b, r, r->revision, out, e) != 0)
        return -1;
    return out[0] != '\0' ? 0 : not_there(b, r, e);
}

int models_find(struct bucket *b, const struct repo *r, struct arena *arena,
    struct model *out, struct err *e)
{
    char ref[REF_MAX];

    *out = (struct model){ .commit = "" };
    if (models_commit(b, r, out->commit, e) != 0)
        return -1;
    ref_of(ref, r, out->commit);
    if (names_load(b, ref, arena, &out->catalog, NULL, e) != 0)
        return -1;
    if (out->catalog.commit[0] == '\0')
        return not_there(b, r, e);
    if (tree_of(&out->catalog, arena, &out->tree, e) != 0)
        return err_ctx(e, "%s: %s@%s", b->shown, r->id, out->commit);
    return 0;
}

/* Names below the repository's, and until when they may be asked about. */
struct refs {
    struct arena *arena;
    struct str *v; /* each whole */
    uint64_t n;
    size_t front;
    uint64_t end_ms; /* 0: for ever */
};

static int list_refs(
    struct bucket *b, const struct repo *r, struct refs *out, struct err *e)
{
    char below[REF_MAX];

    out->front = (size_t)ref_of(below, r, "");
    out->end_ms =
        b->opts.answer_s > 0 ? clock_ms() + b->opts.answer_s * 1000u : 0;
    return bucket_need(b, e) != 0
               ? -1
               : tip_names(b, below, out->arena, &out->v, &out->n, e);
}

static int check_time(const struct bucket *b, const struct repo *r,
    const struct refs *refs, struct err *e)
{
    if (refs->end_ms == 0 || clock_ms() < refs->end_ms)
        return 0;
    return err_set(e, ERR_BUSY,
        "%s: it takes too long to ask for all branches of %s", b->shown, r->id);
}

/* Does this ref name a commit? One that was emptied has no files. */
static int is_living(struct bucket *b, const struct repo *r, const char *name,
    bool *out, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    char ref[REF_MAX], commit[41];
    struct tip tip;

    ref_of(ref, r, name);
    if (tip_read(b, ref, &arena, &tip, e) != 0)
        return -1;
    *out = false;
    for (size_t i = 0; i < tip.n; i++)
        *out = *out || tip.sides[i].size > BRANCH_MAX;
    if (*out || tip.n == 0)
        return 0;
    if (branch_of(b, r, name, commit, e) != 0)
        return -1;
    *out = commit[0] != '\0';
    return 0;
}

int models_any(struct bucket *b, const struct repo *r, bool *out, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct refs refs = { .arena = &arena };

    *out = false;
    if (list_refs(b, r, &refs, e) != 0)
        return -1;
    for (uint64_t i = 0; i < refs.n && !*out; i++)
        if (check_time(b, r, &refs, e) != 0 ||
            is_living(b, r, refs.v[i].p + refs.front, out, e) != 0)
            return -1;
    return 0;
}

/* Those of branches and tags to the front; each is a question. */
static int leave_out_commits(const struct bucket *b, const struct repo *r,
    struct refs *refs, struct err *e)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < refs->n; i++)
        if (!repo_is_commit(refs->v[i].p + refs->front))
            refs->v[n++] = refs->v[i];
    refs->n = n;
    if (n <= MODELS_REFS_MAX)
        return 0;
    return err_set(e, ERR_REFUSED, "%s: %s has more than %d branches and tags",
        b->shown, r->id, MODELS_REFS_MAX);
}

int models_refs(struct bucket *b, const struct repo *r, struct arena *arena,
    struct models_ref **out, uint64_t *n, struct err *e)
{
    struct refs refs = { .arena = arena };

    *n = 0;
    if (list_refs(b, r, &refs, e) != 0 ||
        leave_out_commits(b, r, &refs, e) != 0)
        return -1;
    *out = arena_alloc(arena, refs.n, sizeof(**out), e);
    if (*out == NULL)
        return -1;
    for (uint64_t i = 0; i < refs.n; i++) {
        struct models_ref *ref = *out + *n;

        ref->name = str_of(refs.v[i].p + refs.front);
        if (check_time(b, r, &refs, e) != 0 ||
            branch_of(b, r, ref->name.p, ref->commit, e) != 0)
            return -1;
        *n += ref->commit[0] != '\0';
    }
    return 0;
}

/* ---- into the bucket ---- */

struct keeping {
    struct bucket *b;
    const struct models_keep *k;
    char was[41]; /* what the revision was */
    struct catalog seen;
    struct catalog_file *files; /* of the tree, in its order */
    struct intent claim;
    uint64_t brought;
    struct arena arena;
};

static void keeping_free(struct keeping *w)
{
    intent_drop(&w->claim);
    arena_free(&w->arena);
}

static int start_files(struct keeping *w, struct err *e)
{
    const struct tree *tree = w->k->tree;

    w->files = arena_alloc(&w->arena, tree->n, sizeof(*w->files), e);
    if (w->files == NULL)
        return -1;
    for (uint64_t i = 0; i < tree->n; i++) {
        const struct tree_file *t = &tree->files[i];
        const struct catalog_file *was = catalog_find(&w->seen, t->path);
        struct catalog_file *f = &w->files[i];

        *f = (struct catalog_file){
            .name = t->path, .size = t->size, .oid = t->oid, .lfs = t->lfs
        };
        if (t->lfs)
            f->sha256 = t->sha256;
        /* git's digest is the same: so are the bytes. */
        if (was != NULL && !t->lfs && digest_eq(&was->oid, &t->oid) &&
            was->size == t->size)
            f->sha256 = was->sha256;
    }
    return 0;
}

static int claim_known(struct keeping *w, struct err *e)
{
    uint64_t n = w->k->tree->n, count = 0;
    const struct digest **v = arena_alloc(&w->arena, n, sizeof(*v), e);

    if (v == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (w->files[i].sha256.hex[0] != '\0')
            v[count++] = &w->files[i].sha256;
    return intent_add(&w->claim, w->b, v, count, e);
}

/* The bucket itself is asked, also for what its listing says it has. */
static int find_held(struct keeping *w, struct err *e)
{
    uint64_t n = w->k->tree->n, count = 0;
    struct catalog_file **v = arena_alloc(&w->arena, n, sizeof(*v), e);

    if (v == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct catalog_file *f = &w->files[i];
        const struct catalog_file *was = catalog_find(&w->seen, f->name);

        if (f->sha256.hex[0] != '\0' &&
            (w->k->chosen[i] || (was != NULL && was->held)))
            v[count++] = f;
    }
    return content_held(w->b, v, count, e);
}

/* Are these the bytes that the listing speaks of? */
static int check_brought(const struct tree_file *t, const char *path,
    const struct catalog_file *f, struct err *e)
{
    struct digest oid;

    if (t->lfs)
        oid = f->sha256;
    else if (file_hash(path, HASH_GIT_SHA1, &oid, NULL, NULL, e) != 0)
        return -1;
    if (digest_eq(&oid, tree_etag(t)))
        return 0;
    return err_set(e, ERR_CORRUPT, "%s: it is not '%.*s' of the listing (%s)",
        path, STR_ARG(t->path), tree_etag(t)->hex);
}

static int send_shown(
    struct keeping *w, struct content_file *v, uint64_t n, struct err *e)
{
    struct progress *progress AUTO(progress_close_auto) = NULL;
    uint64_t bytes = 0;

    for (uint64_t i = 0; i < n; i++)
        bytes += v[i].out->size;
    progress = progress_open(w->k->progress, "sending", bytes, e);
    return progress == NULL ? -1 : content_send(w->b, v, n, progress, e);
}

static int send_group(
    struct keeping *w, const uint64_t *at, uint64_t n, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    char(*path)[PATH_MAX] = arena_alloc(&arena, n, sizeof(*path), e);
    struct content_file *v = arena_alloc(&arena, n, sizeof(*v), e);
    const struct digest **sums = arena_alloc(&arena, n, sizeof(*sums), e);

    if (path == NULL || v == NULL || sums == NULL ||
        w->k->bring(w->k->arg, at, n, path, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct str shown = arena_str(&arena, w->files[at[i]].name, e);

        if (shown.p == NULL)
            return -1;
        v[i] = (struct content_file){
            .file = path[i], .shown = shown.p, .out = &w->files[at[i]]
        };
        sums[i] = &w->files[at[i]].sha256;
    }
    if (content_hash(v, n, NULL, &arena, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (check_brought(&w->k->tree->files[at[i]], path[i], v[i].out, e) != 0)
            return -1;
    if (intent_add(&w->claim, w->b, sums, n, e) != 0 ||
        send_shown(w, v, n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        w->brought += v[i].copied ? v[i].out->size : 0;
        v[i].out->pieces = NULL; /* nobody streams these; they are dropped */
    }
    w->k->done(w->k->arg, at, n);
    return 0;
}

static int send_rest(struct keeping *w, struct err *e)
{
    uint64_t n = w->k->tree->n, count = 0, bytes = 0;
    uint64_t *at = arena_alloc(&w->arena, n, sizeof(*at), e);

    if (at == NULL)
        return -1;
    for (uint64_t i = 0; i <= n; i++) {
        bool wanted = i < n && w->k->chosen[i] && !w->files[i].held;

        if (count > 0 &&
            (i == n || count == GROUP_FILES ||
                (wanted && w->files[i].size > GROUP_BYTES - bytes))) {
            if (send_group(w, at, count, e) != 0)
                return -1;
            count = bytes = 0;
        }
        if (!wanted)
            continue;
        at[count++] = i;
        bytes = size_min(GROUP_BYTES, bytes + w->files[i].size);
    }
    return 0;
}

static int moved_often(const struct keeping *w, struct err *e)
{
    return err_set(e, ERR_BUSY, "%s: others bring %s at the same time",
        w->b->shown, w->k->repo->id);
}

/* The commit's listing; others may have brought other files of it. */
static int name_commit(struct keeping *w, struct err *e)
{
    char ref[REF_MAX];
    struct names_change change = {
        .ref = ref, .what = "pull", .commit = w->k->commit, .seen = &w->seen
    };
    struct tip head;
    uint64_t number;

    ref_of(ref, w->k->repo, w->k->commit);
    change.files =
        arena_alloc(&w->arena, w->k->tree->n, sizeof(*change.files), e);
    if (change.files == NULL)
        return -1;
    for (int tries = 0; tries < KEEP_TRIES; tries++) {
        change.n = 0;
        for (uint64_t i = 0; i < w->k->tree->n; i++) {
            const struct catalog_file *was =
                catalog_find(&w->seen, w->files[i].name);

            if (w->files[i].held || was == NULL)
                change.files[change.n++] = w->files[i];
        }
        if (names_commit(w->b, &change, &number, e) == 0)
            return 0;
        if (e->kind != ERR_BUSY)
            return -1;
        err_clear(e);
        if (names_load(w->b, ref, &w->arena, &w->seen, &head, e) != 0)
            return -1;
    }
    return moved_often(w, e);
}

/*
 * A branch is what it was when this began, was removed, or has the commit:
 * else another pull has asked the Hub later.
 */
static int name_revision(struct keeping *w, struct err *e)
{
    const struct repo *r = w->k->repo;
    char ref[REF_MAX], now[41];
    struct names_change change = { .ref = ref,
        .what = "pull",
        .commit = w->k->commit,
        .only = now,
        .all = true };
    uint64_t number = 0;

    if (repo_is_commit(r->revision))
        return 0;
    ref_of(ref, r, r->revision);
    for (int tries = 0; tries < KEEP_TRIES && number == 0; tries++) {
        if (branch_of(w->b, r, r->revision, now, e) != 0)
            return -1;
        if (strcmp(now, w->k->commit) == 0)
            return 0;
        if (!w->k->pinned && now[0] != '\0' && strcmp(now, w->was) != 0) {
            log_warn("%s: another pull has brought %s@%s meanwhile, which is "
                     "%s by then: it stays so, and %s is there, too",
                w->b->shown, r->id, r->revision, now, w->k->commit);
            return 0;
        }
        if (names_commit(w->b, &change, &number, e) != 0)
            return -1;
    }
    return number > 0 ? 0 : moved_often(w, e);
}

/*
 * The listing may be taken away before the branch that leads there is written,
 * and who takes it has not seen the branch: then both are written again.
 */
static int name_both(struct keeping *w, struct err *e)
{
    char ref[REF_MAX];
    struct tip head;

    ref_of(ref, w->k->repo, w->k->commit);
    for (int tries = 0; tries < KEEP_TRIES; tries++) {
        if (name_commit(w, e) != 0 || name_revision(w, e) != 0 ||
            names_load(w->b, ref, &w->arena, &w->seen, &head, e) != 0)
            return -1;
        if (w->seen.commit[0] != '\0')
            return 0;
    }
    return err_set(e, ERR_BUSY, "%s: others remove %s at the same time",
        w->b->shown, w->k->repo->id);
}

static int keep(struct keeping *w, struct err *e)
{
    char ref[REF_MAX];
    struct tip head;
    uint64_t bytes = 0;

    ref_of(ref, w->k->repo, w->k->commit);
    if (bucket_know(w->b, true, e) != 0 ||
        (!repo_is_commit(w->k->repo->revision) &&
            branch_of(w->b, w->k->repo, w->k->repo->revision, w->was, e) !=
                0) ||
        names_load(w->b, ref, &w->arena, &w->seen, &head, e) != 0 ||
        start_files(w, e) != 0 || claim_known(w, e) != 0 ||
        find_held(w, e) != 0)
        return -1;
    for (uint64_t i = 0; i < w->k->tree->n; i++)
        if (w->k->chosen[i] && !w->files[i].held)
            bytes += w->files[i].size;
    log_debug("%s: %llu bytes of %s are to be brought", w->b->shown,
        (unsigned long long)bytes, w->k->repo->id);
    return send_rest(w, e) != 0 ? -1 : name_both(w, e);
}

int models_keep(struct bucket *b, const struct models_keep *k,
    uint64_t *brought, struct err *e)
{
    struct keeping w AUTO(keeping_free) = { .b = b,
        .k = k,
        .claim = INTENT_INIT,
        .arena = ARENA_INIT(NAMES_ARENA_MAX) };
    int rc = keep(&w, e);

    *brought = w.brought;
    return rc;
}

/* ---- out of it ---- */

static int not_held(const struct bucket *b, const struct model *m,
    const struct repo *r, struct str path, struct err *e)
{
    err_set(e, ERR_MISSING, "%s: '%.*s' of %s@%s is not in it", b->shown,
        STR_ARG(path), r->id, m->commit);
    return err_hint(e, "mlfetch pull %s@%s --volume %s brings it there", r->id,
        m->commit, b->shown);
}

static int fill_one(struct bucket *b, const struct catalog_file *f,
    const struct hubdir *dir, const struct repo *r, const struct tree_file *t,
    struct progress *progress, struct err *e)
{
    struct file_new new AUTO(file_new_abandon) = FILE_NEW_INIT;
    const struct digest *etag = tree_etag(t);
    char path[PATH_MAX], journal[PATH_MAX], work[PATH_MAX], blobs[PATH_MAX];
    struct progress_item *item;
    struct digest now;

    if (hubdir_blob(dir, r, etag, path, e) != 0 ||
        hubdir_journal(dir, r, etag, journal, e) != 0)
        return -1;
    path_dir(work, sizeof(work), journal);
    path_dir(blobs, sizeof(blobs), path);
    if (dir_make(work, e) != 0 || dir_make(blobs, e) != 0 ||
        file_new_begin_in(&new, work, path, e) != 0)
        return -1;
    item = progress_item(progress, path_base(path), f->size);
    if (content_fetch(b, f, new.fd, new.tmp, item, e) != 0)
        return -1;
    if (!t->lfs) {
        if (file_hash(new.tmp, HASH_GIT_SHA1, &now, NULL, NULL, e) != 0)
            return -1;
        if (!digest_eq(&now, &t->oid))
            return err_set(e, ERR_CORRUPT,
                "%s: what it has as '%.*s' is not %s", b->shown,
                STR_ARG(t->path), t->oid.hex);
    }
    progress_done(item);
    return file_new_commit(&new, hubdir_mode(), e);
}

int models_fill(struct bucket *b, const struct model *m,
    const struct hubdir *dir, const struct repo *r,
    const struct tree_file *const *v, uint64_t n, struct progress *progress,
    struct err *e)
{
    for (uint64_t i = 0; i < n; i++) {
        const struct tree_file *t = v[i];
        const struct catalog_file *f = catalog_find(&m->catalog, t->path);
        int lock AUTO(fd_close) = -1;

        if (f == NULL || !f->held || f->size != t->size ||
            strcmp(t->lfs ? f->sha256.hex : f->oid.hex, tree_etag(t)->hex) != 0)
            return not_held(b, m, r, t->path, e);
        lock = hubdir_lock(dir, r, tree_etag(t), e);
        if (lock < 0 || fill_one(b, f, dir, r, t, progress, e) != 0)
            return -1;
    }
    return 0;
}
