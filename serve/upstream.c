#include "serve/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "cache/lease.h"
#include "serve/asking.h"
#include "serve/doubt.h"
#include "serve/feed_make.h"
#include "serve/reflist.h"

enum {
    BRANCHES_MAX = 8,
    BRANCH_MS = 30000, /* so long a branch is believed to stay, and a list */
    HELD_MS = 2000,    /* so long is waited where one is held */
    KEPT_MS = 2000     /* who waited for the same listing finds it kept */
};

struct upstream {
    struct supplier supplier;
    const struct provider *from;
    const struct hubdir *dir;
    struct asking *asking;
    struct flows *flows;
    struct reflist refs;
    _Atomic uint64_t doubt_until_ms; /* of all: one could not be noted */
};

/* A question. It may outlive who asks. */
struct inquiry {
    struct question question; /* first: found by its address */
    struct upstream *u;
    struct repo repo;
    char commit[41];
};

/* "KIND FOLDER WHAT": a folder's name says the type, too. */
static void name(char key[MEMO_KEY_MAX], const char *kind, const struct repo *r,
    const char *what)
{
    snprintf(key, MEMO_KEY_MAX, "%s %s %s", kind, r->folder, what);
}

static struct inquiry inquire(struct upstream *u, const struct repo *r,
    const char *kind, const char *what, struct question question)
{
    struct inquiry i = { .question = question, .u = u, .repo = *r };

    name(i.question.key, kind, r, what);
    return i;
}

static void drop(struct question *q)
{
    free(q);
}

/* Where something is held that can stand in for the answer. */
static int put_soon(
    struct inquiry *i, char out[41], enum lack *lack, struct err *e)
{
    struct inquiry *lasting = malloc(sizeof(*lasting));

    *lack = LACK_FAULT;
    if (lasting == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    *lasting = *i;
    lasting->question.drop = drop;
    return asking_put_soon(
        i->u->asking, &lasting->question, HELD_MS, out, lack, e);
}

/* ---- which commit ---- */

static int ask_commit(struct question *q, unsigned nth, struct err *e)
{
    struct inquiry *i = (struct inquiry *)q;
    const struct provider *from = i->u->from;

    return from->commit(from->self, nth, &i->repo, q->commit, &q->refusal, e);
}

static int get_commit(void *self, const struct repo *r, enum supply_wait how,
    char out[41], enum lack *lack, struct err *e)
{
    struct upstream *u = self;
    struct inquiry i = inquire(u, r, "commit", r->revision,
        (struct question){ .good_ms = BRANCH_MS, .ask = ask_commit });
    struct err ignored = ERR_INIT;
    int rc;

    if (how != SUPPLY_NOW && hubdir_ref(u->dir, r, out, &ignored) == HAVE)
        return put_soon(&i, out, lack, e);
    rc = asking_put(u->asking, &i.question, how == SUPPLY_LONG, lack, e);
    if (rc == 0)
        memcpy(out, i.question.commit, 41);
    return rc;
}

/* ---- which files ---- */

/* Not while somebody removes what is there. */
static int keep_tree(
    const struct inquiry *i, const struct tree *tree, struct err *e)
{
    struct lease lease AUTO(lease_free) = LEASE_INIT;
    char path[PATH_MAX];

    if (hubdir_init(i->u->dir, e) != 0 ||
        lease_of_repo(i->u->dir, &i->repo, path, e) != 0 ||
        lease_hold(&lease, path, true, e) != 0)
        return -1;
    return hubdir_set_tree(i->u->dir, &i->repo, i->commit, tree, e);
}

static int ask_tree(struct question *q, unsigned nth, struct err *e)
{
    struct inquiry *i = (struct inquiry *)q;
    const struct provider *from = i->u->from;
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)2 << 30);
    struct tree tree;

    if (from->tree(from->self, nth, &i->repo, i->commit, &arena, &tree,
            &q->refusal, e) != 0)
        return -1;
    return keep_tree(i, &tree, e);
}

static int put_tree(
    struct inquiry *i, enum supply_wait how, enum lack *lack, struct err *e)
{
    char none[41];

    if (how != SUPPLY_NOW && edition_unlisted(i->u->dir, &i->repo, i->commit))
        return put_soon(i, none, lack, e);
    return asking_put(i->u->asking, &i->question, how == SUPPLY_LONG, lack, e);
}

