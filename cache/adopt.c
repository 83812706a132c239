/* The bytes: hashed on all cores, each brought where it belongs. */
#include "cache/adopt.h"
#include "cache/adopt_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/checklog.h"
#include "cache/hubdir_internal.h"
#include "cache/volume_internal.h"

#include "base/human.h"
#include "base/log.h"
#include "base/path.h"
#include "base/pool.h"

/* One file to be looked at. */
struct job {
    struct adopt *a;
    const struct checklog *log;
    struct progress *bars;
    uint64_t file;
    const char *work;              /* where it is begun */
    const struct trouble *trouble; /* NULL: none; few have one */
};

struct trouble {
    enum fault_kind fault; /* with why: it is broken; FAULT_KINDS: it is not */
    char why[200];
    struct err err; /* the place failed, or the user interrupted */
};

static const struct trouble out_of_memory = { .fault = FAULT_KINDS,
    .err = { .kind = ERR_NOMEM, .msg = "out of memory" } };

static void trouble(struct job *j, const struct trouble *what)
{
    struct trouble *t = malloc(sizeof(*t));

    if (t != NULL)
        *t = *what;
    j->trouble = t != NULL ? t : &out_of_memory;
}

static void free_troubles(struct job *jobs, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (jobs[i].trouble != &out_of_memory)
            free((void *)(uintptr_t)jobs[i].trouble);
}

static struct foreign_file *file_of(const struct job *j)
{
    return &j->a->foreign.files[j->file];
}

static void fault(struct job *j, enum fault_kind kind, const char *why)
{
    struct trouble t = { .fault = kind };

    snprintf(t.why, sizeof(t.why), "%.*s", (int)sizeof(t.why) - 1, why);
    trouble(j, &t);
    j->a->files[j->file].state = ADOPT_BROKEN;
}

int adopt_place(const struct adopt *a, uint64_t file,
    const struct digest *digest, char *out, struct err *e)
{
    const struct repo *r = a->foreign.files[file].repo;

    return r != NULL ? hubdir_blob(&a->place->hub, r, digest, out, e)
                     : volume_stored(&a->place->volume, digest, out, e);
}

/* Has the place this content? now: its bytes are not looked at. */
static bool holds(
    struct job *j, const struct digest *d, const struct stat *source, bool now)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    struct digest got;
    struct stat st;

    if (adopt_place(j->a, j->file, d, path, &ignored) != 0 ||
        stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
        st.st_size != source->st_size)
        return false;
    if (now || (st.st_ino == source->st_ino && st.st_dev == source->st_dev))
        return true;
    return file_hash(path, (int)d->kind, &got, NULL, NULL, &ignored) == 0 &&
           digest_eq(&got, d);
}

/* What a failure to read it, or to bring it, means. */
static void judge_failure(
    struct job *j, const struct bring *b, const struct err *why)
{
    if (b->unreadable && why->kind == ERR_IO)
        fault(j, FAULT_UNREADABLE, "the disk cannot read it");
    else if (why->kind == ERR_CORRUPT)
        fault(j, FAULT_DAMAGED, "cut while it was read");
    else if (why->kind == ERR_BUSY)
        fault(j, FAULT_UNFINISHED, "changed while it was read");
    else if (why->kind == ERR_REFUSED)
        fault(j, FAULT_UNFIT, why->msg);
    else
        trouble(j, &(struct trouble){ .fault = FAULT_KINDS, .err = *why });
}

static void judge_open(struct job *j, const struct err *why)
{
    if (why->kind == ERR_MISSING)
        fault(j, FAULT_MISSING, "gone since it was listed");
    else if (why->kind == ERR_REFUSED)
        fault(j, FAULT_UNSAFE, "no regular file behind folders any more");
    else
        fault(j, FAULT_UNREADABLE, strerror(why->sys));
}

/* An empty one says nothing: it was meant to hold something. */
static bool is_of_model(struct str name)
{
    static const char *const tails[] = { ".gguf", ".ggml", ".safetensors",
        ".bin", ".pt", ".pth", ".ckpt", ".onnx", ".h5", ".msgpack", ".npz",
        ".json" };

    for (size_t i = 0; i < ARRAY_LEN(tails); i++)
        if (str_ends(name, tails[i]))
            return true;
    return false;
}

/* Are these the bytes that were promised? Says no by a fault. */
static bool is_sound(
    struct job *j, const struct bring *b, const struct digest *got)
{
    const struct foreign_file *f = file_of(j);
    bool known = f->digest.hex[0] != '\0';

