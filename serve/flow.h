/*
 * flow.h - the files that are fetched because somebody asked for them: one
 * transfer for each content, however many read it, and so many at a time; the
 * others wait for their turn. Small ones do not wait for large ones, and no
 * repository takes all turns.
 *
 * Any thread may call.
 */
#ifndef SERVE_FLOW_H
#define SERVE_FLOW_H

#include "serve/provider.h"
#include "serve/supply.h"

/* A transfer is over. */
struct flow_end {
    const struct repo *repo;
    const char *commit;
    const struct digest *etag;
    const struct hub_refusal *refusal;
    uint64_t begun_ms;
};

struct flows_opts {
    const struct hubdir *dir;
    const struct provider *from;
    unsigned most; /* transfers at the same time; 0: what is good */
    /* Why it is over (kind NONE: all is well), and what to answer then. */
    enum lack (*ended)(void *arg, const struct flow_end *end, struct err *e);
    /* First bytes were given out that are wrong; before it ends. */
    void (*misled)(void *arg, const struct repo *r, const struct digest *etag);
    void *arg;
};

struct flows;
struct flow;

struct flows *flows_open(const struct flows_opts *opts, struct err *e);

/* flows_close - what is under way is kept for later; no reader is left. */
void flows_close(struct flows *all); /* NULL is fine */

/*
 * flow_join - reader r of bytes [r->at, r->to) of a file, fetched if it is not
 * under way yet
 * Returns the flow, to be left; or NULL with *lack and *e: LIMIT, FAULT
 */
struct flow *flow_join(struct flows *all, const struct edition *ed,
    const struct tree_file *f, struct watch_reader *r, enum lack *lack,
    struct err *e);
void flow_leave(struct flows *all, struct flow *f, struct watch_reader *r);

/* flows_has - is it under way, or waits for its turn? */
bool flows_has(
    struct flows *all, const struct repo *r, const struct digest *etag);

/* flow_watch - what can be read of it. */
struct watch *flow_watch(struct flow *f);

/* flow_lack - what to answer, once its watch says that it has failed. */
enum lack flow_lack(const struct flow *f);

/* flows_each - what is under way, or waits for its turn. */
void flows_each(struct flows *all,
    void (*each)(void *arg, const struct supply_fetch *f), void *arg);

#endif
