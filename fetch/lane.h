/*
 * lane.h - one connection at work on one segment: from the Hub's answer over
 * its redirects to the last byte, checking what every hop says.
 */
#ifndef FETCH_LANE_H
#define FETCH_LANE_H

#include "base/buf.h"
#include "fetch/download.h"
#include "fetch/pace.h"

/* What became of the segment when a call was over. */
enum lane_end {
    LANE_MOVED, /* a redirect: lane_send again */
    LANE_DONE,  /* all its bytes are there */
    LANE_AGAIN, /* may be tried again: err says why, wait_s for how long */
    LANE_FAILED /* for good: err says why */
};

struct lane {
    struct http_call call;
    struct download *d;  /* NULL: idle */
    struct segment seg;  /* from moves on with the bytes */
    uint64_t at;         /* which byte of the file the answer brings next */
    struct block *block; /* the bytes that are on their way to the disk */
    bool paused;         /* until there is memory, or the rate allows it */
    char *url;
    unsigned hops;
    unsigned generation; /* of the location it uses; 0: none */
    bool at_hub;         /* url is on the endpoint's origin */
    bool seen_commit;    /* the Hub's answers named the commit */
    bool seen_etag;      /* and the digest, and both were right */
    bool checked;        /* this answer's head was looked at */
    bool streams;        /* it gets the whole file, from byte 0 on */
    bool shared;         /* it gets more than its segment */
    uint64_t brought;    /* new bytes of this attempt */
    uint64_t untold;     /* of them, not yet shown */
    uint64_t wait_s;     /* LANE_AGAIN: the server names a wait; else 0 */
    struct buf body;     /* of a refusal */
    bool fatal;          /* err is final */
    struct err err;
    struct retry *retry; /* told of every new byte */
    struct pace *pace;   /* asked for every byte */
    uint64_t sent_ns;    /* when the request was */
    uint64_t heard_ms;   /* when that was, or the last new byte came */
};

#define LANE_INIT                                                              \
    {                                                                          \
        .call = HTTP_CALL_INIT, .body = BUF_INIT(1 << 16)                      \
    }

/* lane_begin - work on a segment. Sends nothing. -1: NOMEM, a locator's. */
int lane_begin(
    struct lane *l, struct download *d, struct segment seg, struct err *e);

/* lane_send - send the request for where it stands. */
int lane_send(struct lane *l, struct http *http, struct err *e);

/* lane_over - judge the call that is over. */
enum lane_end lane_over(struct lane *l);

/* lane_resume - go on after a pause. */
void lane_resume(struct lane *l);

/*
 * lane_share - it goes on only up to byte at of the file, which lies behind
 * what it has; what is behind that is for another lane. -1: NOMEM.
 */
int lane_share(struct lane *l, uint64_t at, struct err *e);

/* lane_show - bytes in hand that a reader waits for are written early. */
void lane_show(struct lane *l);

/* lane_leave - stop: what came is written, the rest of it forgotten. */
void lane_leave(struct lane *l, struct http *http);

/* lane_rest - leave the segment; what is left of it goes back. -1: NOMEM. */
int lane_rest(struct lane *l, uint64_t not_before_ms, struct err *e);

/* lane_free - idempotent; the call must not be running. */
void lane_free(struct lane *l);

#endif
