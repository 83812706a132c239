/*
 * A volume in object storage: commits, listings and refs from its catalogs,
 * bytes by pull's engine, at addresses that the store's client signs.
 *
 * Of small files a listing of the Hub's kind has git's digest alone, and a
 * bucket knows content by its SHA-256: that is in the commit's catalog, of
 * which the digests are kept for the commits that were asked for last.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "bucket/content.h"
#include "bucket/models.h"
#include "serve/digests.h"
#include "serve/provider.h"

enum {
    ANSWER_S = 60,    /* so long its answer may take, however slowly it comes */
    ASK_S = 8,        /* so long a store may be silent, or overloaded */
    UNREAD_MS = 5000, /* a catalog that could not be read is left alone */
    ANEW_MS = 5000,   /* one that lacks a file is read anew */
    READ_MOST = 4     /* catalogs at a time: they may be large */
};

/* One volume, for one question or transfer. */
struct desk {
    struct bucket b;
    bool open;
    struct hub none; /* connections, and no Hub behind them */
};

/* A catalog that is read for its digests, or was read last. */
struct reading {
    char name[DIGESTS_NAME_MAX]; /* digests_name; "": none so far */
    bool busy;
    uint64_t unread_until_ms; /* it could not be, for this reason: */
    struct err why;
    uint64_t wait_s; /* that the store named; or 0 */
};

struct store {
    struct provider provider;
    char *url;
    char name[sizeof(((struct bucket *)NULL)->shown)];
    struct desk asking[PROVIDER_QUESTIONS];
    struct desk fetching[PROVIDER_FETCHES];
    /* Digests, and who reads: each catalog once for all who need it. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* one has been read, or could not be */
    struct digests digests;
    struct reading reading[PROVIDER_FETCHES];
};

/* What is done at a desk, with what it needs. */
struct work {
    int (*run)(struct work *w, struct bucket *b, struct err *e);
    struct store *store;
    unsigned nth;
    const struct repo *repo;
    const char *commit;
    struct arena *arena;
    const struct tree_file *file;
    struct hub_refusal *why;
    bool beginning; /* no client hears of it */
    bool told;      /* it is another one's failure, and the store's wait: */
    uint64_t wait_s;
    char found[41];
    struct model model;
    struct models_ref *refs;
    uint64_t n_refs;
    struct digest sha256;
};

static int open_desk(struct desk *k, const char *url, struct err *e)
{
    if (k->open)
        return 0;
    k->b = (struct bucket)BUCKET_INIT;
    k->b.opts = (struct s3_opts){
        .retry_s = ASK_S, .answer_s = ANSWER_S, .silent_s = ASK_S
    };
    k->open = bucket_open(&k->b, url, e) == 0;
    if (!k->open)
        bucket_close(&k->b);
    return k->open ? 0 : -1;
}

static void close_desk(struct desk *k)
{
    if (k->open)
        bucket_close(&k->b);
    k->open = false;
}

/* Keys that are refused may have been replaced where they came from. */
static bool once_more(struct desk *k, bool fresh, struct err *e)
{
    if (e->kind != ERR_AUTH)
        return false;
    close_desk(k);
    if (!fresh)
        err_clear(e);
    return !fresh;
}

/* What the store says of our keys, and where they are from, is for the log. */
static void keep_to_ourselves(struct err *e)
{
    enum err_kind kind = e->kind;

    log_warn("%s%s%s", e->msg, e->hint[0] != '\0' ? "; " : "", e->hint);
    err_clear(e);
    err_set(
        e, kind, "the store does not give it to this mirror: its log says why");
}

/*
 * What is not said yet: it has been asked, and not answered as it should. A
 * store that answers something is not one that cannot be reached: one bad
 * object, or one repository that takes long, is that one's matter.
 */
