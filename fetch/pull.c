#include "fetch/pull.h"

#include <string.h>

#include "base/env.h"
#include "base/file.h"
#include "base/human.h"
#include "base/log.h"
#include "fetch/partial.h"
#include "fetch/pattern.h"
#include "fetch/transfer.h"

/* One pull under way. */
struct work {
    struct pull *pull;
    const struct hubdir *dir;
    struct hub *hub;
    bool tree_is_new; /* not kept here yet */
};

void pull_free(struct pull *p)
{
    arena_free(&p->arena);
    p->plan = (struct plan){ .files = NULL };
    p->tree = (struct tree){ .files = NULL };
}

bool pull_offline(void)
{
    return env_get("HF_HUB_OFFLINE") != NULL ? env_true("HF_HUB_OFFLINE")
                                             : env_true("TRANSFORMERS_OFFLINE");
}

static int not_held(const struct pull *p, const char *what, struct err *e)
{
    err_set(e, ERR_NET, "offline, and %s of %s@%s is not held here", what,
        p->repo.id, p->repo.revision);
    return err_hint(e, "pull it once without --offline and HF_HUB_OFFLINE");
}

static int find_commit(struct work *w, struct err *e)
{
    struct pull *p = w->pull;
    int have;

    if (repo_is_commit(p->repo.revision)) {
        memcpy(p->commit, p->repo.revision, 41);
        return 0;
    }
    if (!p->offline)
        return hub_commit(w->hub, &p->repo, p->commit, e);
    have = hubdir_ref(w->dir, &p->repo, p->commit, e);
    if (have < 0)
        return -1;
    return have == HAVE ? 0 : not_held(p, "the revision", e);
}

static int find_tree(struct work *w, struct err *e)
{
    struct pull *p = w->pull;
    int have = hubdir_tree(w->dir, &p->repo, p->commit, &p->arena, &p->tree, e);

    if (have < 0)
        return -1;
    if (have == HAVE)
        return 0;
    if (p->offline)
        return not_held(p, "the listing", e);
    w->tree_is_new = true;
    return hub_tree(w->hub, &p->repo, p->commit, &p->arena, &p->tree, e);
}

/* Where one file stands: held, only its name missing, or to be fetched. */
static int find_state(struct work *w, struct plan_file *f, struct err *e)
{
    struct pull *p = w->pull;
    const struct digest *etag = tree_etag(f->file);
    char path[PATH_MAX], journal[PATH_MAX];
    uint64_t allocated;
    int have;

    f->state = PLAN_FETCH;
    f->again = p->force;
    if (!p->force) {
        have = hubdir_have(w->dir, &p->repo, p->commit, f->file, e);
        if (have == HAVE)
            f->state = PLAN_HELD;
        else if (have >= 0)
            have = hubdir_have_blob(w->dir, &p->repo, f->file, e);
        if (have < 0)
            return -1;
        if (have == HAVE && f->state != PLAN_HELD)
            f->state = PLAN_LINK;
        if (f->state != PLAN_FETCH)
            return 0;
    }
    if (hubdir_partial(w->dir, &p->repo, etag, path, e) != 0 ||
        hubdir_journal(w->dir, &p->repo, etag, journal, e) != 0)
        return -1;
    return partial_kept(
        path, journal, etag, f->file->size, &f->kept, &allocated, e);
}

static bool chosen(const struct pull *p, const struct tree_file *f)
{
    return pattern_chosen(
        p->include, p->n_include, p->exclude, p->n_exclude, f->path);
}

static int make_plan(struct work *w, struct err *e)
{
    struct pull *p = w->pull;
    struct plan_file *files =
        arena_alloc(&p->arena, p->tree.n, sizeof(*files), e);
    size_t n = 0;

    if (files == NULL)
        return -1;
    for (uint64_t i = 0; i < p->tree.n; i++) {
        if (!chosen(p, &p->tree.files[i]))
            continue;
        files[n].file = &p->tree.files[i];
        if (find_state(w, &files[n++], e) != 0)
            return -1;
    }
    if (n == 0 && p->tree.n > 0) {
        err_set(e, ERR_MISSING, "none of the %llu files of %s@%s matches",
            (unsigned long long)p->tree.n, p->repo.id, p->repo.revision);
        return err_hint(e, "patterns match the whole path, '*' also matches "
                           "'/'; see --dry-run");
    }
    return plan_make(&p->plan, files, n, e);
}

