/*
 * provider.h - who is asked for what is not held: another Hub, or mirror, or
 * a volume in object storage. He answers; that answers are remembered, and
 * that transfers are shared, is upstream.h's.
 *
 * A question and a transfer have a number, below PROVIDER_QUESTIONS and
 * PROVIDER_FETCHES: what has the same is not called at the same time.
 */
#ifndef SERVE_PROVIDER_H
#define SERVE_PROVIDER_H

#include "fetch/single.h"

enum {
    PROVIDER_QUESTIONS = 4,
    PROVIDER_FETCHES = 64,
    PROVIDER_RETRY_S = 30 /* without another byte: readers are let go */
};

/*
 * All of it returns 0, or -1 with *e, and *why, as a Hub would have refused;
 * its status is 0 where there was no answer, or the fault is this machine's.
 */
struct provider {
    void *self;
    const char *name; /* for messages, without secrets */
    const char *mark; /* as a supplier's; or NULL */
    /* The commit that r's revision is now. */
    int (*commit)(void *self, unsigned nth, const struct repo *r, char out[41],
        struct hub_refusal *why, struct err *e);
    /* All files of a commit, in arena. */
    int (*tree)(void *self, unsigned nth, const struct repo *r,
        const char *commit, struct arena *arena, struct tree *out,
        struct hub_refusal *why, struct err *e);
    /* Branches and tags, in arena. */
    int (*refs)(void *self, unsigned nth, const struct repo *r,
        struct arena *arena, struct hub_ref **out, uint64_t *n,
        struct hub_refusal *why, struct err *e);
    /* single_fetch, from there. */
    int (*fetch)(void *self, unsigned nth, struct single *s,
        struct hub_refusal *why, struct err *e);
    void (*close)(void *self);
};

/*
 * provider_hub - nobody is asked yet. NULL with *e: USAGE (url), NOMEM
 * same_repo  one that has another name by now is refused: who may ask for the
 *            old one may not see the new one, perhaps
 */
struct provider *provider_hub(const char *url, bool same_repo, struct err *e);

/*
 * provider_bucket - "s3://BUCKET/PREFIX", where there has to be a volume,
 * unless nobody can be reached. NULL with *e: USAGE, MISSING, AUTH, NOMEM, ...
 */
struct provider *provider_bucket(const char *url, struct err *e);

/* provider_close - nothing is under way any more; NULL is fine. */
static inline void provider_close(struct provider *p)
{
    if (p != NULL)
        p->close(p->self);
}

#endif