static void explain(const struct desk *k, const struct work *w, struct err *e)
{
    uint64_t wait_s = k->open ? s3_last_wait_s(k->b.s3) : 0;

    if (w->told)
        wait_s = w->wait_s;
    w->why->answered = w->told || (k->open && s3_last_status(k->b.s3) != 0);
    if (w->why->status != 0 || e->kind == ERR_NOMEM || e->kind == ERR_CANCELLED)
        return;
    if (e->kind != ERR_NET) {
        w->why->status = 503;
        if (e->kind != ERR_BUSY)
            keep_to_ourselves(e);
        return;
    }
    e->hint[0] = '\0'; /* no client can check this machine's connection */
    if (wait_s > 0) {
        w->why->status = 429;
        w->why->wait_s = wait_s;
    }
}

static int work_at(struct desk *k, struct work *w, struct err *e)
{
    bool fresh;
    int rc;

    *w->why = (struct hub_refusal){ .status = 0 };
    do {
        fresh = !k->open;
        rc = open_desk(k, w->store->url, e) != 0 ? -1 : w->run(w, &k->b, e);
    } while (rc != 0 && once_more(k, fresh, e));
    if (rc != 0 && !w->beginning)
        explain(k, w, e);
    return rc;
}

/* As a Hub says it. -1 */
static int refuse(struct work *w, const char *code)
{
    w->why->status = 404;
    snprintf(w->why->code, sizeof(w->why->code), "%s", code);
    return -1;
}

/* The revision is not there: is anything of the repository? */
static int refuse_revision(struct work *w, struct bucket *b, struct err *e)
{
    struct err why = ERR_INIT;
    bool any;

    if (e->kind != ERR_MISSING || !b->known)
        return -1;
    if (models_any(b, w->repo, &any, &why) == 0)
        return refuse(w, any ? "RevisionNotFound" : "RepoNotFound");
    *e = why;
    return -1;
}

/* ---- what there is ---- */

static int find_commit(struct work *w, struct bucket *b, struct err *e)
{
    return models_commit(b, w->repo, w->found, e) != 0
               ? refuse_revision(w, b, e)
               : 0;
}

static int get_commit(void *self, unsigned nth, const struct repo *r,
    char out[41], struct hub_refusal *why, struct err *e)
{
    struct store *s = self;
    struct work w = { .run = find_commit, .store = s, .repo = r, .why = why };
    int rc = work_at(&s->asking[nth], &w, e);

    memcpy(out, w.found, sizeof(w.found));
    return rc;
}

static int find_model(struct work *w, struct bucket *b, struct err *e)
{
    struct repo at = *w->repo;

    memcpy(at.revision, w->commit, 41);
    return models_find(b, &at, w->arena, &w->model, e) != 0
               ? refuse_revision(w, b, e)
               : 0;
}

static int get_tree(void *self, unsigned nth, const struct repo *r,
    const char *commit, struct arena *arena, struct tree *out,
    struct hub_refusal *why, struct err *e)
{
    struct store *s = self;
    struct work w = { .run = find_model,
        .store = s,
        .repo = r,
        .commit = commit,
        .arena = arena,
        .why = why };
    struct err ignored = ERR_INIT; /* then they are read once more */

    if (work_at(&s->asking[nth], &w, e) != 0)
        return -1;
    pthread_mutex_lock(&s->lock);
    digests_keep(
        &s->digests, r->folder, commit, &w.model.catalog, clock_ms(), &ignored);
    pthread_mutex_unlock(&s->lock);
    *out = w.model.tree;
    return 0;
}

static int find_refs(struct work *w, struct bucket *b, struct err *e)
{
    bool any = true;

    if (models_refs(b, w->repo, w->arena, &w->refs, &w->n_refs, e) != 0 ||
        (w->n_refs == 0 && models_any(b, w->repo, &any, e) != 0))
        return -1;
    if (any)
        return 0;
    err_set(e, ERR_MISSING, "%s: no %s there", b->shown, w->repo->id);
    return refuse(w, "RepoNotFound");
}

static int get_refs(void *self, unsigned nth, const struct repo *r,
    struct arena *arena, struct hub_ref **out, uint64_t *n,
    struct hub_refusal *why, struct err *e)
{
    struct store *s = self;
    struct work w = {
        .run = find_refs, .store = s, .repo = r, .arena = arena, .why = why
    };