/* What came a moment ago may have been removed since. */
static int get_tree(void *self, const struct repo *r, const char *commit,
    enum supply_wait how, struct arena *arena, struct tree *out,
    enum lack *lack, struct err *e)
{
    struct upstream *u = self;
    struct inquiry i = inquire(u, r, "tree", commit,
        (struct question){ .good_ms = KEPT_MS, .ask = ask_tree });
    int rc;

    memcpy(i.commit, commit, sizeof(i.commit));
    for (int tries = 0; tries < 2; tries++) {
        rc = put_tree(&i, how, lack, e);
        if (rc != 0)
            return rc;
        rc = hubdir_tree(u->dir, r, commit, arena, out, e);
        if (rc == HAVE)
            return 0;
        err_clear(e);
        asking_forget(u->asking, i.question.key);
    }
    *lack = LACK_LIMIT;
    return err_set(e, ERR_BUSY,
        "the listing of %s@%.12s is removed again and again", r->id, commit);
}

/* ---- branches and tags ---- */

static int ask_refs(struct question *q, unsigned nth, struct err *e)
{
    struct inquiry *i = (struct inquiry *)q;
    const struct provider *from = i->u->from;
    struct arena arena AUTO(arena_free) = ARENA_INIT(REFLIST_BYTES);
    struct supply_ref *refs;
    struct hub_ref *found;
    uint64_t n;

    if (from->refs(
            from->self, nth, &i->repo, &arena, &found, &n, &q->refusal, e) != 0)
        return -1;
    refs = arena_alloc(&arena, n, sizeof(*refs), e);
    if (refs == NULL)
        return -1;
    for (uint64_t k = 0; k < n; k++) {
        refs[k].name = found[k].name;
        memcpy(refs[k].commit, found[k].commit, 41);
    }
    return reflist_keep(
        &i->u->refs, &i->repo, refs, n, clock_ms(), BRANCH_MS, e);
}

static bool holds_refs(const struct upstream *u, const struct repo *r)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    return path_fmt(path, &ignored, "%s/%s/refs", u->dir->root, r->folder) ==
               0 &&
           access(path, F_OK) == 0;
}

static int get_refs(void *self, const struct repo *r, enum supply_wait how,
    struct arena *arena, struct supply_ref **out, uint64_t *n, enum lack *lack,
    struct err *e)
{
    struct upstream *u = self;
    struct inquiry i = inquire(u, r, "refs", "",
        (struct question){ .good_ms = KEPT_MS, .ask = ask_refs });
    int rc = reflist_find(&u->refs, r, clock_ms(), arena, out, n, e);
    char none[41];

    *lack = LACK_FAULT;
    if (rc != 0)
        return rc > 0 ? 0 : -1;
    if (how != SUPPLY_NOW && holds_refs(u, r))
        rc = put_soon(&i, none, lack, e);
    else
        rc = asking_put(u->asking, &i.question, how == SUPPLY_LONG, lack, e);
    if (rc != 0)
        return rc;
    rc = reflist_find(&u->refs, r, clock_ms(), arena, out, n, e);
    if (rc != 0)
        return rc > 0 ? 0 : -1;
    *lack = LACK_LIMIT;
    return err_set(e, ERR_BUSY, "too many lists of branches are asked for");
}

/* ---- which bytes ---- */

static int open_file(void *self, const struct edition *ed,
    const struct tree_file *f, uint64_t from, uint64_t to, struct feed **out,
    enum lack *lack, struct err *e)
{
    struct upstream *u = self;
    char key[MEMO_KEY_MAX];

    name(key, "file", &ed->repo, tree_etag(f)->hex);
    if (asking_known(u->asking, key, lack, e) < 0)
        return -1;
    if (!flows_has(u->flows, &ed->repo, tree_etag(f)) &&
        asking_down(u->asking, lack, e))
        return -1;
    *out = feed_make(u->flows, ed, f, from, to, lack, e);
    return *out != NULL ? 0 : -1;
}

static bool is_doubtful(
    void *self, const struct repo *r, const struct digest *etag)
{
    const struct upstream *u = self;

    return clock_ms() < u->doubt_until_ms || doubt_is(u->dir, r, etag);
}