    if (known && digest_eq(got, &f->digest))
        return true;
    if (b->st.st_size == 0 && (known || is_of_model(f->shown)))
        fault(j, FAULT_DAMAGED, "is empty");
    else if (b->zeros)
        fault(j, FAULT_DAMAGED, "holds nothing but zeros");
    else if (known)
        fault(j, FAULT_DAMAGED,
            f->digest.kind == HASH_GIT_SHA1 ? "its git SHA-1 is another"
                                            : "its SHA-256 is another");
    return !known && j->trouble == NULL;
}

static enum hash_kind kind_of(const struct foreign_file *f)
{
    return f->digest.hex[0] != '\0' ? f->digest.kind : HASH_SHA256;
}

/* Is there likely nothing to be done but to look? */
static bool likely_held(struct job *j, const struct stat *st)
{
    const struct foreign_file *f = file_of(j);

    return f->digest.hex[0] != '\0' && holds(j, &f->digest, st, true);
}

/* Read it: 1 when the place has what it is, 0 when it is not there, -1. */
static int look(
    struct job *j, struct bring *b, struct digest *got, struct err *e)
{
    if (bring_read(b, BRING_READ, kind_of(file_of(j)), got, e) != 0)
        return -1;
    if (!is_sound(j, b, got))
        return 1;
    if (!holds(j, got, &b->st, false))
        return 0;
    j->a->files[j->file].state = ADOPT_HELD;
    return 1;
}

/* What others put there may not be on disk yet, and is counted on now. */
static int sync_held(const struct job *j, struct err *e)
{
    char path[PATH_MAX], dir[PATH_MAX], up[PATH_MAX];
    int fd AUTO(fd_close) = -1;

    if (adopt_place(j->a, j->file, &j->a->files[j->file].digest, path, e) != 0)
        return -1;
    fd = file_open(path, NULL, e);
    if (fd < 0)
        return -1;
    if (fsync(fd) != 0)
        return err_sys(e, "%s: making it durable", path);
    path_dir(dir, sizeof(dir), path);
    path_dir(up, sizeof(up), dir);
    return dir_sync(dir, e) != 0 ? -1 : dir_sync(up, e);
}

static void note(const struct job *j, const struct bring *b)
{
    const struct adopt_file *out = &j->a->files[j->file];
    struct stat st;

    /* To have been linked has changed its times. */
    if (fstat(b->fd, &st) == 0)
        checklog_add(j->log, &out->digest, &st);
}

static int bring_in(struct job *j, struct bring *b, enum bring_how how,
    struct digest *got, struct err *e)
{
    struct adopt_file *out = &j->a->files[j->file];
    char path[PATH_MAX];

    bring_drop(b);
    if (bring_read(b, how, kind_of(file_of(j)), got, e) != 0)
        return -1;
    if (!is_sound(j, b, got))
        return 0;
    if (holds(j, got, &b->st, false)) {
        out->state = ADOPT_HELD;
        return 0;
    }
    if (adopt_place(j->a, j->file, got, path, e) != 0 ||
        bring_place(b, path, e) != 0)
        return -1;
    out->state = ADOPT_TAKEN;
    out->how = b->how;
    return 0;
}

/*
 * What is held, and what a dry run looks at, is only read. A link may turn
 * out to be impossible at the last moment: then it is copied, if that will do.
 */
static int take_open(struct job *j, struct bring *b, struct err *e)
{
    struct adopt_file *out = &j->a->files[j->file];
    enum bring_how how = j->a->how;
    struct err why = ERR_INIT;
    int rc = 0;

    if (j->a->dry_run || likely_held(j, &b->st)) {
        rc = look(j, b, &out->digest, e);
        if (rc == 0 && j->a->dry_run)
            out->state = ADOPT_TAKEN;
        if (rc != 0 || j->a->dry_run)
            return rc < 0 ? -1 : 0;
        progress_undo(b->item, (uint64_t)b->st.st_size);
    }
    if (bring_in(j, b, how, &out->digest, &why) == 0)
        return 0;
    if (why.kind == ERR_REFUSED && b->how == BROUGHT_LINKED &&
        how != BRING_LINK) {
        progress_undo(b->item, (uint64_t)b->st.st_size);
        return bring_in(j, b, BRING_COPY, &out->digest, e);
    }
    *e = why;
    return -1;
}

