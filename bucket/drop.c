#include "bucket/drop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "bucket/models.h"

enum { REF_MAX = 512 };

struct dropping {
    struct bucket *b;
    struct drop *d;
    char front[REF_MAX]; /* of all its refs */
    struct catalog_file *held;
    uint64_t n_held, room;
    struct arena *arena;
};

static int keep_held(struct dropping *w, const struct catalog *c, struct err *e)
{
    for (uint64_t i = 0; i < c->n; i++) {
        struct catalog_file *v;

        if (!c->files[i].held)
            continue;
        v = arena_grow(w->arena, w->held, w->n_held, &w->room, sizeof(*v), e);
        if (v == NULL)
            return -1;
        w->held = v;
        w->held[w->n_held++] = c->files[i];
    }
    return 0;
}

static int cmp_content(const void *a, const void *b)
{
    const struct catalog_file *x = a, *y = b;

    return strcmp(x->sha256.hex, y->sha256.hex);
}

static void add_up(struct dropping *w)
{
    w->d->files = w->n_held;
    if (w->n_held > 1)
        qsort(w->held, w->n_held, sizeof(*w->held), cmp_content);
    for (uint64_t i = 0; i < w->n_held; i++)
        if (i == 0 || cmp_content(&w->held[i - 1], &w->held[i]) != 0)
            w->d->bytes += w->held[i].size;
}

/* Does this ref go? One that was emptied before does not. */
static int look_at(struct dropping *w, struct str ref, char named[41],
    bool *goes, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct catalog c;
    struct tip head;

    *goes = false;
    if (names_load(w->b, ref.p, &arena, &c, &head, e) != 0)
        return -1;
    if (head.n == 0 || c.commit[0] == '\0' ||
        (w->d->commit[0] != '\0' && strcmp(w->d->commit, c.commit) != 0))
        return 0;
    *goes = true;
    memcpy(named, c.commit, 41);
    return keep_held(w, &c, e);
}

/* The branches and tags, or the commits. */
static int look_at_all(struct dropping *w, const struct str *names, uint64_t n,
    bool commits, struct err *e)
{
    size_t front = strlen(w->front);

    for (uint64_t i = 0; i < n; i++) {
        bool goes;

        if (repo_is_commit(names[i].p + front) != commits)
            continue;
        if (look_at(w, names[i], w->d->named[w->d->n_refs], &goes, e) != 0)
            return -1;
        if (goes)
            w->d->refs[w->d->n_refs++] = names[i];
    }
    return 0;
}

int drop_plan(struct bucket *b, const struct repo *r, bool whole,
    struct arena *arena, struct drop *out, struct err *e)
{
    struct dropping w = { .b = b, .d = out, .arena = arena };
    struct str *names;
    uint64_t n;

    *out = (struct drop){ .repo = *r };
    snprintf(w.front, sizeof(w.front), "hub/%s/", r->folder);
    if (bucket_need(b, e) != 0)
        return -1;
    if (!whole && models_commit(b, r, out->commit, e) != 0) {
        if (e->kind == ERR_MISSING)
            e->hint[0] = '\0'; /* how it would come there */
        return -1;
    }
    if (tip_names(b, w.front, arena, &names, &n, e) != 0)
        return -1;
    out->refs = arena_alloc(arena, n, sizeof(*out->refs), e);
    out->named = arena_alloc(arena, n, sizeof(*out->named), e);
    if (out->refs == NULL || out->named == NULL ||
        look_at_all(&w, names, n, false, e) != 0 ||
        look_at_all(&w, names, n, true, e) != 0)
        return -1;
    add_up(&w);
    if (out->n_refs > 0)
        return 0;
    err_set(e, ERR_MISSING, "%s: no %s%s%s there", b->shown, r->id,
        whole ? "" : "@", whole ? "" : r->revision);
    return err_hint(e, "files that were put go with mlfetch rm");
}

static bool was_named(const struct drop *d, const char *commit)
{
    for (uint64_t i = 0; i < d->n_refs; i++)
        if (strcmp(d->named[i], commit) == 0)
            return true;
    return false;
}

/* The commit that a ref of the repository names; "": none. */
static int commit_of(
    struct bucket *b, const char *ref, char out[41], struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct catalog c;

    if (names_load(b, ref, &arena, &c, NULL, e) != 0)
        return -1;
    memcpy(out, c.commit, 41);
    return 0;
}

/*
 * A pull that named a commit after its branches were emptied has seen its
 * listing still there, and looks no more: that branch goes, too.
 */
static int drop_late(struct bucket *b, const struct drop *d, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct names_change change = { .what = "rm", .commit = "", .all = true };
    char front[REF_MAX], listing[REF_MAX], named[41], there[41];
    struct str *names;
    uint64_t n, number;
    int len = snprintf(front, sizeof(front), "hub/%s/", d->repo.folder);

    if (tip_names(b, front, &arena, &names, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        if (repo_is_commit(names[i].p + len))
            continue;
        if (commit_of(b, names[i].p, named, e) != 0)
            return -1;
        if (named[0] == '\0' || !was_named(d, named))
            continue;
        snprintf(listing, sizeof(listing), "%s%s", front, named);
        if (commit_of(b, listing, there, e) != 0)
            return -1;
        change.ref = names[i].p;
        change.only = named;
        if (there[0] == '\0' && names_commit(b, &change, &number, e) != 0)
            return -1;
    }
    return 0;
}

int drop_run(struct bucket *b, const struct drop *d, struct err *e)
{
    struct names_change change = { .what = "rm", .commit = "", .all = true };
    uint64_t number;

    for (uint64_t i = 0; i < d->n_refs; i++) {
        change.ref = d->refs[i].p;
        change.only = d->named[i];
        if (names_commit(b, &change, &number, e) != 0)
            return -1;
    }
    return drop_late(b, d, e);
}
