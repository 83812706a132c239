/*
 * traffic.h - who is connected, what is being sent to whom, how fast; and
 * what was sent so far. Counts are exact: the kernel tells of each connection
 * how much its other end has.
 *
 * It also lets go of who only takes up room: who does not finish a request
 * in time, and who does not take what he asked for.
 */
#ifndef SERVE_TRAFFIC_H
#define SERVE_TRAFFIC_H

#include "base/buf.h"
#include "serve/response.h"

enum { TRAFFIC_HISTORY = 300, TRAFFIC_NAME_MAX = 400, TRAFFIC_PEER_MAX = 64 };

struct traffic;
struct passage; /* one connection */

/*
 * traffic_open - timeout_s: how long a request may take to come, from its
 * connection's begin, or the last answer's end, on; and who took less than
 * TRAFFIC_SLOW bytes per second for so long is let go, too
 */
enum { TRAFFIC_SLOW = 1000 };
struct traffic *traffic_open(unsigned timeout_s, struct err *e);
void traffic_close(struct traffic *t); /* when no passage is left */

/* traffic_come - a connection; NULL: no memory. traffic_go - it is closed. */
struct passage *traffic_come(struct traffic *t, int fd, const char *peer);
void traffic_go(struct traffic *t, struct passage *p);

const char *passage_peer(const struct passage *p);

/* traffic_left - its client has gone while it was answered, as was seen at the
 * last tick; one that only sends no more is taken for such. */
bool traffic_left(struct traffic *t, const struct passage *p);

/* traffic_begin - a request has come, whole. */
void traffic_begin(struct traffic *t, struct passage *p);

/* traffic_send - its answer goes out; name: of the file, or "" */
void traffic_send(struct traffic *t, struct passage *p, const char *name,
    uint64_t size, enum response_from from);

/* traffic_held_up - it waits for bytes that are not here yet, or no more. */
void traffic_held_up(struct traffic *t, struct passage *p, bool yes);

/* traffic_end - the answer is out, or broken off. */
void traffic_end(struct traffic *t, struct passage *p, enum route_kind kind,
    unsigned status, bool whole);

/* traffic_tick - to be called once a second. */
void traffic_tick(struct traffic *t);

/* One answer on its way. */
struct sending {
    char peer[TRAFFIC_PEER_MAX];
    char name[TRAFFIC_NAME_MAX];
    uint64_t size, sent; /* bytes */
    double rate;         /* bytes per second */
};

enum {
    TRAFFIC_KINDS = ROUTE_PAGE + 1,
    TRAFFIC_CODES = 18,
    TRAFFIC_SENDING = 50
};

extern const char *const traffic_kind_names[TRAFFIC_KINDS];
extern const unsigned traffic_codes[TRAFFIC_CODES]; /* 0: any other */

struct tally {
    uint64_t requests[TRAFFIC_KINDS][TRAFFIC_CODES];
    uint64_t requests_total;
    uint64_t hits, misses; /* files: held, or to be fetched */
    uint64_t sent;         /* bytes */
    uint64_t cut;          /* answers broken off */
    uint64_t let_go;       /* connections that only took up room */
    uint64_t connections, connections_total;
    double rate;                       /* bytes per second, lately */
    uint64_t history[TRAFFIC_HISTORY]; /* bytes of each second, oldest first */
    double up_s;
    struct sending sending[TRAFFIC_SENDING]; /* the largest first */
    unsigned n_sending, sending_total;
};

/* traffic_busy - requests that are being answered. */
unsigned traffic_busy(struct traffic *t);

/* traffic_shut - all connections are told to end; how many have not yet. */
unsigned traffic_shut(struct traffic *t);

void traffic_tally(struct traffic *t, struct tally *out);

#endif
