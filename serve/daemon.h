/*
 * daemon.h - HTTP itself: connections, requests and answers on a few threads.
 * daemon.c and exchange.c have libmicrohttpd, no other file does.
 *
 * What cannot be read in one way only is refused, and its connection closed:
 * more than one length or host, a length with a transfer encoding, lines that
 * end in a bare LF, NUL. No thread of these waits for a disk or a network.
 */
#ifndef SERVE_DAEMON_H
#define SERVE_DAEMON_H

#include "serve/response.h"
#include "serve/traffic.h"

struct daemon;

struct daemon_opts {
    int fd;             /* listens; the daemon's from now on */
    const char *prefix; /* "" or "/a/b" */
    const char *cert;   /* PEM texts, or NULL: no TLS */
    const char *key;
    unsigned threads;
    unsigned connections; /* at once, and of one address */
    unsigned per_client;
    unsigned timeout_s; /* without anything from a client, or to it */
    bool log;           /* a line for each request */
};

/*
 * daemon_open - serve from now on
 * Returns NULL with *e: REFUSED (certificate or key), IO, NOMEM
 */
struct daemon *daemon_open(struct responder *by, struct traffic *t,
    const struct daemon_opts *o, struct err *e);

/* daemon_tick - to be called once a second, after traffic_tick. */
void daemon_tick(struct daemon *d);

/* daemon_quiet - no new connections; what is under way goes on. */
void daemon_quiet(struct daemon *d);

/* daemon_close - end all; NULL is fine. */
void daemon_close(struct daemon *d);

#endif
