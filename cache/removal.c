#include "cache/removal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/aside.h"
#include "cache/edit.h"
#include "cache/inventory.h"
#include "cache/kept.h"
#include "cache/pin.h"
#include "cache/reaper.h"
#include "cache/walk.h"

#include "base/log.h"
#include "base/path.h"

#define CENSUS_MAX ((uint64_t)16 << 30)

/* ---- the plan ---- */

struct plan {
    const struct place *p;
    struct census all;
    struct removal *v;
    uint64_t n, cap;
    /* Of each object: names that stay. Those that go are taken off. */
    uint64_t *needed;
    struct arena *arena;
};

static struct object *object_of(
    const struct plan *pl, const struct census_name *name)
{
    if (name->digest.hex[0] == '\0')
        return NULL;
    return census_blob(&pl->all, name->repo, &name->digest);
}

static int count_needed(struct plan *pl, struct err *e)
{
    pl->needed =
        arena_alloc(pl->arena, pl->all.n_objects, sizeof(*pl->needed), e);
    if (pl->needed == NULL)
        return -1;
    for (uint64_t i = 0; i < pl->all.n_names; i++) {
        struct object *o = object_of(pl, &pl->all.names[i]);
        if (o != NULL)
            pl->needed[o - pl->all.objects]++;
    }
    return 0;
}

static bool goes(const struct removal *r, const struct census_name *name)
{
    if (name->repo != r->repo)
        return false;
    if (r->repo == NULL)
        return str_eq(name->name, r->name);
    return r->whole || str_eq(name->commit, r->commit);
}

/* Each content once: freed with the last name that needs it. */
static void count_names(struct plan *pl, struct removal *r)
{
    for (uint64_t i = 0; i < pl->all.n_names; i++) {
        const struct census_name *name = &pl->all.names[i];
        struct object *o = goes(r, name) ? object_of(pl, name) : NULL;

        if (!goes(r, name))
            continue;
        r->files++;
        if (o == NULL)
            continue;
        if (--pl->needed[o - pl->all.objects] == 0 &&
            !kept_is(o, REAPER_GRACE_S))
            r->freed += (uint64_t)o->st.st_size;
    }
    for (uint64_t i = 0; i < pl->all.n_names; i++) {
        const struct census_name *name = &pl->all.names[i];
        struct object *o = goes(r, name) ? object_of(pl, name) : NULL;

        /* Named twice by it, shared once. */
        if (o == NULL || pl->needed[o - pl->all.objects] == 0 || !o->named)
            continue;
        o->named = false;
        r->shared += (uint64_t)o->st.st_size;
    }
}

/* Copies and conversions are a revision's own. */
static void count_own(struct plan *pl, struct removal *r)
{
    for (uint64_t i = 0; i < pl->all.n_objects; i++) {
        const struct object *o = &pl->all.objects[i];

        if (o->repo != NULL && o->repo == r->repo &&
            (o->kind == OBJECT_COPY || o->kind == OBJECT_CONVERTED) &&
            (r->whole || str_eq(o->commit, r->commit)))
            r->freed += (uint64_t)o->st.st_size;
    }
}

