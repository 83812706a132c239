/*
 * The names of what came: of a commit, its entries, listing and ref, in the
 * order of a pull; of put files, each its own. What the place says of a name
 * already is not changed, unless that was asked for.
 */
#include "cache/adopt.h"
#include "cache/adopt_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cache/apply.h"
#include "cache/clash.h"
#include "cache/edit.h"
#include "cache/unfinished.h"
#include "cache/used.h"
#include "cache/volume_internal.h"

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"

int adopt_fault(struct adopt *a, uint64_t name, enum fault_kind kind,
    const char *why, struct err *e)
{
    struct foreign *f = &a->foreign;
    const struct foreign_name *n = &f->names[name];

    f->sets[n->set].broken++;
    a->files[n->file].failed = true;
    return foreign_fault(f, kind, n->entry, n->name, why, e);
}

/* ---- a commit ---- */

/* One commit on its way into the place. */
struct commit {
    struct adopt *a;
    const struct foreign_set *set;
    struct tree here; /* the listing that the place has of it */
    bool listed;
    const struct tree_file **files; /* whose entries are to be made */
    size_t n;
    bool lies; /* the source's listing says another size of one */
};

static struct tree_file *entry_of(
    const struct commit *c, const struct foreign_name *name, struct err *e)
{
    const struct adopt_file *file = &c->a->files[name->file];
    struct tree_file *f = arena_alloc(c->a->foreign.arena, 1, sizeof(*f), e);

    if (f == NULL)
        return NULL;
    f->path = name->name;
    f->size = file->size;
    f->lfs = file->digest.kind == HASH_SHA256;
    if (f->lfs)
        f->sha256 = file->digest;
    else
        f->oid = file->digest;
    return f;
}

static int add_entry(struct commit *c, uint64_t i, struct err *e)
{
    struct adopt *a = c->a;
    struct tree_file *f = entry_of(c, &a->foreign.names[i], e);
    const struct tree_file *said;
    int have;

    if (f == NULL)
        return -1;
    said = clash_listed(&c->set->tree, f->path);
    c->lies = c->lies || (said != NULL && said->size != f->size);
    if (clash(&a->place->hub, c->set->repo, c->set->commit,
            c->listed ? &c->here : NULL, f))
        return adopt_fault(a, i, FAULT_CLASH,
            "this commit has other content there where it is to go", e);
    have = hubdir_have(&a->place->hub, c->set->repo, c->set->commit, f, e);
    if (have < 0)
        return -1;
    a->names[i] = have == HAVE ? ADOPT_NAME_HELD : ADOPT_NAME_NEW;
    c->files[c->n++] = f;
    return 0;
}

static int write_commit(struct commit *c, struct err *e)
{
    const struct hubdir *h = &c->a->place->hub;
    const struct foreign_set *set = c->set;

    /* Not all of it came: nobody may take it for whole. */
    if (set->broken > 0 && !c->listed &&
        unfinished_mark(h, set->repo, set->commit, e) != 0)
        return -1;
    if (hubdir_link_all(h, set->repo, set->commit, c->files, c->n, e) != 0)
        return -1;
    if (set->listed && !c->listed && !c->lies &&
        hubdir_set_tree(h, set->repo, set->commit, &set->tree, e) != 0)
        return -1;
    /* Without a listing nobody knows what a pull wanted that did not end. */
    if (set->broken == 0 && set->listed && !c->lies)
        unfinished_clear(h, set->repo, set->commit);
    /* Nobody may take it for one whose removal is to be ended. */
    used_note(h, set->repo, set->commit);
    return 0;
}

