/*
 * wire.h - one connection that libcurl makes and then leaves alone: names,
 * addresses and certificates are its matter, TLS is, too; what is said is the
 * caller's. Of libcurl's includes see http.h.
 */
#ifndef NET_WIRE_H
#define NET_WIRE_H

#include "base/err.h"

struct http;
struct http_call;

struct wire {
    void *easy;
    struct http *http;
    int fd;            /* to be waited for; -1: not connected yet */
    char origin[300];  /* "https://host:port" */
    bool used;         /* it has brought an answer */
    struct wire *next; /* of those that are idle */
};

/*
 * wire_dial - begin to connect, for this call; libcurl tells of the end
 * NULL with *e: NOMEM
 */
struct wire *wire_dial(
    struct http *h, struct http_call *c, const char *origin, struct err *e);

/* wire_up - libcurl says that it is connected. -1: it is not. */
int wire_up(struct wire *w);

/* wire_lend - it is that call's from now on; NULL: nobody's. */
void wire_lend(struct wire *w, struct http_call *c);

enum wire_did { WIRE_DID, WIRE_LATER, WIRE_ENDED, WIRE_FAILED };

/*
 * wire_recv, wire_send - as much as goes now
 * Returns DID with *done > 0; LATER: wait for the socket; ENDED: there will
 *         be no more; FAILED: it broke
 */
enum wire_did wire_recv(struct wire *w, void *room, size_t len, size_t *done);
enum wire_did wire_send(
    struct wire *w, const void *bytes, size_t len, size_t *done);

/* wire_rests - nothing came unasked, and it is not closed. */
bool wire_rests(struct wire *w);

/* wire_close - NULL is fine. */
void wire_close(struct wire *w);

#endif
