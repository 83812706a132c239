#include "verify/calls.h"

#include "formats/pickle.h"
#include "verify/danger.h"

enum { NAMED_MAX = 8 };

static bool is_unsafe(const struct torch_foreign *f)
{
    enum danger d = danger_of(f->name);

    return d == DANGER_NAMED || (d == DANGER_CALLED && f->called);
}

void calls_report(struct str file, const struct torch_foreign *foreign,
    uint64_t n, bool whole, struct report *report)
{
    struct problems bad = PROBLEMS_INIT(report, "calls", ERR_REFUSED);
    struct buf others AUTO(buf_free) = BUF_INIT(8192);
    uint64_t n_others = 0;

    for (uint64_t i = 0; i < n; i++) {
        const struct torch_foreign *f = &foreign[i];

        if (is_unsafe(f))
            problem(&bad, "%.*s: %s %.200s at byte %llu of its pickle",
                STR_ARG(file), f->called ? "calls" : "names", f->name.p,
                (unsigned long long)f->offset);
        else if (n_others++ < NAMED_MAX)
            buf_printf(&others, "%s%.200s", others.len ? ", " : "", f->name.p);
    }
    problems_end(&bad);
    if (n_others > 0)
        report_note(report, "calls",
            "%.*s: names %llu classes or functions that are not executed here "
            "and kept as data: %s%s",
            STR_ARG(file), (unsigned long long)n_others, others.p,
            n_others > NAMED_MAX ? ", ..." : "");
    else if (bad.n == 0 && whole)
        report_ok(report, "calls", "%.*s: asks for nothing but tensors and data",
            STR_ARG(file));
}

static struct torch_foreign *foreign_of(const struct pickle_names *names,
    struct arena *arena, uint64_t *out_n, struct err *e)
{
    struct torch_foreign *v = arena_alloc(arena, names->n, sizeof(*v), e);

    *out_n = 0;
    for (uint64_t i = 0; v != NULL && i < names->n; i++) {
        const struct pickle_global *g = names->v[i];
        struct buf name AUTO(buf_free) = BUF_INIT(1 << 20);

        if (g->known != NULL)
            continue;
        buf_printf(&name, "%.*s.%.*s", STR_ARG(g->module), STR_ARG(g->name));
        v[*out_n].name = arena_str(arena, buf_str(&name), e);
        if (v[*out_n].name.p == NULL)
            return NULL;
        v[*out_n].offset = g->offset;
        v[(*out_n)++].called = g->called;
    }
    return v;
}

int calls_report_pickle(struct str file, const struct map *m,
    struct report *report, struct err *e)
{
    struct arena arena AUTO(arena_free) = ARENA_INIT((uint64_t)512 << 20);
    struct pickle_names names = { .n = 0 };
    struct pickle_env env = { .arena = &arena, .names = &names };
    struct torch_foreign *foreign;
    struct err why = ERR_INIT;
    struct node *root;
    uint64_t used, n;
    int rc = pickle_run(m->p, m->len, &env, &root, &used, e);

    foreign = foreign_of(&names, &arena, &n, &why);
    if (foreign == NULL)
        return report_err(report, "calls", &why), -1;
    calls_report(file, foreign, n, rc == 0, report);
    return rc;
}
