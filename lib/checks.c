/* Checking, of the public header, over verify/check.h. */
#include "lib/caller.h"

#include "base/path.h"
#include "cache/find.h"
#include "verify/check.h"
#include "verify/shown.h"
#include "verify/targets.h"

enum { DETAIL_MAX = 64 << 20 };

struct listener {
    void (*fn)(void *user, const struct mlfetch_finding *finding);
    void *user;
};

static int tell(
    const struct target *t, const struct listener *to, struct err *e)
{
    struct buf target AUTO(buf_free) = BUF_INIT(DETAIL_MAX);

    shown_text(&target, t->text);
    for (size_t i = 0; i < t->report.n && to->fn != NULL; i++) {
        const struct check *c = &t->report.checks[i];
        struct buf detail AUTO(buf_free) = BUF_INIT(DETAIL_MAX);
        struct mlfetch_finding f = { .target = target.p,
            .check = c->name,
            .result = (enum mlfetch_result)c->result };

        shown_text(&detail, c->detail);
        if (buf_check(&target, e) != 0 || buf_check(&detail, e) != 0)
            return -1;
        f.detail = detail.p;
        to->fn(to->user, &f);
    }
    return 0;
}

static int check_all(struct targets *t, const struct mlfetch *m,
    const struct listener *to, struct err *e)
{
    struct pool *pool AUTO(pool_close_auto) =
        pool_open((unsigned)m->threads, e);
    struct check_env env = { .pool = pool, .progress = PROGRESS_SCOPE };
    enum err_kind worst = ERR_NONE;
    size_t bad = 0, n = 0;

    if (pool == NULL)
        return -1;
    for (size_t i = 0; i < t->n; i++) {
        struct findings *report = &t->v[i].report;

        if (check_found(&env, &t->v[i].found, report, e) != 0 ||
            tell(&t->v[i], to, e) != 0)
            return -1;
        worst = findings_worse(worst, findings_worst(report));
        bad += findings_failed(report);
        n += report->n;
    }
    if (worst == ERR_NONE)
        return 0;
    return err_set(
        e, worst, "%.300s: %zu of %zu checks failed", t->v[0].text.p, bad, n);
}

static int check_found_as(const struct mlfetch *m, const char *text,
    const struct found *found, const struct listener *to, struct err *e)
{
    struct targets t AUTO(targets_free) = TARGETS_INIT;

    if (targets_add_found(&t, text, found, e) != 0)
        return -1;
    return check_all(&t, m, to, e);
}

/* "x" may be no repository here: it is "./x". */
static int check_path(const struct mlfetch *m, const char *path,
    const struct listener *to, struct err *e)
{
    char plain[PATH_MAX];
    struct found found;

    if (path_fmt(plain, e, "%s%s", path[0] == '/' ? "" : "./", path) != 0 ||
        find_to_check(plain, NULL, &found, e) != 0)
        return -1;
    return check_found_as(m, path, &found, to, e);
}

enum mlfetch_status mlfetch_check_path(struct mlfetch *m, const char *path,
    void (*fn)(void *user, const struct mlfetch_finding *finding), void *user,
    struct mlfetch_error *e)
{
    struct listener to = { fn, user };
    struct work w;

    if (work_begin(&w, m, e))
        check_path(m, path, &to, &w.e);
    return work_end(&w);
}

enum mlfetch_status mlfetch_check_repository(struct mlfetch *m,
    struct mlfetch_volume *v, const char *repository,
    void (*fn)(void *user, const struct mlfetch_finding *finding), void *user,
    struct mlfetch_error *e)
{
    struct listener to = { fn, user };
    struct hubdir dir;
    struct found found;
    struct work w;

    if (work_begin(&w, m, e) && session_hub(m, v, &dir, &w.e) == 0 &&
        find_held(&dir, repository, false, &found, &w.e) == 0)
        check_found_as(m, repository, &found, &to, &w.e);
    return work_end(&w);
}

enum mlfetch_status mlfetch_check_put(struct mlfetch_volume *v,
    const char *name,
    void (*fn)(void *user, const struct mlfetch_finding *finding), void *user,
    struct mlfetch_error *e)
{
    struct listener to = { fn, user };
    struct found found;
    struct work w;

    if (work_begin(&w, v->session, e) &&
        find_put(&v->volume, name, &found, &w.e) == 0)
        check_found_as(v->session, name, &found, &to, &w.e);
    return work_end(&w);
}
