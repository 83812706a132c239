#include "cache/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/checklog.h"
#include "cache/quarantine.h"
#include "cache/walk.h"

#include "base/file.h"
#include "base/log.h"
#include "base/path.h"
#include "base/pool.h"

/* Replaced while it was read, again and again: somebody is at work on it. */
enum { TRIES_MAX = 3 };

enum verdict { VERDICT_NONE, VERDICT_RIGHT, VERDICT_RESUMED, VERDICT_WRONG };

/* One object to be hashed. */
struct job {
    struct object *object;
    const struct checklog *log;
    struct progress *bars;
    enum verdict verdict;
    enum wrong_kind kind;
    struct err err; /* VERDICT_NONE: it could not be looked at */
    char why[120];  /* VERDICT_WRONG */
};

static void add(void *item, uint64_t bytes)
{
    progress_add(item, bytes);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
           a->st_size == b->st_size && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static void wrong(struct job *j, const char *why)
{
    j->verdict = VERDICT_WRONG;
    snprintf(j->why, sizeof(j->why), "%s", why);
    err_clear(&j->err);
}

/* It may be as it was, but for the disk. */
static void unread(struct job *j)
{
    wrong(j, "could not be read");
    j->kind = WRONG_UNREAD;
}

/* What a failure to read it means. */
static void judge_failure(struct job *j)
{
    if (j->err.kind == ERR_CORRUPT)
        wrong(j, "cut short");
    else if (j->err.sys == EIO)
        unread(j);
    else if (j->err.kind == ERR_MISSING && j->object->kind == OBJECT_CONVERTED)
        wrong(j, "gone");
    else if (j->err.kind == ERR_MISSING)
        err_clear(&j->err); /* removed since it was listed */
}

static void hash_once(struct job *j, struct progress_item *item)
{
    struct object *o = j->object;
    struct digest got;
    struct stat st;

    if (file_hash(o->path.p, (int)o->digest.kind, &got, add, item, &j->err) !=
        0) {
        judge_failure(j);
        return;
    }
    if (stat(o->path.p, &st) != 0 || !is_same(&st, &o->st)) {
        o->st = st;
        return; /* another file by now: look again */
    }
    if (digest_eq(&got, &o->digest)) {
        j->verdict = VERDICT_RIGHT;
        checklog_add(j->log, &o->digest, &o->st);
        return;
    }
    wrong(j, "its digest is another");
}

static void hash_one(void *arg, size_t i)
{
    struct job *j = (struct job *)arg + i;
    struct object *o = j->object;
    char name[1025];
    struct progress_item *item;

    snprintf(name, sizeof(name), "%.*s", STR_ARG(o->shown));
    item = progress_item(j->bars, name, (uint64_t)o->st.st_size);
    if (checklog_has(j->log, &o->digest, &o->st)) {
        j->verdict = VERDICT_RESUMED;
        progress_held(item, (uint64_t)o->st.st_size);
    }
    for (int n = 0;
         n < TRIES_MAX && j->verdict == VERDICT_NONE && j->err.kind == ERR_NONE;
         n++)
        hash_once(j, item);
    progress_done(item);
}

/* Large ones first, so that no core has the last one alone. */
static int by_size(const void *a, const void *b)
{
    const struct job *x = a, *y = b;
    off_t m = x->object->st.st_size, n = y->object->st.st_size;

    if (m != n)
        return m > n ? -1 : 1;
    return str_cmp(x->object->path, y->object->path);
}

static bool sampled(const struct verify *v, const struct digest *d)
{
    char front[9] = "";

    if (v->samples == 0)
        return true;
    memcpy(front, d->hex, 8);
    return strtoull(front, NULL, 16) % v->samples == v->sample - 1;
}

static uint64_t choose(const struct verify *v, struct job *jobs,
    const struct checklog *log, uint64_t *bytes)
{
    uint64_t n = 0;

    *bytes = 0;
    for (uint64_t i = 0; i < v->census.n_objects; i++) {
        struct object *o = &v->census.objects[i];

        if (!sampled(v, &o->digest))
            continue;
        jobs[n++] = (struct job){ .object = o, .log = log };
        *bytes += (uint64_t)o->st.st_size;
    }
    if (n > 1)
        qsort(jobs, n, sizeof(*jobs), by_size);
    return n;
}

static int hash_all(const struct verify *v, struct job *jobs, uint64_t n,
    uint64_t bytes, struct err *e)
{
    struct progress *bars AUTO(progress_close_auto) = NULL;
    struct pool *pool AUTO(pool_close_auto) =
        pool_open((unsigned)size_max(1, size_min(pool_cores(), n)), e);

    if (pool == NULL)
        return -1;
    bars = progress_open(v->progress, "checking", bytes, e);
    if (bars == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        jobs[i].bars = bars;
    pool_run(pool, n, hash_one, jobs);
    for (uint64_t i = 0; i < n; i++)
        if (jobs[i].err.kind == ERR_CANCELLED ||
            jobs[i].err.kind == ERR_NOMEM) {
            *e = jobs[i].err;
            return -1;
        }
    return 0;
}

/* ---- what was found ---- */

struct findings {
    struct verify *v;
    struct arena *arena;
    uint64_t cap;
};

static struct wrong *add_wrong(struct findings *f, struct wrong w,
    const char *why, const char *moved, struct err *e)
{
    struct verify *v = f->v;
    struct wrong *list =
        arena_grow(f->arena, v->wrong, v->n_wrong, &f->cap, sizeof(*list), e);

    if (list == NULL)
        return NULL;
    v->wrong = list;
    w.why = arena_str(f->arena, str_of(why), e);
    w.moved = arena_str(f->arena, str_of(moved), e);
    if (w.why.p == NULL || w.moved.p == NULL)
        return NULL;
    list += v->n_wrong++;
    *list = w;
    return list;
}

/* Which names lead to it: how many, and the first of them. */
static void find_names(const struct census *c, struct wrong *w)
{
    for (uint64_t i = 0; i < c->n_names; i++) {
        const struct census_name *name = &c->names[i];

        if (name->repo != w->repo || !digest_eq(&name->digest, &w->digest))
            continue;
        if (w->names++ > 0)
            continue;
        w->name = name->name;
        w->commit = name->commit;
    }
}

/* A copy has one name, which is its own path. */
static void find_own_name(const struct census *c, struct wrong *w)
{
    for (uint64_t i = 0; i < c->n_names && w->names == 0; i++) {
        const struct census_name *name = &c->names[i];
        char tail[PATH_MAX];
        struct err ignored = ERR_INIT;

        if (name->repo != w->repo ||
            path_fmt(tail, &ignored, "/snapshots/%.*s/%.*s",
                STR_ARG(name->commit), STR_ARG(name->name)) != 0 ||
            !str_ends(w->path, tail))
            continue;
        w->names = 1;
        w->name = name->name;
        w->commit = name->commit;
    }
}

/*
 * Where there are no symbolic links, an entry of a snapshot is the file
 * itself: it must not stay in sight. It counts as missing from now on.
 */
static int clear_entries(struct verify *v, const struct object *o,
    const struct wrong *w, struct err *e)
{
    for (uint64_t i = 0; i < v->census.n_names; i++) {
        struct census_name *name = &v->census.names[i];
        char path[PATH_MAX];

        if (name->repo != o->repo || !digest_eq(&name->digest, &o->digest))
            continue;
        if (path_fmt(path, e, "%s/%s/snapshots/%.*s/%.*s", v->place->hub.root,
                o->repo->folder, STR_ARG(name->commit),
                STR_ARG(name->name)) != 0)
            return -1;
        if (quarantine_entry(path, o, e) != 0)
            return -1;
        name->broken =
            !str_eq(name->name, w->name) || !str_eq(name->commit, w->commit);
    }
    return 0;
}

static int take_wrong(struct findings *f, const struct job *j, struct err *e)
{
    const struct object *o = j->object;
    struct wrong w = { .kind = j->kind,
        .repo = o->repo,
        .path = o->path,
        .name = o->shown,
        .digest = o->digest,
        .content = o->kind == OBJECT_CONTENT,
        .converted = o->kind == OBJECT_CONVERTED };
    char moved[PATH_MAX] = "";
    struct err why = ERR_INIT;

    if (o->kind == OBJECT_COPY)
        find_own_name(&f->v->census, &w);
    else if (o->kind != OBJECT_CONVERTED)
        find_names(&f->v->census, &w);
    if (quarantine_object(f->v->place, o, moved, &why) != 0) {
        moved[0] = '\0';
        /* Another file of the conversion has taken it along. */
        if (why.kind != ERR_MISSING)
            log_warn("left where it is: %s", why.msg);
    } else if (o->kind == OBJECT_BLOB && o->st.st_nlink > 1 &&
               clear_entries(f->v, o, &w, e) != 0) {
        return -1;
    }
    return add_wrong(f, w, j->why, moved, e) != NULL ? 0 : -1;
}

static int take_jobs(
    struct findings *f, const struct job *jobs, uint64_t n, struct err *e)
{
    for (uint64_t i = 0; i < n; i++) {
        const struct job *j = &jobs[i];

        if (j->verdict == VERDICT_RESUMED)
            f->v->resumed++;
        if (j->verdict == VERDICT_RIGHT || j->verdict == VERDICT_WRONG) {
            f->v->checked++;
            f->v->checked_bytes += (uint64_t)j->object->st.st_size;
        }
        if (j->verdict == VERDICT_WRONG && take_wrong(f, j, e) != 0)
            return -1;
        if (j->verdict == VERDICT_NONE && j->err.kind != ERR_NONE) {
            f->v->unreadable++;
            log_warn("%s", j->err.msg);
        }
    }
    return 0;
}

static int take_names(struct findings *f, struct err *e)
{
    const struct census *c = &f->v->census;

    for (uint64_t i = 0; i < c->n_names; i++) {
        const struct census_name *name = &c->names[i];
        struct wrong w = { .kind = name->broken ? WRONG_MISSING : WRONG_OTHER,
            .repo = name->repo,
            .name = name->name,
            .commit = name->commit,
            .digest = name->digest,
            .names = 1,
            .content = name->repo == NULL };

        if ((name->broken || name->other) &&
            add_wrong(f, w,
                name->broken ? "leads nowhere"
                             : "is not what the commit's listing says",
                "", e) == NULL)
            return -1;
    }
    return 0;
}

static int take_refs(struct findings *f, struct err *e)
{
    const struct census *c = &f->v->census;

    for (uint64_t i = 0; i < c->n_refs; i++) {
        struct wrong w = { .kind = WRONG_REF,
            .repo = c->refs[i].repo,
            .name = c->refs[i].name,
            .names = 1 };
        char moved[PATH_MAX] = "";
        struct err why = ERR_INIT;

        if (quarantine_ref(f->v->place, &c->refs[i], moved, &why) != 0) {
            log_warn("left where it is: %s", why.msg);
            moved[0] = '\0';
        }
        if (add_wrong(f, w, "names no commit", moved, e) == NULL)
            return -1;
    }
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct wrong *x = a, *y = b;
    int c = x->repo == NULL || y->repo == NULL
                ? (x->repo != NULL) - (y->repo != NULL)
                : strcmp(x->repo->folder, y->repo->folder);

    if (c == 0)
        c = str_cmp(x->commit, y->commit);
    if (c == 0)
        c = str_cmp(x->name, y->name);
    return c != 0 ? c : strcmp(x->digest.hex, y->digest.hex);
}

static int take_all(
    struct findings *f, const struct job *jobs, uint64_t n, struct err *e)
{
    struct verify *v = f->v;

    if (take_jobs(f, jobs, n, e) != 0 || take_names(f, e) != 0 ||
        take_refs(f, e) != 0)
        return -1;
    if (v->n_wrong > 1)
        qsort(v->wrong, v->n_wrong, sizeof(*v->wrong), by_place);
    return 0;
}

/* Where no scanner looks. */
static int log_path(const struct place *p, char *out, struct err *e)
{
    return p->has_volume
               ? path_join(out, p->volume.root, "verify.log", e)
               : path_join(out, p->hub.root, ".locks/ml-verify.log", e);
}

int verify_run(struct verify *v, struct arena *arena, struct err *e)
{
    struct checklog log AUTO(checklog_close) = CHECKLOG_INIT;
    struct findings f = { .v = v, .arena = arena };
    char path[PATH_MAX];
    struct job *jobs;
    uint64_t n, bytes;

    if (census(v->place, v->targets, v->n_targets, 0, &v->census, arena, e) !=
            0 ||
        log_path(v->place, path, e) != 0)
        return -1;
    checklog_open(&log, path, arena);
    jobs = arena_alloc(arena, v->census.n_objects, sizeof(*jobs), e);
    if (jobs == NULL)
        return -1;
    n = choose(v, jobs, &log, &bytes);
    if (n > 0 && hash_all(v, jobs, n, bytes, e) != 0)
        return -1;
    if (take_all(&f, jobs, n, e) != 0)
        return -1;
    checklog_end(&log);
    return 0;
}

uint64_t verify_left(const struct verify *v)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < v->n_wrong; i++) {
        const struct wrong *w = &v->wrong[i];
        /* Out of the way, and nobody misses it, or it is made anew. */
        bool gone = w->moved.len > 0 && (w->names == 0 || w->converted);

        n += !w->repaired && !gone;
    }
    return n;
}