/* Bytes that all missing files will take on disk beyond what they have. */
static int space_needed(struct work *w, uint64_t *out, struct err *e)
{
    const struct pull *p = w->pull;
    char path[PATH_MAX], journal[PATH_MAX];

    *out = 0;
    for (size_t i = 0; i < p->plan.n_fetch; i++) {
        const struct tree_file *f = p->plan.files[i].file;
        uint64_t kept, allocated;

        if (hubdir_partial(w->dir, &p->repo, tree_etag(f), path, e) != 0 ||
            hubdir_journal(w->dir, &p->repo, tree_etag(f), journal, e) != 0 ||
            partial_kept(path, journal, tree_etag(f), f->size, &kept,
                &allocated, e) != 0)
            return -1;
        *out += f->size - size_min(f->size, allocated);
    }
    return 0;
}

static int check_space(struct work *w, struct err *e)
{
    uint64_t need, free_bytes;
    char a[HUMAN_MAX], b[HUMAN_MAX], c[HUMAN_MAX];

    if (space_needed(w, &need, e) != 0 ||
        dir_free_space(w->dir->root, &free_bytes, e) != 0)
        return -1;
    if (need <= free_bytes)
        return 0;
    err_set(e, ERR_NOSPACE,
        "%s: %s is needed for %s, %s is free: %s too "
        "little",
        w->dir->root, human_size(a, need), w->pull->repo.id,
        human_size(b, free_bytes), human_size(c, need - free_bytes));
    return err_hint(e, "free some space, or use a volume on another disk "
                       "(--volume)");
}

static int fetch(struct work *w, struct err *e)
{
    struct pull *p = w->pull;
    struct progress *bars AUTO(progress_close_auto) = NULL;
    struct transfer_opts opts = { .hub = w->hub,
        .dir = w->dir,
        .repo = &p->repo,
        .commit = p->commit,
        .jobs = p->jobs };

    if (p->plan.n_fetch == 0)
        return 0;
    if (p->offline)
        return not_held(p, "all", e);
    bars = progress_open(
        p->progress, "fetching", p->plan.fetch_bytes + p->plan.kept_bytes, e);
    if (bars == NULL)
        return -1;
    opts.progress = bars;
    return transfer_run(&opts, &p->plan, &p->fetched_bytes, e);
}

/* Names last: entries, then the listing, then the ref. */
static int record(struct work *w, struct err *e)
{
    struct pull *p = w->pull;
    char commit[41];
    int have;

    for (size_t i = p->plan.n_fetch; i < p->plan.n; i++)
        if (p->plan.files[i].state == PLAN_LINK &&
            hubdir_link(
                w->dir, &p->repo, p->commit, p->plan.files[i].file, e) != 0)
            return -1;
    /* A ref to a snapshot that is not there is damage to other tools. */
    if (p->plan.n == 0 && dir_make(p->path, e) != 0)
        return -1;
    if (w->tree_is_new &&
        hubdir_set_tree(w->dir, &p->repo, p->commit, &p->tree, e) != 0)
        return -1;
    have = hubdir_ref(w->dir, &p->repo, commit, e);
    if (have < 0)
        return -1;
    if (have == HAVE && strcmp(commit, p->commit) == 0)
        return 0;
    return hubdir_set_ref(w->dir, &p->repo, p->commit, e);
}

/* Is there anything to write? A cache that cannot be written may do. */
static bool changes(const struct work *w)
{
    const struct plan *plan = &w->pull->plan;

    for (size_t i = 0; i < plan->n; i++)
        if (plan->files[i].state != PLAN_HELD)
            return true;
    return w->tree_is_new;
}

static int run(struct work *w, struct err *e)
{
    struct pull *p = w->pull;

    if (find_commit(w, e) != 0 || find_tree(w, e) != 0 ||
        make_plan(w, e) != 0 ||
        hubdir_snapshot(w->dir, &p->repo, p->commit, p->path, e) != 0)
        return -1;
    if (p->dry_run)
        return 0;
    if (!changes(w)) {
        /* All is here; a ref that cannot be written costs nothing. */
        struct err ignored = ERR_INIT;
        if (record(w, &ignored) != 0)
            log_debug("%s", ignored.msg);
        return 0;
    }
    if (check_space(w, e) != 0 || hubdir_init(w->dir, e) != 0 ||
        fetch(w, e) != 0)
        return -1;
    return record(w, e);
}

int pull_run(
    struct pull *p, const struct hubdir *dir, struct hub *hub, struct err *e)
{
    struct work w = { .pull = p, .dir = dir, .hub = hub };
    uint64_t before = hub_requests(hub);
    int rc = run(&w, e);

    p->requests = hub_requests(hub) - before;
    return rc;
}
