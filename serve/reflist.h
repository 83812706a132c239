/*
 * reflist.h - branches and tags of the repositories that were asked for last,
 * remembered for a while. So many bytes of them, all together: one that needs
 * more room than is left takes that of those which are over first.
 *
 * Any thread may call.
 */
#ifndef SERVE_REFLIST_H
#define SERVE_REFLIST_H

#include <pthread.h>

#include "cache/hubdir.h"
#include "serve/supply.h"

enum { REFLIST_REPOS = 16, REFLIST_BYTES = 64 << 20 };

struct reflist {
    pthread_mutex_t lock;
    struct reflist_of {
        char folder[sizeof(((struct repo *)NULL)->folder)]; /* "": unused */
        uint64_t until_ms;
        struct arena arena;
        struct supply_ref *v;
        uint64_t n;
    } of[REFLIST_REPOS];
};

void reflist_open(struct reflist *l);
void reflist_close(struct reflist *l);

/* reflist_keep - instead of what was remembered of it. -1 with *e: NOMEM,
 * REFUSED (more than REFLIST_BYTES) */
int reflist_keep(struct reflist *l, const struct repo *r,
    const struct supply_ref *v, uint64_t n, uint64_t now_ms, uint64_t ms,
    struct err *e);

/* reflist_find - a copy in arena. 1, 0: not remembered, -1 with *e. */
int reflist_find(struct reflist *l, const struct repo *r, uint64_t now_ms,
    struct arena *arena, struct supply_ref **out, uint64_t *n, struct err *e);

#endif