/* Names from i on, all of one commit; i behind them. */
static int name_commit(struct adopt *a, uint64_t *i, struct err *e)
{
    struct foreign *f = &a->foreign;
    uint64_t set = f->names[*i].set, from = *i;
    struct commit c = { .a = a, .set = &f->sets[set] };
    int have = hubdir_tree(
        &a->place->hub, c.set->repo, c.set->commit, f->arena, &c.here, e);

    if (have < 0)
        return -1;
    c.listed = have == HAVE;
    while (*i < f->n_names && f->names[*i].set == set)
        ++*i;
    c.files = arena_alloc(f->arena, *i - from, sizeof(const void *), e);
    if (c.files == NULL)
        return -1;
    for (uint64_t k = from; k < *i; k++)
        if (adopt_is_in(a, f->names[k].file) && add_entry(&c, k, e) != 0)
            return -1;
    if (c.n == 0 || a->dry_run)
        return 0;
    return write_commit(&c, e);
}

/* ---- refs ---- */

/* The commit a ref names, if all that the source has of it is here. */
static bool is_whole(const struct adopt *a, const struct foreign_ref *ref)
{
    for (uint64_t i = 0; i < a->foreign.n_sets; i++) {
        const struct foreign_set *s = &a->foreign.sets[i];

        if (s->repo != NULL && strcmp(s->commit, ref->commit) == 0 &&
            strcmp(s->repo->folder, ref->repo.folder) == 0)
            return s->broken == 0;
    }
    return false;
}

static int name_refs(struct adopt *a, struct err *e)
{
    for (uint64_t i = 0; i < a->foreign.n_refs && !a->dry_run; i++) {
        const struct foreign_ref *ref = &a->foreign.refs[i];
        char now[41];
        int have;

        if (!is_whole(a, ref))
            continue;
        have = hubdir_ref(&a->place->hub, &ref->repo, now, e);
        if (have < 0)
            return -1;
        if (have == HAVE && strcmp(now, ref->commit) != 0) {
            log_info("%s: '%s' stays at %.12s here; the source has %.12s",
                ref->repo.id, ref->repo.revision, now, ref->commit);
            continue;
        }
        if (hubdir_set_ref(&a->place->hub, &ref->repo, ref->commit, e) != 0)
            return -1;
    }
    return 0;
}

/* ---- put files ---- */

/* Put names in their order; those of one name as the source has them. */
static int by_name(const void *x, const void *y, void *adopt)
{
    const struct foreign_name *names = ((struct adopt *)adopt)->foreign.names;
    uint64_t m = *(const uint64_t *)x, n = *(const uint64_t *)y;
    int order = str_cmp(names[m].name, names[n].name);

    return order != 0 ? order : m < n ? -1 : m > n;
}

/* Of files that want one name the first has it, whatever is forced. */
static int refuse_twice(struct adopt *a, struct err *e)
{
    const struct foreign *f = &a->foreign;
    uint64_t *order = arena_alloc(f->arena, f->n_names, sizeof(*order), e);
    uint64_t n = 0, first = 0;

    if (order == NULL)
        return -1;
    for (uint64_t i = 0; i < f->n_names; i++)
        if (f->sets[f->names[i].set].repo == NULL &&
            adopt_is_in(a, f->names[i].file))
            order[n++] = i;
    qsort_r(order, n, sizeof(*order), by_name, a);
    for (uint64_t i = 1; i < n; i++) {
        const struct foreign_name *x = &f->names[order[first]];
        const struct foreign_name *y = &f->names[order[i]];

        if (!str_eq(x->name, y->name)) {
            first = i;
        } else if (!digest_eq(
                       &a->files[x->file].digest, &a->files[y->file].digest)) {
            a->names[order[i]] = ADOPT_NAME_REFUSED;
            if (adopt_fault(a, order[i], FAULT_OTHER,
                    "another file of the source has its name", e) != 0)
                return -1;
        }
    }
    return 0;
}

static struct volume_entry entry_of_put(const struct adopt *a, uint64_t i)
{
    const struct foreign_name *name = &a->foreign.names[i];
    const struct adopt_file *file = &a->files[name->file];

    return (struct volume_entry){ .name = name->name,
        .size = file->size,
        .sha256 = file->digest,
        .mtime = time(NULL) };
}

