/*
 * http.h - requests that run side by side, each on a connection of its own.
 * http.c, http_request.c and wire.c are the only files that include libcurl.
 *
 * One request is one struct http_call. Redirects are never followed here:
 * whoever called decides at each hop whether the token may go along. HTTP/1.1
 * only, since ranges of one file must not share one connection. Only http
 * and https; answers are asked for uncompressed; proxies come from the
 * environment, in either case; what is trusted says roots.h.
 *
 * Not for threads: one owner at a time.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include "base/err.h"

struct http;

enum http_end {
    HTTP_RUNNING,   /* not over */
    HTTP_ANSWERED,  /* a whole answer, of any status */
    HTTP_CUT,       /* the answer ended too early */
    HTTP_STALLED,   /* nothing came for the stall time */
    HTTP_UNREACHED, /* no such host, no connection */
    HTTP_UNTRUSTED, /* the TLS certificate is not trusted */
    HTTP_STOPPED,   /* a function of the caller returned non-zero */
    HTTP_BROKEN     /* anything else, e.g. not HTTP */
};

enum { HTTP_PAUSE = 2 };

/* A body that is sent. It may be asked for again from any place. */
struct http_upload {
    uint64_t len;
    /* Exactly len bytes from byte at on. Non-zero: the call is STOPPED. */
    int (*read)(void *arg, uint64_t at, void *room, size_t len);
    void *arg;
};

struct http_call {
    /* Asked: must stay as they are until the call is over. */
    const char *url;
    const char *token; /* sent as bearer token; NULL or "": none */
    bool ranged;       /* ask for bytes [from, to) only */
    uint64_t from;
    uint64_t to;
    bool fresh;                       /* on a new connection */
    const char *method;               /* NULL: GET, or PUT with an upload */
    const char *const *extra;         /* "name: value", ..., NULL; or NULL */
    const struct http_upload *upload; /* NULL: no body is sent */
    bool as_is;        /* dots in the URL's path are left where they are */
    uint64_t limit_ms; /* stalled if it is not over by then; 0: no limit. Not
                          with room */
    /*
     * Called with the next bytes of the body, after all headers are there.
     * HTTP_PAUSE: nothing more is read until http_resume, and the same bytes
     * come first then; any other non-zero ends the call as HTTP_STOPPED. It
     * must not start or stop calls. NULL: the body is dropped.
     */
    int (*body)(void *arg, const void *bytes, size_t len);
    /*
     * Where the next bytes of the body are best received: room for *len of
     * them, which stays until body() has had them. NULL: anywhere; with *len
     * 0, nowhere before http_resume. Not asked by all answers; may be NULL.
     */
    void *(*room)(void *arg, size_t *len);
    void *arg;

    /* Answered. status is right from the first body byte on. */
    enum http_end end;
    long status;
    char why[256]; /* what went wrong, "" after HTTP_ANSWERED */

    /* http.c's; kept for the next use of this struct. */
    void *easy;
    void *lines;
    struct http *http;
    struct http_call *next;
    int fd;         /* that is watched; -1: none */
    uint64_t fd_ns; /* since when */
    int failed;     /* when it was resumed: libcurl's code */
    uint64_t sent;  /* of the upload */
    bool unread;    /* the upload could not be read */
    struct direct *direct;
};

#define HTTP_CALL_INIT                                                         \
    {                                                                          \
        .url = NULL                                                            \
    }

struct http_opts {
    unsigned connect_s;
    unsigned stall_s;     /* less than about 64 bytes/s for this long */
    unsigned connections; /* how many of each way may be kept open */
};

/* http_open - NULL with *e: NOMEM, IO. */
struct http *http_open(const struct http_opts *opts, struct err *e);
void http_close(struct http *h); /* NULL is fine; stops nothing by itself */

/* http_start - send the request. 0, or -1 with *e: NOMEM. */
int http_start(struct http *h, struct http_call *c, struct err *e);

/*
 * http_wait - let all calls go on, for at most ms milliseconds
 * Returns a call that is over now, or NULL; ask again until it is NULL.
 */
struct http_call *http_wait(struct http *h, unsigned ms);

/* http_run - start one call and wait for its end. -1: NOMEM, CANCELLED. */
int http_run(struct http *h, struct http_call *c, struct err *e);

/* http_stop - end a running call at once; nothing if it is over. */
void http_stop(struct http *h, struct http_call *c);

/* http_resume - a paused call goes on; nothing if it is over, or not paused. */
void http_resume(struct http_call *c);

/* http_wake - http_wait returns soon. From any thread. */
void http_wake(struct http *h);

enum http_way { HTTP_WAY_UNKNOWN, HTTP_WAY_LONGER, HTTP_WAY_KNOWN };

/*
 * http_way - how long a round trip on a running call's connection takes
 * Returns KNOWN with *us in microseconds; LONGER than *us: the other end has
 *         not answered yet; UNKNOWN: no connection, or not a new one
 */
enum http_way http_way(const struct http_call *c, uint64_t *us);

/* http_call_free - idempotent; the call must not be running. */
void http_call_free(struct http_call *c);

/* http_header - the answer's header, or NULL. Valid until the next start. */
const char *http_header(const struct http_call *c, const char *name);

/* http_header_at - the same, of several of that name the one at index. */
const char *http_header_at(
    const struct http_call *c, const char *name, size_t index);

/* http_target - where a 3xx leads, as an absolute URL; NULL when nowhere. */
const char *http_target(const struct http_call *c);

/*
 * http_unfit - why the 200 or 206 cannot be what was asked for, to follow the
 * host's name: "sent a web page" (unless page_ok), "sent compressed bytes";
 * NULL when its headers do not say so.
 */
const char *http_unfit(const struct http_call *c, bool page_ok);

/* http_advice - what a person can do about an end without an answer. */
const char *http_advice(const struct http_call *c);

/* http_requests - how many were sent. */
uint64_t http_requests(const struct http *h);

#endif
