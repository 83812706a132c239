#include "verify/shards.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/path.h"
#include "formats/index.h"
#include "formats/uniform.h"

struct set {
    const struct vfile *file; /* the index itself */
    const struct filelist *list;
    const struct wfile *weights;
    size_t n_weights;
    struct weight_index index;
    const struct wfile **shards; /* one for each of the index, or NULL */
    struct arena arena;
    struct findings *report;
};

struct holding {
    struct str name;
    uint32_t shard;
};

static const struct wfile *weights_of(
    const struct set *s, const struct vfile *f)
{
    for (size_t i = 0; i < s->n_weights; i++)
        if (s->weights[i].file == f)
            return &s->weights[i];
    return NULL;
}

/* The file beside the index that has this name. */
static const struct vfile *beside(
    const struct set *s, struct str shard, struct err *e)
{
    char dir[PATH_MAX], name[PATH_MAX];

    path_dir(dir, sizeof(dir), s->file->name.p);
    if (strcmp(dir, ".") == 0)
        return filelist_find(s->list, shard);
    if (path_fmt(name, e, "%s/%.*s", dir, STR_ARG(shard)) != 0)
        return NULL;
    return filelist_find(s->list, str_of(name));
}

static int find_shards(struct set *s, struct err *e)
{
    struct problems gone = PROBLEMS_INIT(s->report, "index", ERR_CORRUPT);
    struct problems bad = PROBLEMS_INIT(s->report, "index", ERR_REFUSED);

    s->shards =
        arena_alloc(&s->arena, s->index.n_shards, sizeof(*s->shards), e);
    if (s->shards == NULL)
        return -1;
    for (uint32_t i = 0; i < s->index.n_shards; i++) {
        struct str name = s->index.shards[i];
        const struct vfile *f = beside(s, name, e);

        if (f == NULL)
            problem(&gone, "%.*s: shard %.*s is not there",
                STR_ARG(s->file->name), STR_ARG(name));
        else if ((s->shards[i] = weights_of(s, f)) == NULL)
            problem(&bad,
                "%.*s: shard %.*s does not hold weights that can be "
                "read",
                STR_ARG(s->file->name), STR_ARG(name));
    }
    problems_end(&gone);
    problems_end(&bad);
    return e->kind == ERR_NONE ? 0 : -1;
}

/* Every tensor of the map is in its shard. */
static void check_listed(const struct set *s)
{
    struct problems gone = PROBLEMS_INIT(s->report, "index", ERR_CORRUPT);

    for (uint64_t i = 0; i < s->index.n; i++) {
        const struct index_entry *x = &s->index.entries[i];
        const struct wfile *w = s->shards[x->shard];

        if (w != NULL && wfile_find(w, x->tensor) == NULL)
            problem(&gone, "%.*s: tensor '%.*s' is not in %.*s",
                STR_ARG(s->file->name), STR_ARG(x->tensor),
                STR_ARG(s->index.shards[x->shard]));
    }
    problems_end(&gone);
}

static int by_name(const void *a, const void *b)
{
    const struct holding *x = a, *y = b;
    int c = str_cmp(x->name, y->name);

    if (c != 0)
        return c;
    return x->shard < y->shard ? -1 : x->shard > y->shard;
}

/* What the shards really hold, sorted by name. */
static struct holding *holdings(struct set *s, uint64_t *out_n, struct err *e)
{
    struct holding *v;
    uint64_t n = 0;

    for (uint32_t i = 0; i < s->index.n_shards; i++)
        n += s->shards[i] != NULL ? s->shards[i]->n : 0;
    v = arena_alloc(&s->arena, n, sizeof(*v), e);
    if (v == NULL)
        return NULL;
    *out_n = 0;
    for (uint32_t i = 0; i < s->index.n_shards; i++)
        for (uint64_t k = 0; s->shards[i] != NULL && k < s->shards[i]->n; k++)
            v[(*out_n)++] =
                (struct holding){ s->shards[i]->tensors[k].name, i };
    if (n > 1)
        qsort(v, n, sizeof(*v), by_name);
    return v;
}

