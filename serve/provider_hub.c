/* Another Hub, or mirror, by fetch's own questions and transfers. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/url.h"
#include "serve/provider.h"
#include "serve/supply.h"

enum {
    ASK_S = 16,   /* half of it: how long a server may be silent */
    ANSWER_S = 30 /* and so long its answer may take, if it is not */
};

struct other_hub {
    struct provider provider;
    char name[URL_SHOW_MAX];
    char mark[SUPPLY_MARK_MAX];
    char line[64];
    const char *lines[2];
    struct hub asking[PROVIDER_QUESTIONS];
    struct hub fetching[PROVIDER_FETCHES]; /* no endpoint: unused so far */
};

static struct hub *begin(struct hub *hub)
{
    hub->refusal = (struct hub_refusal){ .status = 0 };
    hub->token_known = false; /* its file may be another one by now */
    return hub;
}

/*
 * Whose token this mirror has, where from, and what is made of a name that it
 * may not be told: that stands in the log.
 */
static void keep_to_ourselves(
    const struct hub_refusal *r, const struct repo *repo, struct err *e)
{
    enum err_kind kind = e->kind;
    bool entry = strcmp(r->code, "RevisionNotFound") == 0 ||
                 strcmp(r->code, "EntryNotFound") == 0;

    if (kind == ERR_NET)
        e->hint[0] = '\0'; /* no client can check this machine's connection */
    if (!r->moved && kind != ERR_AUTH && (kind != ERR_MISSING || entry))
        return;
    if (kind == ERR_MISSING)
        log_info("%s", e->msg);
    else
        log_warn("%s%s%s", e->msg, e->hint[0] != '\0' ? "; " : "", e->hint);
    err_clear(e);
    if (r->moved)
        err_set(e, kind,
            "%s has another name by now, and this mirror's tokens are about "
            "names: its log says which",
            repo->id);
    else if (kind == ERR_MISSING)
        err_set(e, kind,
            "%s does not exist there, or this mirror may not see "
            "it",
            repo->id);
    else if (strcmp(r->code, "GatedRepo") == 0)
        err_set(e, kind, "%s is gated, and this mirror has no access to it",
            repo->id);
    else
        err_set(e, kind, "%s is not given to this mirror: its log says why",
            repo->id);
}

static int end(const struct hub *hub, const struct repo *repo, int rc,
    struct hub_refusal *why, struct err *e)
{
    *why = hub->refusal;
    if (rc != 0)
        keep_to_ourselves(why, repo, e);
    return rc;
}

static int get_commit(void *self, unsigned nth, const struct repo *r,
    char out[41], struct hub_refusal *why, struct err *e)
{
    struct other_hub *o = self;
    struct hub *hub = begin(&o->asking[nth]);
    struct hub_revision revision = { .commit = "" };
    int rc = hub_revision(hub, r, &revision, e);

    memcpy(out, revision.commit, sizeof(revision.commit));
    return end(hub, r, rc, why, e);
}

static int get_tree(void *self, unsigned nth, const struct repo *r,
    const char *commit, struct arena *arena, struct tree *out,
    struct hub_refusal *why, struct err *e)
{
    struct other_hub *o = self;
    struct hub *hub = begin(&o->asking[nth]);

    return end(hub, r, hub_tree(hub, r, commit, arena, out, e), why, e);
}

static int get_refs(void *self, unsigned nth, const struct repo *r,
    struct arena *arena, struct hub_ref **out, uint64_t *n,
    struct hub_refusal *why, struct err *e)
{
    struct other_hub *o = self;
    struct hub *hub = begin(&o->asking[nth]);

    return end(hub, r, hub_refs(hub, r, arena, out, n, e), why, e);
}

static int fetch(void *self, unsigned nth, struct single *s,
    struct hub_refusal *why, struct err *e)
{
    struct other_hub *o = self;
    struct hub *hub = begin(&o->fetching[nth]);

    if (hub->endpoint[0] == '\0' && hub_init_at(hub, o->asking[0].endpoint,
                                        s->jobs, PROVIDER_RETRY_S, e) != 0)
        return -1;
    hub->lines = o->lines;
    return end(hub, s->repo, single_fetch(s, hub, e), why, e);
}

static void close_hub(void *self)
{
    struct other_hub *o = self;

    for (unsigned i = 0; i < PROVIDER_QUESTIONS; i++)
        hub_free(&o->asking[i]);
    for (unsigned i = 0; i < PROVIDER_FETCHES; i++)
        hub_free(&o->fetching[i]);
    free(o);
}

/* Who is asked may be this mirror itself, by another name. */
static void mark(struct other_hub *o)
{
    uint64_t id;

    if (getrandom(&id, sizeof(id), GRND_NONBLOCK) != sizeof(id))
        id = clock_ns();
    snprintf(o->mark, sizeof(o->mark), "%016" PRIx64, id);
    snprintf(o->line, sizeof(o->line), "%s: %s", SUPPLY_MARK, o->mark);
    o->lines[0] = o->line;
}

struct provider *provider_hub(const char *url, bool same_repo, struct err *e)
{
    struct other_hub *o = calloc(1, sizeof(*o));

    if (o == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    for (unsigned i = 0; i < PROVIDER_QUESTIONS; i++) {
        if (hub_init_at(&o->asking[i], url, 1, ASK_S, e) != 0) {
            close_hub(o);
            return NULL;
        }
        o->asking[i].once = true;
        o->asking[i].same_repo = same_repo;
        o->asking[i].answer_s = ANSWER_S;
        o->asking[i].lines = o->lines;
    }
    /* libcurl is loaded now, not in the first client's time. A token that
       cannot be read is told when it is needed. */
    if (hub_http(&o->asking[0], e) == NULL && e->kind == ERR_NOMEM) {
        close_hub(o);
        return NULL;
    }
    err_clear(e);
    mark(o);
    url_show(o->name, o->asking[0].endpoint);
    o->provider = (struct provider){ .self = o,
        .name = o->name,
        .mark = o->mark,
        .commit = get_commit,
        .tree = get_tree,
        .refs = get_refs,
        .fetch = fetch,
        .close = close_hub };
    return &o->provider;
}