static void take(struct job *j, struct progress_item *item)
{
    const struct foreign_file *f = file_of(j);
    struct adopt_file *out = &j->a->files[j->file];
    struct bring b AUTO(bring_drop) = BRING_INIT;
    int fd AUTO(fd_close) = -1;
    struct err why = ERR_INIT;
    bool known = f->digest.hex[0] != '\0';
    char name[PATH_MAX];

    if (path_join(name, j->a->foreign.root, f->path.p, &why) != 0) {
        fault(j, FAULT_UNSAFE, "its path is too long");
        return;
    }
    fd = foreign_open(&j->a->foreign, f->path.p, &why);
    b.fd = fd;
    b.name = name;
    b.work = j->work;
    b.item = item;
    if (fd < 0 || fstat(fd, &b.st) != 0) {
        judge_open(j, &why);
        return;
    }
    out->size = (uint64_t)b.st.st_size;
    if (j->a->how == BRING_MOVE && bring_has_writers(fd)) {
        fault(j, FAULT_UNFIT, "a program has it open for writing");
        return;
    }
    /* Of a move the other one is looked at, always. */
    if (known && j->a->how != BRING_MOVE &&
        checklog_has(j->log, &f->digest, &b.st) &&
        holds(j, &f->digest, &b.st, true)) {
        out->digest = f->digest;
        out->state = ADOPT_HELD;
        progress_held(item, out->size);
        return;
    }
    if (take_open(j, &b, &why) != 0 ||
        (out->state == ADOPT_HELD && !j->a->dry_run && sync_held(j, &why) != 0))
        judge_failure(j, &b, &why);
    else if (adopt_is_in(j->a, j->file))
        note(j, &b);
}

static void take_one(void *arg, size_t i)
{
    struct job *j = (struct job *)arg + i;
    const struct foreign_file *f = file_of(j);
    struct progress_item *item;
    char name[1025];

    snprintf(name, sizeof(name), "%.*s", STR_ARG(f->shown));
    item = progress_item(j->bars, name, (uint64_t)f->st.st_size);
    take(j, item);
    progress_done(item);
}

/* ---- all of them ---- */

/* Large ones first, so that no core has the last one alone. */
static int by_size(const void *a, const void *b)
{
    const struct job *x = a, *y = b;
    off_t m = file_of(x)->st.st_size, n = file_of(y)->st.st_size;

    if (m != n)
        return m > n ? -1 : 1;
    return x->file < y->file ? -1 : x->file > y->file;
}

/* Made once for each repository, and for the volume: works of n_repos + 1. */
static const char *work_of(const struct adopt *a, const struct repo *r,
    const char **works, struct err *e)
{
    uint64_t i =
        r != NULL ? (uint64_t)(r - a->foreign.repos) : a->foreign.n_repos;
    char path[PATH_MAX];

    if (a->dry_run)
        return "";
    if (works[i] == NULL &&
        (r != NULL ? hubdir_work(&a->place->hub, r, path, e)
                   : volume_tmp(&a->place->volume, path, e)) == 0)
        works[i] = arena_str(a->foreign.arena, str_of(path), e).p;
    return works[i];
}

/* A file that nobody needs is looked at only to be moved away: a move that
 * was interrupted may have left it. */
static bool wanted(struct job *j, const struct foreign_file *f)
{
    return f->names > 0 || (j->a->how == BRING_MOVE && !j->a->dry_run &&
                               !f->kept && likely_held(j, &f->st));
}

static int choose(struct adopt *a, struct job *jobs, const struct checklog *log,
    uint64_t *n, uint64_t *bytes, struct err *e)
{
    const char **works = arena_alloc(
        a->foreign.arena, a->foreign.n_repos + 1, sizeof(*works), e);

    *n = *bytes = 0;
    for (uint64_t i = 0; works != NULL && i < a->foreign.n_files; i++) {
        const struct foreign_file *f = &a->foreign.files[i];
        struct job *j = &jobs[*n];

        *j = (struct job){ .a = a, .log = log, .file = i };
        if (!wanted(j, f))
            continue;
        j->work = work_of(a, f->repo, works, e);
        if (j->work == NULL)
            return -1;
        ++*n;
        *bytes += (uint64_t)f->st.st_size;
    }
    if (*n > 1)
        qsort(jobs, *n, sizeof(*jobs), by_size);
    return works != NULL ? 0 : -1;
}