    if (work_at(&s->asking[nth], &w, e) != 0)
        return -1;
    *out = arena_alloc(arena, w.n_refs, sizeof(**out), e);
    if (*out == NULL)
        return -1;
    for (*n = 0; *n < w.n_refs; (*n)++) {
        (*out)[*n].name = w.refs[*n].name;
        memcpy((*out)[*n].commit, w.refs[*n].commit, 41);
    }
    return 0;
}

/* ---- which bytes ---- */

static int not_there(
    const struct work *w, const struct bucket *b, struct err *e)
{
    w->why->status = 503;
    err_set(e, ERR_MISSING, "%s: '%.*s' of %s@%.12s is not in it", b->shown,
        STR_ARG(w->file->path), w->repo->id, w->commit);
    return err_hint(e, "mlfetch pull %s@%s --volume %s brings it there",
        w->repo->id, w->commit, b->shown);
}

static int read_catalog(struct work *w, struct bucket *b, struct arena *arena,
    struct model *out, struct err *e)
{
    struct repo at = *w->repo;

    memcpy(at.revision, w->commit, 41);
    return models_find(b, &at, arena, out, e);
}

/* Under the lock: 1 found, -1 with *e: it is not; 0: nobody knows. */
static int look(struct work *w, struct bucket *b, struct err *e)
{
    struct store *s = w->store;
    uint64_t read_ms = 0;

    if (digests_find(&s->digests, w->repo->folder, w->commit, &w->file->oid,
            &w->sha256, &read_ms))
        return 1;
    return read_ms != 0 && clock_ms() < read_ms + ANEW_MS ? not_there(w, b, e)
                                                          : 0;
}

/* Under the lock: 0: nobody reads it; 1: somebody does, or too many read;
 * -1 with *e: it could not be read a moment ago. */
static int others(struct work *w, const char *name, struct err *e)
{
    const struct store *s = w->store;
    uint64_t now = clock_ms();
    unsigned busy = 0;

    for (size_t i = 0; i < PROVIDER_FETCHES; i++) {
        const struct reading *r = &s->reading[i];
        bool same = strcmp(r->name, name) == 0;

        if (r->busy && same)
            return 1;
        busy += r->busy;
        if (same && now < r->unread_until_ms) {
            *e = r->why;
            w->told = true;
            w->wait_s = r->wait_s;
            return -1;
        }
    }
    return busy >= READ_MOST;
}

/* With the lock held, but for the time of reading. */
static int read_anew(
    struct work *w, struct bucket *b, const char *name, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct store *s = w->store;
    struct reading *me = &s->reading[w->nth];
    struct model m;
    int rc;

    *me = (struct reading){ .busy = true };
    snprintf(me->name, sizeof(me->name), "%s", name);
    pthread_mutex_unlock(&s->lock);
    rc = read_catalog(w, b, &arena, &m, e);
    pthread_mutex_lock(&s->lock);
    me->busy = false;
    pthread_cond_broadcast(&s->changed);
    if (rc == 0)
        rc = digests_keep(
            &s->digests, w->repo->folder, w->commit, &m.catalog, clock_ms(), e);
    /* Keys that are refused are read again: that is no news of the catalog. */
    if (rc != 0 && e->kind != ERR_AUTH && e->kind != ERR_CANCELLED) {
        me->why = *e;
        me->unread_until_ms = clock_ms() + UNREAD_MS;
        me->wait_s = s3_last_wait_s(b->s3);
    }
    return rc;
}