static void get_fetching(void *self,
    void (*each)(void *arg, const struct supply_fetch *f), void *arg)
{
    struct upstream *u = self;

    flows_each(u->flows, each, arg);
}

/* ---- what becomes of it ---- */

/* Has somebody else, a pull for one, written this ref since then? */
static bool is_newer(
    const struct upstream *u, const struct repo *r, uint64_t age_ms)
{
    struct err ignored = ERR_INIT;
    struct timespec now;
    char path[PATH_MAX];
    struct stat st;
    int64_t ms;

    if (path_fmt(path, &ignored, "%s/%s/refs/%s", u->dir->root, r->folder,
            r->revision) != 0 ||
        stat(path, &st) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0)
        return false;
    ms = ((int64_t)now.tv_sec - (int64_t)st.st_mtim.tv_sec) * 1000 +
         (now.tv_nsec - st.st_mtim.tv_nsec) / 1000000;
    return ms < (int64_t)age_ms;
}

/*
 * The branches that are this commit now name it here, too: as a pull does it,
 * after one of its files is there. Not where one was told what is older.
 */
static void note_branches(struct upstream *u, const struct flow_end *end)
{
    struct asking_found found[BRANCHES_MAX];
    char front[MEMO_KEY_MAX], had[41];
    struct repo r = *end->repo;
    size_t n;

    name(front, "commit", end->repo, "");
    n = asking_with(u->asking, front, end->commit, found, BRANCHES_MAX);
    for (size_t i = 0; i < n; i++) {
        struct err e = ERR_INIT;

        snprintf(r.revision, sizeof(r.revision), "%.255s", found[i].rest);
        if (is_newer(u, &r, found[i].age_ms) ||
            (hubdir_ref(u->dir, &r, had, &e) == HAVE &&
                strcmp(had, end->commit) == 0))
            continue;
        if (hubdir_set_ref(u->dir, &r, end->commit, &e) != 0)
            log_warn("%s", e.msg);
    }
}

static void on_misled(
    void *arg, const struct repo *r, const struct digest *etag)
{
    struct upstream *u = arg;
    struct err why = ERR_INIT;

    if (doubt_note(u->dir, r, etag, &why) == 0)
        return;
    /* A full disk, perhaps: until it is over nobody goes on behind anything. */
    u->doubt_until_ms = clock_ms() + DOUBT_S * 1000;
    log_warn("that wrong bytes were given out could not be noted, and is "
             "forgotten if the mirror ends: %s",
        why.msg);
}

static enum lack on_end(void *arg, const struct flow_end *end, struct err *e)
{
    struct upstream *u = arg;
    char key[MEMO_KEY_MAX];

    if (e->kind == ERR_NONE) {
        asking_answered(u->asking);
        note_branches(u, end);
        return LACK_NONE;
    }
    /* Nobody was there to read it: who comes now begins anew. */
    if (e->kind == ERR_CANCELLED)
        return LACK_BYTES;
    name(key, "file", end->repo, end->etag->hex);
    return asking_refused(u->asking, key, end->refusal, end->begun_ms, e);
}

/* ---- life ---- */

struct upstream *upstream_open(const struct upstream_opts *opts, struct err *e)
{
    struct upstream *u = calloc(1, sizeof(*u));
    struct flows_opts flows = { .dir = opts->dir,
        .from = opts->from,
        .most = opts->fetches,
        .ended = on_end,
        .misled = on_misled,
        .arg = u };

    if (u == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    reflist_open(&u->refs);
    u->from = opts->from;
    u->dir = opts->dir;
    u->asking = asking_open(opts->from->name, e);
    if (u->asking != NULL)
        u->flows = flows_open(&flows, e);
    if (u->flows == NULL) {
        upstream_close(u);
        return NULL;
    }
    u->supplier = (struct supplier){ .self = u,
        .name = asking_name(u->asking),
        .mark = opts->from->mark,
        .commit = get_commit,
        .tree = get_tree,
        .open = open_file,
        .refs = get_refs,
        .doubtful = is_doubtful,
        .fetching = get_fetching };
    return u;
}

void upstream_close(struct upstream *u)
{
    if (u == NULL)
        return;
    flows_close(u->flows);
    asking_close(u->asking);
    reflist_close(&u->refs);
    free(u);
}

const struct supplier *upstream_supplier(const struct upstream *u)
{
    return &u->supplier;
}
