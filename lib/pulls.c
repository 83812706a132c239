/* Pulls of the public header, over fetch/pull.h. */
#include "lib/caller.h"

#include <stdlib.h>
#include <string.h>

#include "fetch/pull.h"
#include "fetch/shortname.h"

struct globs {
    const char **v; /* each malloced */
    size_t n;
};

struct mlfetch_pull {
    struct mlfetch *session;
    const struct mlfetch_volume *volume; /* or NULL: the hub cache */
    struct repo repo;
    struct globs include, exclude;
    struct hubdir dir;
    struct pull pull; /* of the last run: what it brought stays while we do */
    bool done;
};

static int make(struct mlfetch_pull *p, const char *repository, struct err *e)
{
    struct hubdir dir;

    p->pull = (struct pull)PULL_INIT;
    return shortname_parse(&p->repo, REPO_MODEL, NULL, repository, e) != 0 ||
                   session_hub(p->session, p->volume, &dir, e) != 0
               ? -1
               : 0;
}

enum mlfetch_status mlfetch_pull_new(struct mlfetch *m,
    struct mlfetch_volume *v, const char *repository, struct mlfetch_pull **out,
    struct mlfetch_error *e)
{
    struct mlfetch_pull *p;
    struct work w;

    *out = NULL;
    if (work_begin(&w, m, e)) {
        p = calloc(1, sizeof(*p));
        if (p == NULL) {
            err_set(&w.e, ERR_NOMEM, "out of memory");
        } else {
            p->session = m;
            p->volume = v;
            if (make(p, repository, &w.e) == 0)
                *out = p;
            else
                free(p);
        }
    }
    return work_end(&w);
}

static void globs_free(struct globs *g)
{
    for (size_t i = 0; i < g->n; i++)
        free((void *)(uintptr_t)g->v[i]);
    free((void *)g->v);
}

void mlfetch_pull_free(struct mlfetch_pull *p)
{
    struct scope *before;

    if (p == NULL)
        return;
    before = scope_enter(&p->session->scope);
    pull_free(&p->pull);
    scope_enter(before);
    globs_free(&p->include);
    globs_free(&p->exclude);
    free(p);
}

static enum mlfetch_status add(struct mlfetch_pull *p, struct globs *g,
    const char *glob, struct mlfetch_error *e)
{
    const char **v;
    char *copy;
    struct work w;

    if (work_begin(&w, p->session, e)) {
        v = realloc((void *)g->v, (g->n + 1) * sizeof(*v));
        if (v != NULL)
            g->v = v;
        copy = v != NULL ? strdup(glob) : NULL;
        if (copy != NULL)
            g->v[g->n++] = copy;
        else
            err_set(&w.e, ERR_NOMEM, "out of memory");
    }
    return work_end(&w);
}

enum mlfetch_status mlfetch_pull_include(
    struct mlfetch_pull *p, const char *glob, struct mlfetch_error *e)
{
    return add(p, &p->include, glob, e);
}

enum mlfetch_status mlfetch_pull_exclude(
    struct mlfetch_pull *p, const char *glob, struct mlfetch_error *e)
{
    return add(p, &p->exclude, glob, e);
}

/* The Hub as the session, or else the environment, says. */
static int open_hub(const struct mlfetch *m, struct hub *hub, struct err *e)
{
    if (m->endpoint[0] != '\0') {
        *hub = (struct hub){ .connections = (unsigned)m->connections,
            .retry_s = m->retry_s };
        memcpy(hub->endpoint, m->endpoint, sizeof(hub->endpoint));
    } else if (hub_init(hub, (unsigned)m->connections, m->retry_s, e) != 0) {
        return -1;
    }
    if (m->token_known) {
        hub->token = m->token;
        hub->token_known = true;
    }
    return 0;
}

static void set_asked(struct mlfetch_pull *p)
{
    const struct mlfetch *m = p->session;
    struct pull *pull = &p->pull;

    pull_free(pull);
    *pull = (struct pull)PULL_INIT;
    pull->nth = pull->of = 1;
    pull->repo = p->repo;
    pull->include = p->include.v;
    pull->n_include = p->include.n;
    pull->exclude = p->exclude.v;
    pull->n_exclude = p->exclude.n;
    pull->jobs = (unsigned)m->connections;
    pull->limit_rate = m->rate;
    pull->offline = m->offline;
    pull->progress = PROGRESS_SCOPE;
}

static int run(struct mlfetch_pull *p, struct err *e)
{
    struct hub hub AUTO(hub_free) = HUB_INIT;

    p->done = false;
    set_asked(p);
    if (open_hub(p->session, &hub, e) != 0 ||
        session_hub(p->session, p->volume, &p->dir, e) != 0 ||
        pull_plan(&p->pull, &p->dir, &hub, e) != 0 ||
        pull_reserve(&p->pull, 1, e) != 0 || pull_fetch(&p->pull, &hub, e) != 0)
        return -1;
    p->done = true;
    return 0;
}

enum mlfetch_status mlfetch_pull_run(
    struct mlfetch_pull *p, struct mlfetch_error *e)
{
    struct work w;

    if (work_begin(&w, p->session, e))
        run(p, &w.e);
    return work_end(&w);
}

const char *mlfetch_pull_folder(const struct mlfetch_pull *p)
{
    return p->done ? p->pull.path : "";
}

const char *mlfetch_pull_commit(const struct mlfetch_pull *p)
{
    return p->done ? p->pull.commit : "";
}

uint64_t mlfetch_pull_fetched(const struct mlfetch_pull *p)
{
    return p->done ? p->pull.fetched_bytes : 0;
}
