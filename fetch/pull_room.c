/* Before the first byte: the lease, the folder, the room on disk. */
#include "fetch/pull.h"
#include "fetch/pull_internal.h"

/* Is there anything to write? A cache that cannot be written may do. */
bool pull_changes(const struct pull *p)
{
    for (size_t i = 0; i < p->plan.n; i++)
        if (p->plan.files[i].state != PLAN_HELD)
            return true;
    return p->tree_is_new;
}

struct conversion pull_conversion(const struct pull *p)
{
    return (struct conversion){ .kind = p->convert,
        .dir = p->dir,
        .repo = &p->repo,
        .commit = p->commit,
        .volume = p->volume,
        .progress = p->progress };
}

/* What cannot be converted in the end need not be fetched. */
static int check_convert(const struct pull *p, struct err *e)
{
    struct conversion c = pull_conversion(p);

    if (p->convert == CONVERSION_NONE || pull_is_proof(p))
        return 0;
    return conversion_able(&c, e);
}

/* A plain folder is filled by one process at a time. */
static int enter(struct pull *p, struct err *e)
{
    bool waited;

    if (p->local == NULL)
        return 0;
    if (localdir_init(p->local, e) != 0)
        return -1;
    p->entered = localdir_enter(p->local, &waited, e);
    if (p->entered < 0 || (waited && pull_make_plan(p, e) != 0))
        return -1;
    return pull_count_copies(p, e);
}

int pull_hold(struct pull *p, bool create, struct err *e)
{
    const struct hubdir *h = p->local != NULL ? p->seed : p->dir;
    char path[PATH_MAX];

    /* Of a plain folder: what it takes from the cache stays there. */
    if (lease_of_repo(h, &p->repo, path, e) != 0)
        return -1;
    return lease_hold(&p->lease, path, create, e);
}

/* Is all that the plan counts on still there? */
static int still_there(const struct pull *p, bool *out, struct err *e)
{
    *out = true;
    for (size_t i = 0; i < p->plan.n && *out; i++) {
        const struct plan_file *f = &p->plan.files[i];
        int have = HAVE;

        if (f->state == PLAN_HELD)
            have = hubdir_have(p->dir, &p->repo, p->commit, f->file, e);
        else if (f->state == PLAN_LINK)
            have = hubdir_have_blob(p->dir, &p->repo, f->file, e);
        if (have < 0)
            return -1;
        *out = have == HAVE;
    }
    return 0;
}

/*
 * From here on nothing is collected that is here. What was planned before the
 * lease could be had is looked at again.
 */
static int enter_cache(struct pull *p, struct err *e)
{
    bool same;

    if (p->local != NULL || p->lease.fd >= 0 || pull_is_proof(p))
        return 0;
    if (pull_hold(p, true, e) != 0 || still_there(p, &same, e) != 0)
        return -1;
    return same ? 0 : pull_make_plan(p, e);
}

/* What stands in the way of n pulls; with take their room is taken, too. */
static int prepare(struct pull *v, size_t n, bool take, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)64 << 20);
    struct space *parts = arena_alloc(&arena, n, sizeof(*parts), e);
    size_t used = 0;

    if (parts == NULL)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (check_convert(&v[i], e) != 0 || pull_check_offline(&v[i], e) != 0)
            return -1;
        if (take && enter_cache(&v[i], e) != 0)
            return -1;
        if (!pull_changes(&v[i]))
            continue;
        if (take && enter(&v[i], e) != 0)
            return -1;
        parts[used++] = pull_space(&v[i]);
    }
    return (take ? space_reserve : space_check)(parts, used, e);
}

int pull_check(struct pull *v, size_t n, struct err *e)
{
    return prepare(v, n, false, e);
}

int pull_reserve(struct pull *v, size_t n, struct err *e)
{
    /* What must fail fails before anything is written, a lease's file too. */
    if (prepare(v, n, false, e) != 0)
        return -1;
    return prepare(v, n, true, e);
}
