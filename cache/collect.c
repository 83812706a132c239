#include "cache/collect.h"
#include "cache/collect_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/look.h"
#include "cache/pin.h"
#include "cache/removal.h"
#include "cache/used.h"
#include "cache/walk.h"

#include "base/cancel.h"
#include "base/log.h"

#define CENSUS_MAX ((uint64_t)16 << 30)

int collect_note(struct collect *c, enum collected_kind kind,
    const struct repo *repo, struct str name, uint64_t bytes, struct err *e)
{
    char shown[192] = "";
    struct collected *list =
        arena_grow(c->arena, c->v, c->n, &c->cap, sizeof(*list), e);

    if (list == NULL)
        return -1;
    c->v = list;
    list += c->n;
    *list = (struct collected){ .kind = kind, .bytes = bytes };
    if (repo != NULL)
        look_name(repo, shown);
    list->repo = arena_str(c->arena, str_of(shown), e);
    list->name = arena_str(c->arena, name, e);
    if (list->repo.p == NULL || list->name.p == NULL)
        return -1;
    c->n++;
    c->bytes += bytes;
    return 0;
}

/*
 * What stands in the way of one repository is none of the others' business:
 * somebody is at work on it, it is another user's, it is not in order. 1: it
 * is passed by; -1: all ends here.
 */
static int pass_by(struct collect *c, const struct err *why, struct err *e)
{
    bool theirs = why->sys == EACCES || why->sys == EPERM || why->sys == EROFS;

    if (why->kind != ERR_BUSY && why->kind != ERR_REFUSED && !theirs) {
        *e = *why;
        return -1;
    }
    if (why->kind == ERR_BUSY)
        log_info("passed by: %s", why->msg);
    else
        log_warn("passed by: %s", why->msg);
    c->busy++;
    return 1;
}

/* Taken, or passed by: 0, 1, -1 with *e. */
static int take(
    struct collect *c, struct reaper *r, const struct repo *repo, struct err *e)
{
    struct err why = ERR_INIT;
    int rc = c->dry_run ? reaper_check(c->place, repo, &why)
                        : reaper_open(r, c->place, repo, c->grace_s, &why);

    return rc == 0 ? 0 : pass_by(c, &why, e);
}

/* ---- objects ---- */

static int drop_objects(struct collect *c, struct reaper *r,
    const struct repo *repo, struct object **dead, uint64_t n, struct err *e)
{
    uint64_t bytes;

    if (!c->dry_run && reaper_objects(r, dead, n, &bytes, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct stat st;

        /* One that was needed after all is there again. */
        if (!c->dry_run && stat(dead[i]->path.p, &st) == 0)
            continue;
        if (collect_note(c, COLLECTED_OBJECT, repo, str_of(dead[i]->digest.hex),
                (uint64_t)dead[i]->st.st_size, e) != 0)
            return -1;
    }
    return 0;
}

/* repo NULL: the contents of the volume. */
static int collect_objects(
    struct collect *c, struct reaper *r, const struct repo *repo, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(CENSUS_MAX);
    struct target t = { .kind = TARGET_REPO };
    struct object **dead;
    struct census all;
    uint64_t n = 0;

    if (repo != NULL)
        t.repo = *repo;
    if (census(c->place, &t, repo != NULL,
            CENSUS_BARE | (repo != NULL ? 0 : CENSUS_PUTS), &all, &arena,
            e) != 0)
        return -1;
    dead = arena_alloc(&arena, all.n_objects, sizeof(struct object *), e);
    if (dead == NULL)
        return -1;
    for (uint64_t i = 0; i < all.n_objects; i++)
        if (reaper_dead(&all.objects[i], c->grace_s))
            dead[n++] = &all.objects[i];
    return drop_objects(c, r, repo, dead, n, e);
}

static int collect_repo(
    struct collect *c, const struct repo *repo, struct err *e)
{
    struct reaper r AUTO(reaper_close) = REAPER_INIT;
    struct err why = ERR_INIT;
    int rc = take(c, &r, repo, e);

    if (rc == 0 && (collect_objects(c, &r, repo, &why) != 0 ||
                       collect_leftovers(c, repo, &why) != 0))
        rc = pass_by(c, &why, e);
    return rc < 0 ? -1 : 0;
}

static int collect_own(struct collect *c, struct err *e)
{
    struct reaper r AUTO(reaper_close) = REAPER_INIT;
    struct err why = ERR_INIT;
    bool own = c->place->has_volume;
    int rc = own ? take(c, &r, NULL, e) : 0;

    if (rc == 0 && ((own && collect_objects(c, &r, NULL, &why) != 0) ||
                       collect_place_leftovers(c, &why) != 0))
        rc = pass_by(c, &why, e);
    return rc < 0 ? -1 : 0;
}

/* ---- the size that is not to be passed ---- */

struct candidate {
    struct target target;
    int64_t used;
};

static uint64_t total_of(const struct look *l)
{
    uint64_t bytes = l->stored_bytes + l->converted_bytes + l->aside_bytes;

    for (uint64_t i = 0; i < l->n_repos; i++)
        bytes += l->repos[i].bytes + l->repos[i].partial_bytes +
                 l->repos[i].conversion_bytes + l->repos[i].aside_bytes;
    return bytes;
}

static int by_use(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->used != y->used)
        return x->used < y->used ? -1 : 1;
    return strcmp(x->target.commit, y->target.commit);
}