static bool listed(const struct set *s, struct str name)
{
    uint64_t lo = 0, hi = s->index.n;

    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        int c = str_cmp(s->index.entries[mid].tensor, name);

        if (c == 0)
            return true;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

/* No tensor stands twice; one the map does not know is worth a note. */
static int check_held(struct set *s, struct err *e)
{
    struct problems twice = PROBLEMS_INIT(s->report, "index", ERR_REFUSED);
    uint64_t n, extra = 0;
    struct holding *v = holdings(s, &n, e), *first = NULL;

    if (v == NULL)
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        if (i > 0 && str_eq(v[i].name, v[i - 1].name))
            problem(&twice,
                "%.*s: tensor '%.*s' stands twice: in %.*s and %.*s",
                STR_ARG(s->file->name), STR_ARG(v[i].name),
                STR_ARG(s->index.shards[v[i - 1].shard]),
                STR_ARG(s->index.shards[v[i].shard]));
        if (!listed(s, v[i].name) && extra++ == 0)
            first = &v[i];
    }
    problems_end(&twice);
    if (extra > 0)
        findings_note(s->report, "index",
            "%.*s: %llu tensors of the shards are not listed, such as '%.*s' "
            "in %.*s",
            STR_ARG(s->file->name), (unsigned long long)extra,
            STR_ARG(first->name), STR_ARG(s->index.shards[first->shard]));
    return 0;
}

/* The tensor of a file that comes first in the order of the form, or last. */
static const struct tensor *at_end(const struct wfile *w, bool last)
{
    const struct tensor *t = w->n > 0 ? &w->tensors[0] : NULL;

    for (uint64_t i = 1; i < w->n; i++)
        if ((uniform_order(&w->tensors[i], t) > 0) == last)
            t = &w->tensors[i];
    return t;
}

/* Shards that claim the uniform form are stretches of its one order. */
static void check_stretches(const struct set *s)
{
    struct problems bad = PROBLEMS_INIT(s->report, "uniform", ERR_VERDICT);
    const struct tensor *last = NULL;

    for (uint32_t i = 0; i < s->index.n_shards; i++)
        if (s->shards[i] == NULL || !s->shards[i]->uniform)
            return;
    for (uint32_t i = 0; i < s->index.n_shards; i++) {
        const struct tensor *first = at_end(s->shards[i], false);

        if (last != NULL && first != NULL && uniform_order(last, first) > 0)
            problem(&bad, "%.*s: tensor '%.*s' belongs before '%.*s' of %.*s",
                STR_ARG(s->index.shards[i]), STR_ARG(first->name),
                STR_ARG(last->name), STR_ARG(s->index.shards[i - 1]));
        last = at_end(s->shards[i], true);
    }
    problems_end(&bad);
}

static int check_set(struct set *s, struct err *e)
{
    size_t before = findings_failed(s->report);

    if (find_shards(s, e) != 0)
        return -1;
    check_listed(s);
    if (check_held(s, e) != 0)
        return -1;
    check_stretches(s);
    if (findings_failed(s->report) == before)
        findings_ok(s->report, "index",
            "%.*s: %llu tensors, all in the %u shards it names",
            STR_ARG(s->file->name), (unsigned long long)s->index.n,
            s->index.n_shards);
    return 0;
}

static void free_set(struct set *s)
{
    arena_free(&s->arena);
}

int shards_check(const struct vfile *index, const struct filelist *l,
    const struct wfile *weights, size_t n, struct findings *report,
    struct err *e)
{
    struct set s AUTO(free_set) = { .file = index,
        .list = l,
        .weights = weights,
        .n_weights = n,
        .arena = ARENA_INIT((uint64_t)512 << 20),
        .report = report };
    struct buf text AUTO(buf_free) = BUF_INIT(INDEX_BYTES_MAX);
    struct err why = ERR_INIT;

    if (file_slurp(index->path, &text, &why) == 0 &&
        index_parse(&s.index, buf_str(&text), &s.arena, &why) == 0)
        return check_set(&s, e);
    findings_fail(
        report, "index", why.kind, "%.*s: %s", STR_ARG(index->name), why.msg);
    return 0;
}
