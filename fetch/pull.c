#include "fetch/pull.h"
#include "fetch/pull_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "cache/unfinished.h"
#include "cache/used.h"
#include "fetch/heldcheck.h"
#include "fetch/partial.h"
#include "fetch/pattern.h"
#include "fetch/space.h"
#include "fetch/transfer.h"

/* So often is fetched what others remove at the same time. */
enum { BRING_TRIES = 3 };

struct space pull_space(struct pull *p)
{
    return (struct space){ .dir = p->dir,
        .repo = &p->repo,
        .plan = &p->plan,
        .extra = p->copied_bytes };
}

void pull_free(struct pull *p)
{
    struct space s = pull_space(p);

    space_release(&s);
    fd_close(&p->entered);
    lease_free(&p->lease);
    arena_free(&p->arena);
    p->plan = (struct plan){ .files = NULL };
    p->tree = (struct tree){ .files = NULL };
}

int pull_set_make(struct pull_set *out, size_t n, struct err *e)
{
    out->v = calloc(n + 1, sizeof(*out->v));
    if (out->v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    out->n = n;
    for (size_t i = 0; i < n; i++) {
        out->v[i] = (struct pull)PULL_INIT;
        out->v[i].nth = i + 1;
        out->v[i].of = n;
    }
    return 0;
}

void pull_set_free(struct pull_set *s)
{
    for (size_t i = 0; i < s->n; i++)
        pull_free(&s->v[i]);
    free(s->v);
    *s = (struct pull_set)PULL_SET_INIT;
}

bool pull_offline(void)
{
    return env_get("HF_HUB_OFFLINE") != NULL ? env_true("HF_HUB_OFFLINE")
                                             : env_true("TRANSFORMERS_OFFLINE");
}

int pull_offline_error(struct err *e)
{
    err_set(e, ERR_NET, "offline: the Hub cannot be asked");
    return err_hint(e, "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE says so");
}

static int not_held(const struct pull *p, const char *what, struct err *e)
{
    err_set(e, ERR_NET, "offline, and %s of %s@%s is not held here", what,
        p->repo.id, p->repo.revision);
    return err_hint(e, "pull it once without --offline, HF_HUB_OFFLINE and "
                       "TRANSFORMERS_OFFLINE");
}

/* Nothing is written: every byte, and every name, must be there. */
bool pull_is_proof(const struct pull *p)
{
    return p->verify && p->offline;
}

/* Files that cannot come, since nobody may be asked; by the first name. */
int pull_check_offline(const struct pull *p, struct err *e)
{
    const struct plan *plan = &p->plan;
    struct str first = { NULL, 0 };
    size_t missing = 0;
    char what[1200];

    for (size_t i = 0; i < plan->n; i++) {
        const struct plan_file *f = &plan->files[i];

        if (f->state == PLAN_HELD ||
            (f->state == PLAN_LINK && !pull_is_proof(p)))
            continue;
        if (missing++ == 0 || str_cmp(f->file->path, first) < 0)
            first = f->file->path;
    }
    if (!p->offline || missing == 0)
        return 0;
    if (missing == 1)
        snprintf(what, sizeof(what), "'%.*s'", STR_ARG(first));
    else
        snprintf(what, sizeof(what), "'%.*s', one of %zu missing files,",
            STR_ARG(first), missing);
    return not_held(p, what, e);
}

/* ---- the plan ---- */

/* What is known here: in the cache, or in the folder, or in the cache. */
static int find_ref(struct pull *p, struct err *e)
{
    int have = hubdir_ref(p->dir, &p->repo, p->commit, e);

    if (have != HAVE && have >= 0 && p->seed != NULL)
        have = hubdir_ref(p->seed, &p->repo, p->commit, e);
    if (have < 0)
        return -1;
    return have == HAVE ? 0 : not_held(p, "the revision", e);
}

static int find_commit(struct pull *p, struct hub *hub, struct err *e)
{
    if (p->pin_commit != NULL) {
        memcpy(p->commit, p->pin_commit, 41);
        return 0;
    }
    if (repo_is_commit(p->repo.revision)) {
        memcpy(p->commit, p->repo.revision, 41);
        if (!p->inform || p->offline)
            return 0;
    } else if (p->offline) {
        return find_ref(p, e);
    }
    if (hub_revision(hub, &p->repo, &p->revision, e) != 0)
        return -1;
    memcpy(p->commit, p->revision.commit, 41);
    return 0;
}

static int find_tree(struct pull *p, struct hub *hub, struct err *e)
{
    int have;

    if (p->pin_tree != NULL) {
        p->tree = *p->pin_tree;
        return 0;
    }
    have = hubdir_tree(p->dir, &p->repo, p->commit, &p->arena, &p->tree, e);
    if (have >= 0 && have != HAVE && p->seed != NULL) {
        p->tree_is_new = true;
        have =
            hubdir_tree(p->seed, &p->repo, p->commit, &p->arena, &p->tree, e);
    }
    if (have < 0)
        return -1;
    if (have == HAVE)
        return 0;
    if (p->offline)
        return not_held(p, "the listing", e);
    p->tree_is_new = true;
    return hub_tree(hub, &p->repo, p->commit, &p->arena, &p->tree, e);
}

static int in_the_way(const struct pull *p, struct str path, struct err *e)
{
    err_set(e, ERR_USAGE,
        "%s/%.*s: is there already, and is not what was fetched", p->path,
        STR_ARG(path));
    return err_hint(e, "--force replaces it, --exclude leaves it as it is");
}

/* Does the name lead to the bytes already? */
static int is_there(struct pull *p, const struct tree_file *f, struct err *e)
{
    int have;

    if (p->local == NULL)
        return p->force ? HAVE_NOT
                        : hubdir_have(p->dir, &p->repo, p->commit, f, e);
    have = localdir_have(p->local, f, e);
    if (have == HAVE_DAMAGED && !p->force)
        return in_the_way(p, f->path, e);
    return p->force && have >= 0 ? HAVE_NOT : have;
}

static int is_kept(struct pull *p, const struct tree_file *f, struct err *e)
{
    int have = hubdir_have_blob(p->dir, &p->repo, f, e);

    if (have < 0 || have == HAVE || p->seed == NULL)
        return have;
    return hubdir_have_blob(p->seed, &p->repo, f, e);
}

/* Where one file stands: held, only its name missing, or to be fetched. */
static int find_state(struct pull *p, struct plan_file *f, struct err *e)
{
    const struct digest *etag = tree_etag(f->file);
    char path[PATH_MAX], journal[PATH_MAX];
    uint64_t allocated;
    int have = is_there(p, f->file, e);

    f->state = PLAN_FETCH;
    f->again = p->force;
    if (have < 0)
        return -1;
    if (have == HAVE) {
        f->state = PLAN_HELD;
        return 0;
    }
    have = p->force ? HAVE_NOT : is_kept(p, f->file, e);
    if (have < 0)
        return -1;
    if (have == HAVE) {
        f->state = PLAN_LINK;
        return 0;
    }
    if (hubdir_partial(p->dir, &p->repo, etag, path, e) != 0 ||
        hubdir_journal(p->dir, &p->repo, etag, journal, e) != 0)
        return -1;
    return partial_kept(
        path, journal, etag, f->file->size, &f->kept, &allocated, e);
}

static bool chosen(const struct pull *p, const struct tree_file *f)
{
    return pattern_chosen(
        p->include, p->n_include, p->exclude, p->n_exclude, f->path);
}

static int check_held(
    struct pull *p, struct plan_file *files, size_t n, struct err *e)
{
    struct heldcheck c = { .dir = p->dir,
        .repo = &p->repo,
        .commit = p->commit,
        .progress = p->progress };
    const struct plan_file *damaged;

    if (heldcheck_run(&c, files, n, &damaged, e) != 0)
        return -1;
    if (damaged == NULL)
        return 0;
    if (!p->offline) {
        log_warn("%s: '%.*s' is damaged on disk; fetching it again", p->repo.id,
            STR_ARG(damaged->file->path));
        return 0;
    }
    err_set(e, ERR_CORRUPT, "%s@%s: '%.*s' is damaged on disk: it is not %s",
        p->repo.id, p->repo.revision, STR_ARG(damaged->file->path),
        tree_etag(damaged->file)->hex);
    return err_hint(e, "the same command without --offline fetches it again");
}

int pull_make_plan(struct pull *p, struct err *e)
{
    struct plan_file *files =
        arena_alloc(&p->arena, p->tree.n, sizeof(*files), e);
    size_t n = 0;

    if (files == NULL)
        return -1;
    for (uint64_t i = 0; i < p->tree.n; i++) {
        if (!chosen(p, &p->tree.files[i]))
            continue;
        files[n].file = &p->tree.files[i];
        if (find_state(p, &files[n++], e) != 0)
            return -1;
    }
    if (n == 0 && p->tree.n > 0) {
        err_set(e, ERR_MISSING, "none of the %llu files of %s@%s matches",
            (unsigned long long)p->tree.n, p->repo.id, p->repo.revision);
        return err_hint(e, "patterns match the whole path, '*' also matches "
                           "'/'; see --dry-run");
    }
    if (p->verify && check_held(p, files, n, e) != 0)
        return -1;
    return plan_make(&p->plan, files, n, e);
}

/* The blob to take the bytes of a PLAN_LINK file from. */
static int find_blob(struct pull *p, const struct tree_file *f, char *out,
    bool *ours, struct err *e)
{
    int have = hubdir_have_blob(p->dir, &p->repo, f, e);

    if (have < 0)
        return -1;
    *ours = have == HAVE || p->seed == NULL;
    return hubdir_blob(
        *ours ? p->dir : p->seed, &p->repo, tree_etag(f), out, e);
}

/* Bytes that a plain folder gets from a cache that it cannot share with. */
int pull_count_copies(struct pull *p, struct err *e)
{
    char blob[PATH_MAX];
    bool known = false, shares = false, ours;

    p->copied_bytes = 0;
    for (size_t i = p->plan.n_fetch; i < p->plan.n; i++) {
        const struct tree_file *f = p->plan.files[i].file;

        if (p->plan.files[i].state != PLAN_LINK)
            continue;
        if (find_blob(p, f, blob, &ours, e) != 0)
            return -1;
        if (!ours && !known && access(blob, F_OK) == 0) {
            shares = localdir_shares(p->local, blob);
            known = true;
        }
        if (ours || !shares)
            p->copied_bytes += f->size;
    }
    return 0;
}

static int measure(struct pull *p, struct err *e)
{
    struct space s = pull_space(p);

    if (space_needed(&s, 1, &p->space_bytes, e) != 0)
        return -1;
    return dir_free_space(p->dir->root, &p->free_bytes, e);
}

static int plan(struct pull *p, struct hub *hub, struct err *e)
{
    if (find_commit(p, hub, e) != 0)
        return -1;
    if (p->local != NULL
            ? path_fmt(p->path, e, "%s", p->local->root) != 0
            : hubdir_snapshot(p->dir, &p->repo, p->commit, p->path, e) != 0)
        return -1;
    if (pull_hold(p, false, e) != 0 || find_tree(p, hub, e) != 0 ||
        pull_make_plan(p, e) != 0)
        return -1;
    return measure(p, e);
}

int pull_plan(
    struct pull *p, const struct hubdir *dir, struct hub *hub, struct err *e)
{
    uint64_t before = hub_requests(hub);
    int rc;

    p->dir = p->local != NULL ? &p->local->work : dir;
    p->seed = p->local != NULL ? dir : NULL;
    rc = plan(p, hub, e);
    p->requests = hub_requests(hub) - before;
    return rc;
}

/* ---- the work ---- */

static int transfer(struct pull *p, struct hub *hub, struct err *e)
{
    char what[sizeof(p->repo.id) + 64] = "fetching";
    struct progress *bars AUTO(progress_close_auto) = NULL;
    struct transfer_opts opts = { .hub = hub,
        .dir = p->dir,
        .repo = &p->repo,
        .commit = p->commit,
        .bare = p->local != NULL,
        .jobs = p->jobs,
        .limit_rate = p->limit_rate };

    if (p->plan.n_fetch == 0)
        return 0;
    if (pull_check_offline(p, e) != 0)
        return -1;
    if (p->of > 1)
        snprintf(
            what, sizeof(what), "%s, %zu of %zu", p->repo.id, p->nth, p->of);
    bars = progress_open(
        p->progress, what, p->plan.fetch_bytes + p->plan.kept_bytes, e);
    if (bars == NULL)
        return -1;
    opts.progress = bars;
    return transfer_run(&opts, &p->plan, &p->fetched_bytes, e);
}

static int put_bytes(struct pull *p, const struct plan_file *f, struct err *e)
{
    enum localdir_how how = LOCALDIR_MOVE;
    char blob[PATH_MAX];
    bool ours;

    if (find_blob(p, f->file, blob, &ours, e) != 0)
        return -1;
    if (f->state == PLAN_LINK)
        how = ours ? LOCALDIR_COPY : LOCALDIR_SHARE;
    return localdir_put(p->local, f->file, blob, how, e);
}

/* The plan may be hours old: what came since is looked at like then. */
static int put_local(struct pull *p, const struct plan_file *f, struct err *e)
{
    struct err why = ERR_INIT;
    int have;

    if (f->state == PLAN_HELD)
        return 0;
    have = is_there(p, f->file, e);
    if (have != HAVE_NOT)
        return have < 0 ? -1 : 0;
    if (put_bytes(p, f, &why) == 0)
        return 0;
    /* Another process in this folder may have moved them to this name. */
    if (why.kind == ERR_MISSING && is_there(p, f->file, e) == HAVE)
        return 0;
    if (e->kind == ERR_NONE)
        *e = why;
    return -1;
}

/*
 * The names of a plain folder: those that share bytes with another one
 * first, since the last one takes the blob away.
 */
static int place_local(struct pull *p, struct err *e)
{
    const struct plan *plan = &p->plan;
    char blob[PATH_MAX];

    for (size_t i = plan->n; i-- > 0;)
        if (put_local(p, &plan->files[i], e) != 0 ||
            localdir_note(p->local, plan->files[i].file, p->commit, e) != 0)
            return -1;
    /* What was copied, or had come to its name by somebody else's hand. */
    for (size_t i = 0; i < plan->n; i++)
        if (plan->files[i].state != PLAN_HELD &&
            hubdir_blob(
                p->dir, &p->repo, tree_etag(plan->files[i].file), blob, e) == 0)
            unlink(blob);
    return e->kind == ERR_NONE ? 0 : -1;
}

static int place(struct pull *p, struct err *e)
{
    if (p->local != NULL)
        return place_local(p, e);
    for (size_t i = p->plan.n_fetch; i < p->plan.n; i++)
        if (p->plan.files[i].state == PLAN_LINK &&
            hubdir_link(
                p->dir, &p->repo, p->commit, p->plan.files[i].file, e) != 0)
            return -1;
    /* A ref to a snapshot that is not there is damage to other tools. */
    return p->plan.n == 0 ? dir_make(p->path, e) : 0;
}

/* Does every name lead to its file? A plain folder's are files themselves. */
static int all_led(struct pull *p, bool *out, struct err *e)
{
    *out = true;
    for (size_t i = 0; i < p->plan.n && p->local == NULL && *out; i++) {
        int have =
            hubdir_have(p->dir, &p->repo, p->commit, p->plan.files[i].file, e);

        if (have < 0)
            return -1;
        *out = have == HAVE;
    }
    return 0;
}

/*
 * The bytes, and their names. Whoever removes things waits for a lease, but
 * not every tool, or person, does: what the plan counted on may have gone
 * since.
 */
static int bring(struct pull *p, struct hub *hub, struct err *e)
{
    uint64_t before = 0;

    for (int tries = 0; tries < BRING_TRIES; tries++) {
        bool done;

        if (transfer(p, hub, e) != 0 || place(p, e) != 0 ||
            all_led(p, &done, e) != 0)
            return -1;
        p->fetched_bytes += before;
        if (done)
            return 0;
        log_info("%s: what was here has been removed meanwhile; fetching it "
                 "again",
            p->repo.id);
        before = p->fetched_bytes;
        p->force = false;
        p->fetched_bytes = 0;
        if (pull_make_plan(p, e) != 0)
            return -1;
    }
    err_set(
        e, ERR_BUSY, "%s: another process removes what is fetched", p->repo.id);
    return err_hint(e, "try again when it has ended");
}

/* Names last: entries, then the listing, then the ref. */
static int record(struct pull *p, struct err *e)
{
    char commit[41];
    int have;

    if (p->tree_is_new &&
        hubdir_set_tree(p->dir, &p->repo, p->commit, &p->tree, e) != 0)
        return -1;
    if (p->local == NULL)
        unfinished_clear(p->dir, &p->repo, p->commit);
    have = hubdir_ref(p->dir, &p->repo, commit, e);
    if (have < 0)
        return -1;
    if (have == HAVE && strcmp(commit, p->commit) == 0)
        return 0;
    return hubdir_set_ref(p->dir, &p->repo, p->commit, e);
}

/* Whose listing is not here yet, or will not be: a lock has its own. */
static int mark(const struct pull *p, struct err *e)
{
    if (p->local != NULL || (!p->tree_is_new && p->pin_tree == NULL))
        return 0;
    return unfinished_mark(p->dir, &p->repo, p->commit, e);
}

static int fetch(struct pull *p, struct hub *hub, struct err *e)
{
    struct err ignored = ERR_INIT;

    if (!pull_changes(p)) {
        /* All is here; a name that cannot be written costs nothing. */
        if (place(p, &ignored) != 0 || record(p, &ignored) != 0)
            log_debug("%s", ignored.msg);
        return 0;
    }
    if (hubdir_init(p->dir, e) != 0 || mark(p, e) != 0 || bring(p, hub, e) != 0)
        return -1;
    return record(p, e);
}

static int convert(struct pull *p, struct err *e)
{
    struct conversion c = pull_conversion(p);
    char what[64];
    int have;

    if (p->convert == CONVERSION_NONE)
        return 0;
    have = conversion_find(&c, e);
    if (have == HAVE_NOT && pull_is_proof(p)) {
        snprintf(what, sizeof(what), "the %s form", conversion_name(c.kind));
        return not_held(p, what, e);
    }
    if (have == HAVE_NOT
            ? conversion_make(&c, e) != 0
            : have < 0 || (p->verify && conversion_check(&c, e) != 0))
        return -1;
    memcpy(p->converted, c.path, sizeof(p->converted));
    return 0;
}

int pull_fetch(struct pull *p, struct hub *hub, struct err *e)
{
    uint64_t before = hub_requests(hub);
    int rc = pull_is_proof(p) ? pull_check_offline(p, e) : fetch(p, hub, e);

    p->requests += hub_requests(hub) - before;
    if (rc == 0 && p->local == NULL && !pull_is_proof(p))
        used_note(p->dir, &p->repo, p->commit);
    return rc == 0 ? convert(p, e) : -1;
}
