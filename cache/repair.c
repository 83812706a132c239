#include "cache/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/aside.h"
#include "cache/quarantine.h"
#include "cache/sibling.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/path.h"

/* Of one command line: a single word may have 128 kB, all of it 2 MB. */
enum { NAMES_MAX = 256, FIXED_ARGS = 16, PATTERN_MAX = 3 * 1024 + 16 };

/* The names of one commit that one mlfetch is asked for. */
struct request {
    struct verify *v;
    struct wrong *first;
    size_t n;
    bool quiet;
};

/* Can the Hub help, and is help needed? */
static bool wanted(const struct wrong *w)
{
    return w->repo != NULL && !w->converted && !w->repaired &&
           w->kind != WRONG_REF && w->commit.len > 0;
}

/* A pattern that matches this name alone. */
static char *pattern_of(struct str name)
{
    char *out = malloc(PATTERN_MAX);
    size_t n;

    if (out == NULL || name.len > 1024) {
        free(out);
        return NULL;
    }
    n = (size_t)snprintf(out, PATTERN_MAX, "--include=");
    for (size_t i = 0; i < name.len; i++) {
        bool special = strchr("*?[", name.p[i]) != NULL;

        if (special)
            out[n++] = '[';
        out[n++] = name.p[i];
        if (special)
            out[n++] = ']';
    }
    out[n] = '\0';
    return out;
}

static int run(const struct request *q, const char *program,
    char *const *patterns, enum err_kind *kind, struct err *e)
{
    const struct repo *r = q->first->repo;
    const char *argv[NAMES_MAX + FIXED_ARGS] = { "mlfetch", "pull",
        "--progress", sibling_progress(q->v->progress), "--repo-type",
        repo_type_names[r->type] };
    char source[256];
    size_t n = 6;

    snprintf(
        source, sizeof(source), "%s@%.*s", r->id, STR_ARG(q->first->commit));
    if (q->quiet)
        argv[n++] = "-q";
    if (q->v->place->name != NULL) {
        argv[n++] = "--volume";
        argv[n++] = q->v->place->name;
    }
    for (size_t i = 0; i < q->n; i++)
        argv[n++] = patterns[i];
    argv[n++] = "--";
    argv[n++] = source;
    return sibling_run(program, argv, kind, e);
}

/* A damaged one that could not be moved counts as held: nothing came. */
static bool is_back(
    const struct verify *v, const struct wrong *w, enum err_kind pulled)
{
    struct err ignored = ERR_INIT;
    char path[PATH_MAX];
    struct stat st;

    return ((w->kind != WRONG_DAMAGED && w->kind != WRONG_UNREAD) ||
               w->moved.len > 0) &&
           path_fmt(path, &ignored, "%s/%s/snapshots/%.*s/%.*s",
               v->place->hub.root, w->repo->folder, STR_ARG(w->commit),
               STR_ARG(w->name)) == 0 &&
           stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           /* A pull that succeeds has compared it with the listing. */
           (w->kind != WRONG_OTHER || pulled == ERR_NONE);
}

/*
 * A link and the listing of its commit differ: either may be damaged, and
 * only the Hub knows. Without a listing the pull asks for it.
 */
static int doubt_listing(
    const struct request *q, char *path, char *moved, struct err *e)
{
    const struct repo *r = q->first->repo;
    char dir[PATH_MAX];
    bool doubt = false;

    moved[0] = '\0';
    for (size_t i = 0; i < q->n; i++)
        doubt = doubt || q->first[i].kind == WRONG_OTHER;
    if (path_fmt(path, e, "%s/%s/trees/%.*s.json", q->v->place->hub.root,
            r->folder, STR_ARG(q->first->commit)) != 0)
        return -1;
    if (!doubt || access(path, F_OK) != 0)
        return 0;
    if (quarantine_dir(q->v->place, r, dir, e) != 0)
        return -1;
    return aside_move(path, dir, path_base(path), moved, e);
}

/* The pull got no other: better this one than none. */
static void restore_listing(const char *path, const char *moved)
{
    struct err why = ERR_INIT;

    if (moved[0] != '\0' && access(path, F_OK) != 0 &&
        aside_back(moved, path, &why) != 0)
        log_warn("%s", why.msg);
}

static int ask(const struct request *q, const char *program, struct err *e)
{
    enum err_kind kind = ERR_NONE;
    char *patterns[NAMES_MAX] = { NULL };
    char listing[PATH_MAX], moved[PATH_MAX];
    int rc = doubt_listing(q, listing, moved, e);

    for (size_t i = 0; i < q->n && rc == 0; i++) {
        patterns[i] = pattern_of(q->first[i].name);
        if (patterns[i] == NULL)
            rc = err_set(e, ERR_NOMEM, "out of memory");
    }
    if (rc == 0)
        rc = run(q, program, patterns, &kind, e);
    for (size_t i = 0; i < q->n; i++)
        free(patterns[i]);
    restore_listing(listing, moved);
    if (rc != 0)
        return -1;
    for (size_t i = 0; i < q->n; i++)
        q->first[i].repaired = is_back(q->v, &q->first[i], kind);
    if (kind == ERR_NONE)
        return 0;
    if (cancel_check(e) != 0)
        return -1;
    return err_set(e, kind, "%s@%.*s could not be repaired", q->first->repo->id,
        STR_ARG(q->first->commit));
}

static bool together(const struct wrong *a, const struct wrong *b)
{
    return a->repo == b->repo && str_eq(a->commit, b->commit);
}

/* The names of one commit stand together; every request is tried. */
int repair_run(struct verify *v, bool quiet, struct err *e)
{
    char program[PATH_MAX] = "";

    for (uint64_t i = 0; i < v->n_wrong && e->kind != ERR_CANCELLED;) {
        struct request q = { .v = v, .first = &v->wrong[i], .quiet = quiet };

        if (!wanted(q.first)) {
            i++;
            continue;
        }
        while (i < v->n_wrong && q.n < NAMES_MAX && wanted(&v->wrong[i]) &&
               together(q.first, &v->wrong[i])) {
            q.n++;
            i++;
        }
        if (program[0] == '\0' && sibling_find("mlfetch", program, e) != 0)
            return -1;
        ask(&q, program, e);
    }
    return e->kind == ERR_NONE ? 0 : -1;
}
