/*
 * Repositories into a volume in object storage, and out of it into a cache.
 *
 * Into it by way of a spool: a hub cache on this machine's disk, of a few
 * gigabytes or the largest single file. The Hub says of most files what their
 * SHA-256 is, but a store wants to know that of each part before the part
 * comes, and of small files the Hub names git's digest alone. And what was
 * interrupted goes on: the spool's downloads are ordinary ones.
 */
#include "fetch/cmd_bucket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cmd.h"
#include "base/file.h"
#include "base/path.h"
#include "bucket/models.h"
#include "fetch/planview.h"
#include "fetch/spooldir.h"

#define ARENA_BYTES ((uint64_t)4 << 30)

enum { OUT_MAX = 1 << 30 };

/* ---- out of a bucket ---- */

struct from_bucket {
    struct bucket b;
    struct arena arena;
    struct model **models; /* of pulls, by their number */
    size_t n;
};

/* 0 would be the client's own time. */
static unsigned retry_of(uint64_t retry_s)
{
    return (unsigned)size_max(retry_s, 1);
}

struct from_bucket *from_bucket_open(
    const char *url, uint64_t retry_s, struct err *e)
{
    struct from_bucket *f = calloc(1, sizeof(*f));

    if (f == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    *f = (struct from_bucket){ .b = BUCKET_INIT,
        .arena = ARENA_INIT(ARENA_BYTES) };
    f->b.opts.retry_s = retry_of(retry_s);
    if (!bucket_is(url)) {
        err_set(e, ERR_USAGE, "--from %s: not s3://BUCKET/PREFIX", url);
        err_hint(e, "a volume of this machine: --volume");
    } else if (bucket_open(&f->b, url, e) == 0) {
        return f;
    }
    from_bucket_close(&f);
    return NULL;
}

void from_bucket_close(struct from_bucket **f)
{
    if (*f == NULL)
        return;
    bucket_close(&(*f)->b);
    arena_free(&(*f)->arena);
    free((*f)->models);
    free(*f);
    *f = NULL;
}

static struct model *model_of(
    struct from_bucket *f, const struct pull *p, struct err *e)
{
    struct model **v;

    if (p->nth > f->n) {
        v = realloc(f->models, p->nth * sizeof(*v));
        if (v == NULL) {
            err_set(e, ERR_NOMEM, "out of memory");
            return NULL;
        }
        for (size_t i = f->n; i < p->nth; i++)
            v[i] = NULL;
        f->models = v;
        f->n = p->nth;
    }
    if (f->models[p->nth - 1] == NULL)
        f->models[p->nth - 1] =
            arena_alloc(&f->arena, 1, sizeof(struct model), e);
    return f->models[p->nth - 1];
}

int from_bucket_plan(struct from_bucket *f, struct pull *p,
    const struct hubdir *dir, struct hub *hub, struct err *e)
{
    struct model *m = model_of(f, p, e);
    struct repo repo = p->repo;

    if (m == NULL)
        return -1;
    if (p->pin_commit != NULL)
        snprintf(repo.revision, sizeof(repo.revision), "%s", p->pin_commit);
    if (models_find(&f->b, &repo, &f->arena, m, e) != 0)
        return -1;
    if (p->pin_commit == NULL) {
        p->pin_commit = m->commit;
        p->pin_tree = &m->tree;
    }
    return pull_plan(p, dir, hub, e);
}

/* The listing goes into the cache with the files, if it is all of it. */
static int note_listing(struct from_bucket *f, struct pull *p, struct err *e)
{
    const struct model *m = f->models[p->nth - 1];
    struct arena arena AUTO(arena_free) = ARENA_INIT(ARENA_BYTES);
    struct tree tree;
    int have;

    if (p->pin_tree != &m->tree)
        return 0;
    have = hubdir_tree(p->dir, &p->repo, p->commit, &arena, &tree, e);
    p->tree_is_new = have != HAVE;
    return have < 0 ? -1 : 0;
}

static int bring_missing(struct from_bucket *f, struct pull *p, struct err *e)
{
    struct progress *progress AUTO(progress_close_auto) = NULL;
    const struct plan *plan = &p->plan;
    const struct tree_file **v =
        arena_alloc(&f->arena, plan->n_fetch, sizeof(*v), e);

    if (v == NULL || hubdir_init(p->dir, e) != 0)
        return -1;
    for (size_t i = 0; i < plan->n_fetch; i++)
        v[i] = plan->files[i].file;
    progress = progress_open(
        p->progress, "fetching", plan->fetch_bytes + plan->kept_bytes, e);
    if (progress == NULL)
        return -1;
    return models_fill(&f->b, f->models[p->nth - 1], p->dir, &p->repo, v,
        plan->n_fetch, progress, e);
}

int from_bucket_bring(struct from_bucket *f, struct pull *p,
    const struct hubdir *dir, struct hub *hub, struct err *e)
{
    uint64_t bytes = p->plan.fetch_bytes + p->plan.kept_bytes;
    bool verify = p->verify, force = p->force;

    if (p->plan.n_fetch > 0) {
        if (pull_check(p, 1, e) != 0 || bring_missing(f, p, e) != 0)
            return -1;
        /* What came was hashed, and what was here before that. */
        pull_free(p);
        p->verify = p->force = false;
        if (pull_plan(p, dir, hub, e) != 0)
            return -1;
        p->verify = verify;
        p->force = force;
    }
    if (note_listing(f, p, e) != 0 || pull_reserve(p, 1, e) != 0 ||
        pull_fetch(p, hub, e) != 0)
        return -1;
    p->fetched_bytes += bytes;
    return 0;
}

/* ---- into one ---- */

/* What came of one. */
struct into_bucket {
    const char *url; /* as the user wrote it */
    struct repo asked;
    char commit[41];
    uint64_t fetched_bytes, sent_bytes, files, bytes;
};

struct spool {
    struct hubdir dir;
    struct hubdir held; /* the hub cache of all tools, which may have it */
    struct spooldir at;
    struct pull *p;
    struct hub *hub;
    uint64_t fetched;
    struct model known; /* what the bucket has of a pinned commit */
    struct arena arena;
};

static void spool_close(struct spool *s)
{
    spooldir_close(&s->at);
    arena_free(&s->arena);
}

static int blob_of(const struct hubdir *dir, const struct spool *s,
    const struct tree_file *t, char *out, struct err *e)
{
    return hubdir_blob(dir, &s->p->repo, tree_etag(t), out, e);
}

/* Does the hub cache have it, whole and right? */
static bool is_held(const struct spool *s, const struct tree_file *t, char *out)
{
    const struct digest *etag = tree_etag(t);
    struct err ignored = ERR_INIT;
    struct digest now;

    return hubdir_have_blob(&s->held, &s->p->repo, t, &ignored) == HAVE &&
           blob_of(&s->held, s, t, out, &ignored) == 0 &&
           file_hash(out, (int)etag->kind, &now, NULL, NULL, &ignored) == 0 &&
           digest_eq(&now, etag);
}

static int fetch_here(struct spool *s, const struct tree *some, struct err *e)
{
    struct pull_set set AUTO(pull_set_free) = PULL_SET_INIT;
    struct pull *q;

    if (some->n == 0)
        return 0;
    if (pull_set_make(&set, 1, e) != 0)
        return -1;
    q = &set.v[0];
    q->repo = s->p->repo;
    q->pin_commit = s->p->commit;
    q->pin_tree = some;
    q->jobs = s->p->jobs;
    q->limit_rate = s->p->limit_rate;
    q->progress = s->p->progress;
    q->offline = s->p->offline;
    if (pull_plan(q, &s->dir, s->hub, e) != 0 || pull_reserve(q, 1, e) != 0 ||
        pull_fetch(q, s->hub, e) != 0)
        return -1;
    s->fetched += q->fetched_bytes;
    return 0;
}

static int spool_bring(void *arg, const uint64_t *at, uint64_t n,
    char (*path)[PATH_MAX], struct err *e)
{
    struct spool *s = arg;
    struct tree some = { .n = 0 };

    some.files = arena_alloc(&s->arena, n, sizeof(*some.files), e);
    if (some.files == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        const struct tree_file *t = &s->p->tree.files[at[i]];

        if (is_held(s, t, path[i]))
            continue;
        if (blob_of(&s->dir, s, t, path[i], e) != 0)
            return -1;
        some.files[some.n++] = *t;
    }
    return fetch_here(s, &some, e);
}

static void spool_done(void *arg, const uint64_t *at, uint64_t n)
{
    struct spool *s = arg;
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    for (uint64_t i = 0; i < n; i++)
        if (blob_of(&s->dir, s, &s->p->tree.files[at[i]], path, &ignored) == 0)
            unlink(path);
}

/* Of a pinned pull: exactly the files of the pin, as the Hub has them. */
static int choose_pinned(
    const struct pull *p, const struct tree *pin, bool *chosen, struct err *e)
{
    uint64_t k = 0;

    for (uint64_t i = 0; i < pin->n; i++) {
        const struct tree_file *want = &pin->files[i];

        while (k < p->tree.n && str_cmp(p->tree.files[k].path, want->path) < 0)
            k++;
        if (k == p->tree.n || !str_eq(p->tree.files[k].path, want->path) ||
            p->tree.files[k].size != want->size ||
            !digest_eq(tree_etag(&p->tree.files[k]), tree_etag(want)))
            return err_set(e, ERR_CORRUPT,
                "%s@%s: '%.*s' is another one than in the lock", p->repo.id,
                p->commit, STR_ARG(want->path));
        chosen[k] = true;
    }
    return 0;
}

static int choose(const struct pull *p, const struct tree *pin, bool *chosen,
    struct into_bucket *out, struct err *e)
{
    if (pin != NULL) {
        if (choose_pinned(p, pin, chosen, e) != 0)
            return -1;
    } else {
        for (size_t i = 0; i < p->plan.n; i++)
            chosen[p->plan.files[i].file - p->tree.files] = true;
    }
    for (uint64_t i = 0; i < p->tree.n; i++) {
        out->files += chosen[i];
        out->bytes += chosen[i] ? p->tree.files[i].size : 0;
    }
    return 0;
}

/*
 * All of the commit's listing is wanted, also where a lock names some. It
 * never changes: if the bucket has it, nobody else is asked.
 */
static int plan_whole(struct spool *s, struct bucket *b, struct err *e)
{
    struct pull *p = s->p;
    struct err why = ERR_INIT;

    p->pin_tree = NULL;
    if (p->pin_commit == NULL)
        return pull_plan(p, &s->held, s->hub, e);
    snprintf(p->repo.revision, sizeof(p->repo.revision), "%s", p->pin_commit);
    p->pin_commit = NULL;
    /* The plan is p's, and leads into it. */
    if (models_find(b, &p->repo, &p->arena, &s->known, &why) == 0) {
        p->pin_commit = s->known.commit;
        p->pin_tree = &s->known.tree;
    } else if (why.kind != ERR_MISSING) {
        *e = why;
        return -1;
    }
    return pull_plan(p, &s->held, s->hub, e);
}

static int into_bucket(
    struct into_bucket *out, struct pull *p, struct hub *hub, struct err *e)
{
    struct bucket b AUTO(bucket_close) = BUCKET_INIT;
    struct spool s AUTO(spool_close) = { .at = SPOOLDIR_INIT,
        .p = p,
        .hub = hub,
        .arena = ARENA_INIT(ARENA_BYTES) };
    const struct tree *pin = p->pin_tree;
    struct models_keep k = { .repo = &out->asked,
        .bring = spool_bring,
        .done = spool_done,
        .arg = &s,
        .pinned = p->pin_commit != NULL,
        .progress = p->progress };
    bool *chosen;

    b.opts.retry_s = retry_of(hub->retry_s);

    if (bucket_open(&b, out->url, e) != 0 || bucket_know(&b, true, e) != 0 ||
        hubdir_default(&s.held, e) != 0 || plan_whole(&s, &b, e) != 0 ||
        spooldir_open(&s.at, b.shown, &p->repo, p->commit, e) != 0 ||
        path_fmt(s.dir.root, e, "%s", s.at.root) != 0)
        return -1;
    chosen = arena_alloc(&s.arena, p->tree.n, sizeof(*chosen), e);
    if (chosen == NULL || choose(p, pin, chosen, out, e) != 0)
        return -1;
    k.commit = p->commit;
    k.tree = &p->tree;
    k.chosen = chosen;
    if (models_keep(&b, &k, &out->sent_bytes, e) != 0)
        return -1;
    memcpy(out->commit, p->commit, sizeof(out->commit));
    out->fetched_bytes = s.fetched;
    return spooldir_remove(&s.at, e);
}

/* ---- several, and what came of them ---- */

static void show_json(struct buf *out, const struct into_bucket *x)
{
    planview_field(out, "repository", x->asked.id);
    buf_puts(out, ", ");
    planview_field(out, "revision", x->asked.revision);
    buf_puts(out, ", ");
    planview_field(out, "commit", x->commit);
    buf_puts(out, ", ");
    planview_field(out, "volume", x->url);
    buf_printf(out,
        ", \"files\": %llu, \"bytes\": %llu, \"fetched_bytes\": %llu, "
        "\"sent_bytes\": %llu}",
        (unsigned long long)x->files, (unsigned long long)x->bytes,
        (unsigned long long)x->fetched_bytes,
        (unsigned long long)x->sent_bytes);
}

/* The nth of several; each name is shown as soon as it is there. */
static int show(struct buf *out, bool json, size_t nth,
    const struct into_bucket *x, struct err *e)
{
    if (json) {
        buf_puts(out, nth > 0 ? ",\n  {" : "[\n  {");
        show_json(out, x);
        return 0;
    }
    buf_printf(out, "%s@%s\n", x->asked.id, x->commit);
    if (cmd_print(out, e) != 0 || cmd_flush(e) != 0)
        return -1;
    buf_clear(out);
    return 0;
}

static int show_end(struct buf *out, bool json, size_t n, struct err *e)
{
    if (json)
        buf_puts(out, n > 0 ? "\n]\n" : "[]\n");
    return cmd_print(out, e);
}

static int no_conversion(const struct repo *r, struct err *e)
{
    return err_set(e, ERR_USAGE,
        "%s@%s: the lock asks for a conversion, which a volume in object "
        "storage has no place for",
        r->id, r->revision);
}

int into_bucket_all(const char *url, struct pull_set *s, struct hub *hub,
    bool json, struct err *e)
{
    struct buf out AUTO(buf_free) = BUF_INIT(OUT_MAX);

    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].convert != CONVERSION_NONE)
            return no_conversion(&s->v[i].repo, e);
    for (size_t i = 0; i < s->n; i++) {
        struct into_bucket x = { .url = url, .asked = s->v[i].repo };

        if (into_bucket(&x, &s->v[i], hub, e) != 0 ||
            show(&out, json, i, &x, e) != 0)
            return -1;
    }
    return show_end(&out, json, s->n, e);
}

/* ---- is all of it there ---- */

int in_bucket(const char *url, const struct lockfile *lock,
    enum progress_mode progress, bool json, struct err *e)
{
    struct bucket b AUTO(bucket_close) = BUCKET_INIT;
    struct buf out AUTO(buf_free) = BUF_INIT(OUT_MAX);

    if (bucket_open(&b, url, e) != 0)
        return -1;
    for (size_t i = 0; i < lock->n; i++) {
        const struct lock_entry *l = &lock->v[i];
        struct into_bucket x = {
            .url = url, .asked = l->repo, .files = l->tree.n
        };

        if (l->convert[0] != '\0')
            return no_conversion(&l->repo, e);
        if (models_prove(&b, &l->repo, l->commit, &l->tree, progress, e) != 0)
            return -1;
        memcpy(x.commit, l->commit, sizeof(x.commit));
        for (uint64_t k = 0; k < l->tree.n; k++)
            x.bytes += l->tree.files[k].size;
        if (show(&out, json, i, &x, e) != 0)
            return -1;
    }
    return show_end(&out, json, lock->n, e);
}
