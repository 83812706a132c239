/*
 * caller.h - what stands between the library's callers and the rooms: a
 * session is a scope (base/scope.h) of its own, and each call of the public
 * header works in it from work_begin to work_end.
 */
#ifndef LIB_CALLER_H
#define LIB_CALLER_H

#include <pthread.h>
#include <signal.h>

#include "base/scope.h"
#include "cache/hubdir.h"
#include "cache/volume.h"
#include "fetch/token.h"
#include "lib/mlfetch.h"

struct mlfetch_error {
    enum mlfetch_status status;
    struct err why;
};

struct mlfetch {
    struct scope scope; /* the first: a scope of ours is a session */
    atomic_bool busy;   /* a call is in it */
    atomic_bool cancelled;

    char endpoint[512];  /* "": what the environment says */
    struct hubdir cache; /* its root is "" likewise */
    struct token token;
    bool token_known;
    bool offline;
    uint64_t connections, rate, retry_s, threads;

    pthread_mutex_t calling; /* one callback at a time */
    int (*on_progress)(void *user, const struct mlfetch_progress *now);
    void *progress_user;
    void (*on_message)(void *user, enum mlfetch_level level, const char *text);
    void *message_user;
};

struct mlfetch_volume {
    struct mlfetch *session;
    struct volume volume;
};

/* One call. */
struct work {
    struct mlfetch *m;
    struct mlfetch_error *out; /* the caller's, or NULL */
    struct scope *before;
    sigset_t mask, pending; /* before it began */
    bool entered;
    struct err e; /* how it went */
};

/*
 * work_begin - m is ours until work_end, which always follows
 * Signals that a write may raise are kept from this thread and those it
 * starts: the failed write says it all.
 * Returns false with w->e: USAGE when another thread is in the session.
 */
bool work_begin(struct work *w, struct mlfetch *m, struct mlfetch_error *out);
enum mlfetch_status work_end(struct work *w);

/* work_flags - none but these, or -1 with *e: USAGE. */
int work_flags(unsigned flags, unsigned known, struct err *e);

/* session_hub - the hub cache meant: v's, or the session's when v is NULL. */
int session_hub(const struct mlfetch *m, const struct mlfetch_volume *v,
    struct hubdir *out, struct err *e);

#endif
