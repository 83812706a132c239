/*
 * download.h - one file on its way: its partial on disk, the segments that
 * nobody works on yet, and where its bytes are to be had.
 */
#ifndef FETCH_DOWNLOAD_H
#define FETCH_DOWNLOAD_H

#include "base/progress.h"
#include "fetch/claim.h"
#include "fetch/hub.h"
#include "fetch/intake.h"
#include "fetch/plan.h"
#include "fetch/watch.h"
#include "net/retry.h"

/* Who knows where a file's bytes are, in place of a Hub. */
struct locator {
    /* Append a URL; called again when that is good no more. Must not wait. */
    int (*locate)(void *arg, struct buf *url, struct err *e);
    void *arg;
};

/* What all files of one transfer share. */
struct transfer_opts {
    struct hub *hub;
    const struct hubdir *dir;
    const struct repo *repo;
    const char *commit;
    bool bare;                 /* blobs are enough: no snapshot entries */
    unsigned jobs;             /* connections at most; 0: what is good */
    uint64_t limit_rate;       /* bytes a second; 0: no limit */
    struct progress *progress; /* or NULL */
    struct watch *watch;       /* of a plan of one file: its readers; or NULL */
    struct locator *locator;   /* of a plan of one file; NULL: the Hub is asked
                                  where its bytes are */
    size_t blocks;             /* of memory; 0: what is good */
    uint64_t first_s;          /* give up when nothing came at all for so
                                  long; 0: as later */
};

struct segment {
    uint64_t from;          /* next byte to fetch */
    uint64_t to;            /* behind its last byte */
    unsigned attempts;      /* failed without a new byte */
    uint64_t not_before_ms; /* when it may be tried again */
};

/* Refusals and wrong answers in a row, without a new byte, per file. */
enum { DOWNLOAD_STRIKES = 4 };

struct download {
    const struct transfer_opts *opts;
    const struct plan_file *file;
    struct intake *intake;
    struct partial partial;
    struct sink sink;
    struct claim claim;   /* to that partial; its path is "" before */
    int lock;             /* -1: none */
    struct segment *todo; /* in file order */
    size_t n_todo;
    unsigned lanes;      /* at work on it */
    char *location;      /* on another host than the Hub; NULL: ask it */
    unsigned generation; /* of location: grows when it changes */
    bool resolved;       /* one request found its way */
    bool stream;         /* the server ignores ranges: one lane only */
    bool fresh;          /* use new connections */
    bool held;           /* somebody else has brought it meanwhile */
    struct digest got;   /* of all its bytes, when sealed */
    unsigned strikes;
    uint64_t strike_ms;  /* when the last one was counted */
    unsigned mismatches; /* times the finished file was wrong */
    struct progress_item *item;
};

#define DOWNLOAD_INIT                                                          \
    {                                                                          \
        .partial = PARTIAL_INIT, .sink = SINK_INIT, .lock = -1                 \
    }

/*
 * download_open - take the lock, look again, open the partial
 * lock    of the content, taken already, and kept from now on; -1: wait for
 *         it while another process downloads the same content
 * Returns 0, or -1 with *e: NOSPACE, IO, CANCELLED, NOMEM
 */
int download_open(struct download *d, const struct transfer_opts *opts,
    struct intake *intake, const struct plan_file *file, int lock,
    struct err *e);

/* download_todo - bytes that nobody was asked for. */
uint64_t download_todo(const struct download *d);

/*
 * download_take - a segment whose time has come, of about piece bytes at
 * most; -1: NOMEM, 0: there is none, 1: *out is one
 */
int download_take(struct download *d, uint64_t now_ms, uint64_t piece,
    struct segment *out, struct err *e);

/*
 * download_wanted - is there something to be asked for, now or later?
 * now      a reader stands before it: it is not to wait
 */
bool download_wanted(const struct download *d, bool *now);

/* download_give - what a lane did not fetch may be fetched by another. */
int download_give(struct download *d, struct segment rest, struct err *e);

/*
 * download_stream - the server ignores ranges: drop all segments; lane-less
 * rest is asked for in one piece from the first missing byte on
 */
void download_stream(struct download *d);

/* download_restart - its bytes were thrown away: begin again. */
int download_restart(struct download *d, struct err *e);

/* download_moved - its bytes are at url from now on. 0, or -1: NOMEM. */
int download_moved(struct download *d, const char *url, struct err *e);

/*
 * download_lost - a location of that generation is good no more; false when
 * that was known
 */
bool download_lost(struct download *d, unsigned generation);

/* download_seal - all bytes are there: are they right? -1: CORRUPT. */
int download_seal(struct download *d, struct err *e);

/* download_finish - publish what was sealed, and link it. -1 with *e. */
int download_finish(struct download *d, struct err *e);

/* download_name - only give it the blob's name; it was synced before. */
int download_name(struct download *d, struct err *e);

/* download_close - save what there is, and let go of it. Idempotent. */
void download_close(struct download *d);

#endif