/* What is to become of one of them; into the step, but of a dry run. */
static int plan_put(struct adopt *a, uint64_t i, struct edit *ed, struct err *e)
{
    const struct volume *v = &a->place->volume;
    struct arena *arena = a->foreign.arena;
    struct volume_entry old, now = entry_of_put(a, i);
    struct err why = ERR_INIT;
    int rc = 1;

    if (volume_exists(v)) {
        rc = volume_entry_read(v, now.name, arena, &old, &why);
        if (rc < 0 && why.kind == ERR_REFUSED)
            return adopt_fault(a, i, FAULT_UNSAFE, why.msg, e);
        err_clear(&why);
        if (rc != 0 && edit_name_free(v, now.name, NULL, arena, &why) != 0)
            return adopt_fault(a, i, FAULT_CLASH, why.msg, e);
    }
    if (rc == 0 && digest_eq(&old.sha256, &now.sha256)) {
        a->names[i] = ADOPT_NAME_HELD;
        return 0;
    }
    if (rc == 0 && !a->force)
        return adopt_fault(a, i, FAULT_CLASH,
            "the volume has other content under its name", e);
    a->names[i] = ADOPT_NAME_NEW;
    return a->dry_run ? 0 : edit_set(ed, now.name, &now, e);
}

/* Whoever stored it may not have come to syncing the folder of its folder. */
static int sync_store(const struct volume *v, struct err *e)
{
    char path[PATH_MAX];

    return path_join(path, v->root, "store/sha256", e) != 0 ? -1
                                                            : dir_sync(path, e);
}

/* Two of a set cannot be a file and a folder at once: none has a name then. */
static int refuse_set(
    struct adopt *a, uint64_t from, uint64_t to, const char *why, struct err *e)
{
    for (uint64_t k = from; k < to; k++) {
        if (a->names[k] != ADOPT_NAME_NEW)
            continue;
        a->names[k] = ADOPT_NAME_REFUSED;
        if (adopt_fault(a, k, FAULT_CLASH, why, e) != 0)
            return -1;
    }
    return 0;
}

/* Names from i on, all of one set, as one step of the log; i behind them. */
static int name_puts(struct adopt *a, uint64_t *i, struct err *e)
{
    const struct volume *v = &a->place->volume;
    const struct foreign *f = &a->foreign;
    struct edit ed AUTO(edit_close) = EDIT_INIT;
    uint64_t set = f->names[*i].set, from = *i, step;
    struct err why = ERR_INIT;

    if (!a->dry_run && edit_begin(&ed, v, "adopt", false, f->arena, e) != 0)
        return -1;
    for (; *i < f->n_names && f->names[*i].set == set; ++*i)
        if (a->names[*i] != ADOPT_NAME_REFUSED &&
            adopt_is_in(a, f->names[*i].file) && plan_put(a, *i, &ed, e) != 0)
            return -1;
    if (a->dry_run)
        return 0;
    if (ed.step.n > 0 && sync_store(v, e) != 0)
        return -1;
    if (edit_commit(&ed, &step, &why) != 0) {
        if (why.kind == ERR_REFUSED)
            return refuse_set(a, from, *i, why.msg, e);
        *e = why;
        return -1;
    }
    /* A kill may have come between the name and its view. */
    for (uint64_t k = from; k < *i; k++) {
        struct volume_entry now = entry_of_put(a, k);

        if (a->names[k] >= ADOPT_NAME_HELD)
            apply_show(v, &now);
    }
    return 0;
}

int adopt_name_all(struct adopt *a, struct err *e)
{
    const struct foreign *f = &a->foreign;

    if (refuse_twice(a, e) != 0)
        return -1;
    for (uint64_t i = 0; i < f->n_names;) {
        if (f->sets[f->names[i].set].repo != NULL) {
            if (name_commit(a, &i, e) != 0)
                return -1;
        } else if (name_puts(a, &i, e) != 0) {
            return -1;
        }
    }
    return name_refs(a, e);
}
