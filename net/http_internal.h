/* http_internal.h - what the two ways of bringing an answer share. */
#ifndef NET_HTTP_INTERNAL_H
#define NET_HTTP_INTERNAL_H

#include <limits.h>

#include "net/http.h"
#include "net/waiter.h"
#include "net/wire.h"

struct http {
    void *multi;
    struct waiter waiter;
    uint64_t due_ms; /* when libcurl wants to be called, or for ever */
    bool ahead;      /* TLS may read ahead */
    bool more;       /* somebody can go on, whatever the sockets tell */
    bool directs;    /* answers may come directly */
    struct wire *idle;
    unsigned n_wires;          /* idle or not */
    struct http_call *running; /* the oldest first */
    struct http_opts opts;
    uint64_t requests;
    char agent[128];
    char ca_file[PATH_MAX]; /* "": none */
    char ca_dir[PATH_MAX];
    void *roots; /* the certificates in them; NULL: libcurl reads them */
    bool roots_read;
};

/* http_set - what all of libcurl's handles need, for that URL. */
void http_set(struct http *h, void *easy, const char *url);

/* http_set_request - what this one needs besides; false: no memory. */
bool http_set_request(struct http_call *c);

/* http_forget_lines - of a request's head; there may be secrets in them. */
void http_forget_lines(struct http_call *c);

/* http_start_curl - send the request, and bring the answer, by libcurl. */
int http_start_curl(struct http *h, struct http_call *c, struct err *e);

#endif