/* The SHA-256 of a small file. */
static int look_up(struct work *w, struct bucket *b, struct err *e)
{
    struct store *s = w->store;
    char name[DIGESTS_NAME_MAX];
    bool read = false;
    int rc;

    digests_name(name, w->repo->folder, w->commit);
    pthread_mutex_lock(&s->lock);
    while ((rc = look(w, b, e)) == 0) {
        int busy = others(w, name, e);

        if (busy > 0) {
            pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        rc = busy < 0 || read ? -1 : read_anew(w, b, name, e);
        if (rc != 0)
            break;
        read = true;
    }
    pthread_mutex_unlock(&s->lock);
    if (rc < 0 && e->kind == ERR_NONE)
        return not_there(w, b, e);
    return rc > 0 ? 0 : -1;
}

/* The object itself is asked: that teaches the client how to sign, too. */
static int find_content(struct work *w, struct bucket *b, struct err *e)
{
    bool there = false;

    w->sha256 = w->file->sha256;
    if ((!w->file->lfs && look_up(w, b, e) != 0) ||
        content_there(
            b, b->s3, CONTENT_BLOB, &w->sha256, w->file->size, &there, e) != 0)
        return -1;
    return there ? 0 : not_there(w, b, e);
}

/* Where one content is. */
struct address {
    struct bucket *b;
    const struct digest *sha256;
    bool told;
};

/* As they are by now where they come from. */
static int renew_keys(struct bucket *b, struct err *e)
{
    struct s3_site now AUTO(s3_site_free) = S3_SITE_INIT;

    if (s3_site_find(&now, NULL, e) != 0)
        return -1;
    b->site.cred = now.cred;
    return 0;
}

/* An address that is good no more may be one of keys that are not, either. */
static int locate(void *arg, struct buf *url, struct err *e)
{
    struct address *a = arg;
    bool again = a->told;

    a->told = true;
    if ((!again || renew_keys(a->b, e) == 0) &&
        content_url(a->b, a->sha256, url, e) == 0)
        return 0;
    keep_to_ourselves(e);
    return -1;
}

static int fetch(void *self, unsigned nth, struct single *one,
    struct hub_refusal *why, struct err *e)
{
    struct store *s = self;
    struct desk *k = &s->fetching[nth];
    struct work w = { .run = find_content,
        .store = s,
        .nth = nth,
        .repo = one->repo,
        .commit = one->commit,
        .file = one->file,
        .why = why };
    struct address at = { &k->b, &w.sha256, false };
    struct locator locator = { locate, &at };

    if (work_at(k, &w, e) != 0)
        return -1;
    /* What fails from here on is this file's matter. */
    why->answered = true;
    k->none.token_known = true;
    k->none.connections = one->jobs;
    k->none.retry_s = PROVIDER_RETRY_S;
    one->locator = &locator;
    if (single_fetch(one, &k->none, e) == 0)
        return 0;
    if (e->kind == ERR_CORRUPT) {
        e->hint[0] = '\0';
        err_hint(e,
            "mlcache verify --volume %s sets aside what is damaged "
            "there; mlfetch pull --volume brings it anew",
            k->b.shown);
    }
    return -1;
}

/* ---- life ---- */

static void close_store(void *self)
{
    struct store *s = self;

    for (unsigned i = 0; i < PROVIDER_QUESTIONS; i++)
        close_desk(&s->asking[i]);
    for (unsigned i = 0; i < PROVIDER_FETCHES; i++) {
        close_desk(&s->fetching[i]);
        hub_free(&s->fetching[i].none);
    }
    digests_free(&s->digests);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s->url);
    free(s);
}

static int find_volume(struct work *w, struct bucket *b, struct err *e)
{
    (void)w;
    return bucket_need(b, e);
}

/* What is held is served without it, but a wrong name is told at once. */
static int look_for(struct store *s, struct err *e)
{
    struct hub_refusal why;
    struct work w = {
        .run = find_volume, .store = s, .why = &why, .beginning = true
    };

    if (work_at(&s->asking[0], &w, e) == 0)
        return 0;
    if (e->kind != ERR_NET)
        return -1;
    log_warn("%s; what is held is served", e->msg);
    err_clear(e);
    return 0;
}

struct provider *provider_bucket(const char *url, struct err *e)
{
    struct store *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->digests = (struct digests)DIGESTS_INIT;
    s->url = strdup(url);
    if (s->url == NULL)
        err_set(e, ERR_NOMEM, "out of memory");
    if (s->url == NULL || look_for(s, e) != 0) {
        close_store(s);
        return NULL;
    }
    memcpy(s->name, s->asking[0].b.shown, sizeof(s->name));
    s->provider = (struct provider){ .self = s,
        .name = s->name,
        .commit = get_commit,
        .tree = get_tree,
        .refs = get_refs,
        .fetch = fetch,
        .close = close_store };
    return &s->provider;
}