/* What will have to be copied, as far as that can be foreseen. */
static int check_space(
    const struct adopt *a, struct job *jobs, uint64_t n, struct err *e)
{
    const char *root =
        a->place->has_volume ? a->place->volume.root : a->place->hub.root;
    char need[HUMAN_MAX], lack[HUMAN_MAX];
    uint64_t bytes = 0, free_bytes;

    if (a->how == BRING_LINK || a->how == BRING_CLONE || a->dry_run)
        return 0;
    for (uint64_t i = 0; i < n; i++) {
        const struct foreign_file *f = &a->foreign.files[jobs[i].file];
        struct stat work;

        if ((a->how != BRING_COPY && (stat(jobs[i].work, &work) != 0 ||
                                         work.st_dev == f->st.st_dev)) ||
            likely_held(&jobs[i], &f->st))
            continue;
        bytes += (uint64_t)f->st.st_size;
    }
    if (dir_free_space(root, &free_bytes, e) != 0)
        return -1;
    if (bytes <= free_bytes)
        return 0;
    err_set(e, ERR_NOSPACE, "%s: to copy needs %s, %s more than is free", root,
        human_size(need, bytes), human_size(lack, bytes - free_bytes));
    return err_hint(e,
        "make room there, or adopt into a place on the file "
        "system of %s: then nothing is copied",
        a->foreign.root);
}

static int take_all(struct adopt *a, struct job *jobs, uint64_t n,
    uint64_t bytes, struct err *e)
{
    struct progress *bars AUTO(progress_close_auto) = NULL;
    struct pool *pool AUTO(pool_close_auto) =
        pool_open((unsigned)size_max(1, size_min(pool_cores(), n)), e);

    if (pool == NULL)
        return -1;
    bars = progress_open(a->progress, "adopting", bytes, e);
    if (bars == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        jobs[i].bars = bars;
    pool_run(pool, n, take_one, jobs);
    return 0;
}

/* What was found out about the files. */
static int judge_all(
    struct adopt *a, const struct job *jobs, uint64_t n, struct err *e)
{
    for (uint64_t i = 0; i < n; i++) {
        const struct job *j = &jobs[i];
        const struct foreign_file *f = file_of(j);

        if (j->trouble == NULL)
            continue;
        if (j->trouble->err.kind != ERR_NONE) {
            *e = j->trouble->err;
            return -1;
        }
        if (foreign_fault(&a->foreign, j->trouble->fault, f->path,
                f->names > 0 ? f->shown : str_of(""), j->trouble->why, e) != 0)
            return -1;
    }
    for (uint64_t i = 0; i < a->foreign.n_names; i++) {
        const struct foreign_name *name = &a->foreign.names[i];

        if (!adopt_is_in(a, name->file))
            a->foreign.sets[name->set].broken++;
    }
    return 0;
}

/* Where no scanner looks. */
static int log_path(const struct place *p, char *out, struct err *e)
{
    return p->has_volume
               ? path_join(out, p->volume.root, "adopt.log", e)
               : path_join(out, p->hub.root, ".locks/ml-adopt.log", e);
}

static int adopt_files(
    struct adopt *a, struct arena *arena, struct checklog *log, struct err *e)
{
    struct job *jobs = arena_alloc(arena, a->foreign.n_files, sizeof(*jobs), e);
    char path[PATH_MAX];
    uint64_t n = 0, bytes;
    int rc = -1;

    if (jobs == NULL || log_path(a->place, path, e) != 0)
        return -1;
    if (!a->dry_run)
        checklog_open(log, path, arena);
    if (choose(a, jobs, log, &n, &bytes, e) == 0 &&
        check_space(a, jobs, n, e) == 0 &&
        (n == 0 || take_all(a, jobs, n, bytes, e) == 0))
        rc = judge_all(a, jobs, n, e);
    free_troubles(jobs, n);
    return rc;
}

/* ---- all of it ---- */

int adopt_run(struct adopt *a, struct arena *arena, struct err *e)
{
    struct checklog log AUTO(checklog_close) = CHECKLOG_INIT;
    struct adopt_leases leases AUTO(adopt_leases_free) = { .n = 0 };

    if (foreign_read(&a->foreign, a->source, a->kind, a->name, arena, e) != 0)
        return -1;
    a->files = arena_alloc(arena, a->foreign.n_files, sizeof(*a->files), e);
    a->names = arena_alloc(arena, a->foreign.n_names, sizeof(*a->names), e);
    if (a->files == NULL || a->names == NULL ||
        adopt_ready(a, &leases, arena, e) != 0 ||
        adopt_files(a, arena, &log, e) != 0 || adopt_name_all(a, e) != 0)
        return -1;
    if (a->how == BRING_MOVE && !a->dry_run && adopt_move_out(a, e) != 0)
        return -1;
    checklog_end(&log);
    return 0;
}

void adopt_free(struct adopt *a)
{
    foreign_close(&a->foreign);
}
