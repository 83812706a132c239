#include "bucket/stock.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/path.h"
#include "bucket/models.h"
#include "bucket/tip.h"

/* One repository, as it is put together. */
struct holding {
    struct bucket *b;
    struct arena *arena;
    struct held_repo repo;
    struct catalog_file *v; /* what its commits have, in some */
    uint64_t n, room;
    struct models_ref *branches;
    uint64_t n_branches;
    struct arena some;
};

static void holding_free(struct holding *w)
{
    arena_free(&w->some);
}

/* 0; 1: it is damaged, and said so; -1 with *e. */
static int load(struct holding *w, struct str ref, struct arena *arena,
    struct catalog *out, struct err *e)
{
    struct err why = ERR_INIT;

    if (names_load(w->b, ref.p, arena, out, NULL, &why) == 0)
        return 0;
    if (why.kind == ERR_CORRUPT) {
        log_warn("%s", why.msg);
        return 1;
    }
    *e = why;
    return -1;
}

static int cmp_content(const void *a, const void *b)
{
    const struct catalog_file *x = a, *y = b;

    return strcmp(x->sha256.hex, y->sha256.hex);
}

/* Each content once. */
static void add_up(struct holding *w)
{
    if (w->n > 1)
        qsort(w->v, w->n, sizeof(*w->v), cmp_content);
    for (uint64_t i = 0; i < w->n; i++)
        if (i == 0 || cmp_content(&w->v[i - 1], &w->v[i]) != 0)
            w->repo.bytes += w->v[i].size;
}

static int add_commit(struct holding *w, struct str ref, struct err *e)
{
    struct held_revision *out = &w->repo.revisions[w->repo.n_revisions];
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct catalog c;
    int rc = load(w, ref, &arena, &c, e);

    if (rc != 0 || c.commit[0] == '\0')
        return rc < 0 ? -1 : 0;
    *out = (struct held_revision){ .commit = arena_str(
                                       w->arena, str_of(c.commit), e) };
    if (out->commit.p == NULL)
        return -1;
    for (uint64_t i = 0; i < c.n; i++) {
        struct catalog_file *v;

        if (!c.files[i].held)
            continue;
        v = arena_grow(&w->some, w->v, w->n, &w->room, sizeof(*v), e);
        if (v == NULL)
            return -1;
        w->v = v;
        w->v[w->n++] = c.files[i];
        out->files++;
        out->bytes += c.files[i].size;
    }
    w->repo.n_revisions++;
    return 0;
}

/* A branch or tag. */
static int add_branch(
    struct holding *w, struct str ref, struct str name, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct models_ref *out = &w->branches[w->n_branches];
    struct catalog c;
    int rc = load(w, ref, &arena, &c, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    out->name = name;
    memcpy(out->commit, c.commit, sizeof(out->commit));
    w->n_branches++;
    return 0;
}

static int name_revision(
    struct holding *w, struct held_revision *r, struct err *e)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < w->n_branches; i++)
        n += str_is(r->commit, w->branches[i].commit);
    r->refs = arena_alloc(w->arena, n, sizeof(*r->refs), e);
    if (r->refs == NULL)
        return -1;
    for (uint64_t i = 0; i < w->n_branches; i++)
        if (str_is(r->commit, w->branches[i].commit))
            r->refs[r->n_refs++] = w->branches[i].name;
    return 0;
}

/* Its n refs, each "hub/<folder>/<revision>", front bytes before the last. */
static int add_repo(struct holding *w, const struct str *refs, uint64_t n,
    size_t front, struct err *e)
{
    w->repo.revisions = arena_alloc(w->arena, n, sizeof(*w->repo.revisions), e);
    w->branches = arena_alloc(&w->some, n, sizeof(*w->branches), e);
    if (w->repo.revisions == NULL || w->branches == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (repo_is_commit(refs[i].p + front) && add_commit(w, refs[i], e) != 0)
            return -1;
    for (uint64_t i = 0; i < n; i++)
        if (!repo_is_commit(refs[i].p + front) &&
            add_branch(w, refs[i], str_of(refs[i].p + front), e) != 0)
            return -1;
    for (uint64_t i = 0; i < w->repo.n_revisions; i++)
        if (name_revision(w, &w->repo.revisions[i], e) != 0)
            return -1;
    add_up(w);
    return 0;
}

/* How many bytes of a ref are before its revision; 0: it is no repository's. */
static size_t repo_of(struct str ref, struct repo *out)
{
    static const char top[] = "hub/";
    size_t n = strlen(top);
    const char *slash = ref.len > n ? strchr(ref.p + n, '/') : NULL;
    char folder[sizeof(out->folder)];
    size_t len = slash != NULL ? (size_t)(slash - ref.p) - n : 0;

    if (len == 0 || len >= sizeof(folder))
        return 0;
    memcpy(folder, ref.p + n, len);
    folder[len] = '\0';
    return repo_of_folder(out, folder) ? n + len + 1 : 0;
}

static int add_repos(
    struct bucket *b, struct look *out, struct arena *arena, struct err *e)
{
    uint64_t n, many, room = 0;
    struct str *refs;

    if (tip_names(b, "hub/", arena, &refs, &n, e) != 0)
        return -1;
    for (uint64_t i = 0; i < n; i += many) {
        struct holding w AUTO(holding_free) = {
            .b = b, .arena = arena, .some = ARENA_INIT(NAMES_ARENA_MAX)
        };
        size_t front = repo_of(refs[i], &w.repo.repo);
        struct held_repo *v;

        many = 1;
        if (front == 0)
            continue;
        while (i + many < n && strncmp(refs[i + many].p, refs[i].p, front) == 0)
            many++;
        if (add_repo(&w, &refs[i], many, front, e) != 0)
            return -1;
        /* One whose refs name no commit was removed. */
        if (w.repo.n_revisions == 0)
            continue;
        v = arena_grow(arena, out->repos, out->n_repos, &room, sizeof(*v), e);
        if (v == NULL)
            return -1;
        out->repos = v;
        v[out->n_repos++] = w.repo;
    }
    return 0;
}

static int add_files(
    struct bucket *b, struct look *out, struct arena *arena, struct err *e)
{
    struct arena some AUTO(arena_free) = ARENA_INIT(NAMES_ARENA_MAX);
    struct catalog_file *files;
    uint64_t n;

    if (names_list(b, NULL, &some, &files, &n, e) != 0)
        return -1;
    out->files = arena_alloc(arena, n, sizeof(*out->files), e);
    if (out->files == NULL)
        return -1;
    for (; out->n_files < n; out->n_files++) {
        struct volume_entry *v = &out->files[out->n_files];

        *v = names_entry(&files[out->n_files]);
        v->name = arena_str(arena, v->name, e);
        if (v->name.p == NULL)
            return -1;
    }
    return 0;
}

int stock_look(
    struct bucket *b, struct look *out, struct arena *arena, struct err *e)
{
    *out = (struct look){ .n_repos = 0 };
    return path_fmt(out->root, e, "%s", b->shown) != 0 ||
                   bucket_need(b, e) != 0 || add_files(b, out, arena, e) != 0
               ? -1
               : add_repos(b, out, arena, e);
}