/* A repository: what is on disk, with unfinished downloads and all. */
static int count_whole(struct plan *pl, struct removal *r, struct err *e)
{
    char root[PATH_MAX];
    struct walk_entry *found;
    uint64_t n;

    count_names(pl, r);
    r->freed = r->shared = 0;
    if (path_join(root, pl->p->hub.root, r->repo->folder, e) != 0 ||
        walk(root, pl->arena, &found, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        r->freed += found[i].size;
    return 0;
}

static int check_pin(
    const struct place *p, const struct removal *r, struct err *e)
{
    const char *at = r->whole ? "" : "@";
    const char *commit = r->whole ? "" : r->commit.p;

    if (r->repo == NULL ||
        !pin_is(&p->hub, r->repo, r->whole ? NULL : r->commit.p))
        return 0;
    err_set(e, ERR_REFUSED, "%s%s%.12s is pinned", r->repo->id, at, commit);
    return err_hint(e, "mlcache unpin %s%s%s first", r->repo->id, at, commit);
}

static int add(struct plan *pl, struct removal r, struct err *e)
{
    struct removal *list;

    for (uint64_t i = 0; i < pl->n; i++) {
        const struct removal *x = &pl->v[i];
        if (x->repo == r.repo && (x->whole || str_eq(x->commit, r.commit)) &&
            str_eq(x->name, r.name))
            return 0;
    }
    if (check_pin(pl->p, &r, e) != 0)
        return -1;
    if (r.whole ? count_whole(pl, &r, e) != 0 : false)
        return -1;
    if (!r.whole) {
        count_names(pl, &r);
        count_own(pl, &r);
    }
    list = arena_grow(pl->arena, pl->v, pl->n, &pl->cap, sizeof(*list), e);
    if (list == NULL)
        return -1;
    pl->v = list;
    list[pl->n++] = r;
    return 0;
}

static const struct repo *repo_of(const struct plan *pl, const struct target *t)
{
    for (uint64_t i = 0; i < pl->all.n_repos; i++)
        if (strcmp(pl->all.repos[i].folder, t->repo.folder) == 0)
            return &pl->all.repos[i];
    return NULL;
}

static int add_puts(struct plan *pl, const struct target *t, struct err *e)
{
    for (uint64_t i = 0; i < pl->all.n_names; i++) {
        const struct census_name *name = &pl->all.names[i];

        if (name->repo == NULL && target_has_put(t, name->name) &&
            add(pl, (struct removal){ .name = name->name }, e) != 0)
            return -1;
    }
    return 0;
}

static int add_target(struct plan *pl, const struct target *t, struct err *e)
{
    struct removal r = { .whole = t->kind == TARGET_REPO };

    if (t->kind == TARGET_PUT)
        return add_puts(pl, t, e);
    r.repo = repo_of(pl, t);
    if (r.repo == NULL)
        return err_set(e, ERR_MISSING, "'%s' is not held", t->text);
    if (!r.whole)
        r.commit = str_of(t->commit);
    return add(pl, r, e);
}

int removal_plan(const struct place *p, const struct target *targets, size_t n,
    struct removal **out, uint64_t *out_n, struct arena *arena, struct err *e)
{
    struct plan pl = { .p = p, .arena = arena };

    if (census(p, NULL, 0, 0, &pl.all, arena, e) != 0 ||
        count_needed(&pl, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (add_target(&pl, &targets[i], e) != 0)
            return -1;
    *out = pl.v;
    *out_n = pl.n;
    return 0;
}

/* ---- doing it ---- */

/* Objects that had a name among the digests, and have none now. */
static int drop(struct reaper *r, const struct digest *had, uint64_t n_had,
    uint64_t *out_bytes, struct arena *arena, struct err *e)
{
    struct target t = { .kind = TARGET_REPO, .repo = r->repo };
    bool volume = r->repo.folder[0] == '\0';
    struct census now;
    struct object **dead;
    uint64_t n = 0;

    if (census(r->place, &t, volume ? 0 : 1,
            CENSUS_BARE | (volume ? CENSUS_PUTS : 0), &now, arena, e) != 0)
        return -1;
    dead = arena_alloc(arena, n_had, sizeof(struct object *), e);
    if (dead == NULL)
        return -1;
    for (uint64_t i = 0; i < n_had; i++) {
        const struct repo *repo = NULL;
        struct object *o;

        for (uint64_t k = 0; k < now.n_repos && !volume; k++)
            if (strcmp(now.repos[k].folder, r->repo.folder) == 0)
                repo = &now.repos[k];
        o = census_blob(&now, repo, &had[i]);
        if (o == NULL || o->named || kept_is(o, REAPER_GRACE_S))
            continue;
        o->named = true; /* only once in the list */
        dead[n++] = o;
    }
    return reaper_objects(r, dead, n, out_bytes, e);
}

/* Nothing but a husk is left: no snapshot, no download, no quarantine. */
static bool is_husk(const struct reaper *r)
{
    static const char *const parts[] = { "snapshots", "blobs", "ml/quarantine",
        "ml/uniform" };
    struct arena arena AUTO(arena_free) = ARENA_INIT(CENSUS_MAX);
    struct err ignored = ERR_INIT;
    struct walk_entry *found;
    char root[PATH_MAX];
    uint64_t n;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (path_fmt(root, &ignored, "%s/%s/%s", r->place->hub.root,
                r->repo.folder, parts[i]) != 0 ||
            walk(root, &arena, &found, &n, &ignored) != 0 || n > 0)
            return false;
    return true;
}

int removal_evict(
    struct reaper *r, const char *commit, uint64_t *out_bytes, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(CENSUS_MAX);
    struct target t = { .kind = TARGET_REVISION, .repo = r->repo };
    struct digest *had;
    struct census before;
    uint64_t n = 0;

    *out_bytes = 0;
    snprintf(t.commit, sizeof(t.commit), "%s", commit);
    if (census(r->place, &t, 1, 0, &before, &arena, e) != 0)
        return -1;
    had = arena_alloc(&arena, before.n_names, sizeof(*had), e);
    if (had == NULL)
        return -1;
    for (uint64_t i = 0; i < before.n_names; i++)
        if (before.names[i].digest.hex[0] != '\0')
            had[n++] = before.names[i].digest;
    if (reaper_revision(r, commit, e) != 0 ||
        drop(r, had, n, out_bytes, &arena, e) != 0)
        return -1;
    for (uint64_t i = 0; i < before.n_objects; i++)
        if (before.objects[i].kind == OBJECT_COPY ||
            before.objects[i].kind == OBJECT_CONVERTED)
            *out_bytes += (uint64_t)before.objects[i].st.st_size;
    return is_husk(r) ? reaper_repo(r, e) : 0;
}

static void tell_late(const struct reaper *r)
{
    if (!r->lease.honest)
        log_info("locks cannot be relied upon here: the bytes stay in the "
                 "trash for %d hours; mlcache gc frees them then",
            REAPER_GRACE_S / 3600);
}

static int remove_one(const struct place *p, struct removal *x, struct err *e)
{
    struct reaper r AUTO(reaper_close) = REAPER_INIT;
    uint64_t bytes;

    /* It may have been pinned while the user was asked. */
    if (reaper_open(&r, p, x->repo, REAPER_GRACE_S, e) != 0 ||
        check_pin(p, x, e) != 0)
        return -1;
    if (x->whole ? reaper_repo(&r, e) != 0
                 : removal_evict(&r, x->commit.p, &bytes, e) != 0)
        return -1;
    x->done = true;
    if (!x->whole)
        tell_late(&r);
    return 0;
}

/* All put names in one step of the log, then what they led to. */
static int remove_puts(
    const struct place *p, struct removal *v, uint64_t n, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(CENSUS_MAX);
    struct reaper r AUTO(reaper_close) = REAPER_INIT;
    struct edit ed AUTO(edit_close) = EDIT_INIT;
    struct digest *had = arena_alloc(&arena, n, sizeof(*had), e);
    uint64_t n_had = 0, bytes, step;

    if (had == NULL || reaper_open(&r, p, NULL, REAPER_GRACE_S, e) != 0 ||
        edit_begin(&ed, &p->volume, HISTORY_PURGE, true, &arena, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        struct volume_entry entry;
        struct err ignored = ERR_INIT;

        if (v[i].repo != NULL)
            continue;
        if (volume_find(&p->volume, v[i].name.p, &arena, &entry, &ignored) == 0)
            had[n_had++] = entry.sha256;
        if (edit_set(&ed, v[i].name, NULL, e) != 0)
            return -1;
    }
    if (edit_commit(&ed, &step, e) != 0)
        return -1;
    edit_close(&ed);
    for (uint64_t i = 0; i < n; i++)
        v[i].done = v[i].done || v[i].repo == NULL;
    tell_late(&r);
    return drop(&r, had, n_had, &bytes, &arena, e);
}

int removal_run(
    const struct place *p, struct removal *v, uint64_t n, struct err *e)
{
    bool puts = false;

    for (uint64_t i = 0; i < n; i++) {
        puts = puts || v[i].repo == NULL;
        if (v[i].repo != NULL && remove_one(p, &v[i], e) != 0)
            return -1;
    }
    return puts ? remove_puts(p, v, n, e) : 0;
}
