/*
 * mirror.h - a hub cache served as a Hub: everything of this room, put
 * together, from a command's options to its end.
 */
#ifndef SERVE_MIRROR_H
#define SERVE_MIRROR_H

#include "serve/supply.h"

struct mirror;

struct mirror_opts {
    const char *listen;   /* "HOST:PORT"; no host: all addresses; port 0: any */
    const char *prefix;   /* "/hub", or NULL */
    const char *name;     /* in its messages; NULL: the machine's */
    const char *tokens;   /* a file, or NULL: everybody may ask */
    const char *tls_cert; /* files in PEM, or NULL */
    const char *tls_key;
    unsigned connections; /* at once; half of them of one address */
    unsigned timeout_s;   /* for who only takes up room (traffic.h) */
    bool log;             /* a line for each request */
    struct hubdir hub;
    const struct supplier *supplier; /* outlives the mirror; or NULL */
};

enum { MIRROR_URL_MAX = 700, MIRROR_GRACE_S = 5 };

/*
 * mirror_open - serve from now on
 * Returns NULL with *e: USAGE (what is asked), IO, REFUSED (tokens, TLS), NOMEM
 */
struct mirror *mirror_open(const struct mirror_opts *o, struct err *e);

/* mirror_url - what HF_ENDPOINT is to be. */
const char *mirror_url(const struct mirror *m);

/*
 * mirror_run - until it is cancelled (cancel.h); then no new connections, and
 * what is under way has MIRROR_GRACE_S to end
 */
void mirror_run(struct mirror *m);

void mirror_close(struct mirror *m); /* NULL is fine */

#endif