/*
 * Another tool may be filling it: it holds no lease, and between two files no
 * lock. What one of ours has used is ours to judge.
 */
static bool may_be_filled(const struct collect *c, const struct target *t)
{
    const struct hubdir *h = &c->place->hub;
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];

    return !used_is_noted(h, &t->repo, t->commit) &&
           hubdir_snapshot(h, &t->repo, t->commit, path, &ignored) == 0 &&
           !collect_old(c, path);
}

/* Every revision that may go, the one used longest ago first. */
static int list_candidates(const struct collect *c, const struct look *l,
    struct target **out, uint64_t *out_n, struct err *e)
{
    struct candidate *v;
    uint64_t n = 0, most = 0;

    for (uint64_t i = 0; i < l->n_repos; i++)
        most += l->repos[i].n_revisions;
    v = arena_alloc(c->arena, most, sizeof(*v), e);
    *out = arena_alloc(c->arena, most, sizeof(**out), e);
    if (v == NULL || *out == NULL)
        return -1;
    for (uint64_t i = 0; i < l->n_repos; i++)
        for (uint64_t k = 0; k < l->repos[i].n_revisions; k++) {
            const struct held_revision *rev = &l->repos[i].revisions[k];
            struct target t = { .kind = TARGET_REVISION,
                .text = rev->commit.p,
                .repo = l->repos[i].repo };

            if (rev->pinned || !repo_is_commit(rev->commit.p))
                continue;
            memcpy(t.commit, rev->commit.p, sizeof(t.commit));
            if (may_be_filled(c, &t))
                continue;
            v[n].target = t;
            v[n++].used = used_when(&c->place->hub, &t.repo, t.commit);
        }
    if (n > 1)
        qsort(v, n, sizeof(*v), by_use);
    for (uint64_t i = 0; i < n; i++)
        (*out)[i] = v[i].target;
    *out_n = n;
    return 0;
}

/* 0: it is gone, or would be; 1: passed by; -1: *e. */
static int evict(
    struct collect *c, const struct removal *x, uint64_t *freed, struct err *e)
{
    struct reaper r AUTO(reaper_close) = REAPER_INIT;
    struct err why = ERR_INIT;
    int rc;

    *freed = x->freed;
    if (c->dry_run)
        return 0;
    rc = take(c, &r, x->repo, e);
    if (rc != 0)
        return rc;
    /* Pinned since it was listed. */
    if (pin_is(&c->place->hub, x->repo, x->commit.p))
        return 1;
    if (removal_evict(&r, x->commit.p, freed, &why) == 0)
        return 0;
    return pass_by(c, &why, e);
}

static int shrink(
    struct collect *c, const struct look *l, uint64_t total, struct err *e)
{
    struct target *targets;
    struct removal *v;
    uint64_t n_targets, n;

    if (list_candidates(c, l, &targets, &n_targets, e) != 0 ||
        removal_plan(c->place, targets, n_targets, &v, &n, c->arena, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n && total > c->max_size; i++) {
        uint64_t freed;
        int rc = cancel_check(e) != 0 ? -1 : evict(c, &v[i], &freed, e);

        if (rc < 0)
            return -1;
        if (rc > 0)
            continue;
        total -= size_min(total, freed);
        if (collect_note(
                c, COLLECTED_REVISION, v[i].repo, v[i].commit, freed, e) != 0)
            return -1;
    }
    return 0;
}

int collect_run(struct collect *c, struct err *e)
{
    struct look before;
    uint64_t total;

    if (look(c->place->name, LOOK_SIZES, &before, c->arena, e) != 0)
        return -1;
    total = total_of(&before);
    for (uint64_t i = 0; i < before.n_repos; i++)
        if (cancel_check(e) != 0 ||
            collect_repo(c, &before.repos[i].repo, e) != 0)
            return -1;
    if (collect_own(c, e) != 0)
        return -1;
    c->left_bytes = total - size_min(total, c->bytes);
    if (c->max_size > 0 && c->left_bytes > c->max_size &&
        shrink(c, &before, c->left_bytes, e) != 0)
        return -1;
    c->left_bytes = total - size_min(total, c->bytes);
    return 0;
}
