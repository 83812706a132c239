/*
 * tuner.h - how many connections are worth having, and how much one request
 * should ask for. Found by measuring. Pure: the clock is the caller's.
 *
 * It begins with a few, or with many where the server is far away, since
 * there a connection's own window is the limit more often than the link.
 * Then it tries more. When they bring no more bytes, or the server refuses
 * them, it goes back, and tries again much later.
 */
#ifndef FETCH_TUNER_H
#define FETCH_TUNER_H

#include "base/sys.h"

enum {
    TUNER_NEAR = 4,      /* connections at first */
    TUNER_FAR = 32,      /* to a server that is far away */
    TUNER_FAR_US = 5000, /* which takes so long to reach, at least */
    TUNER_MOST = 32,     /* when the user names no number */
    TUNER_PIECE_MIN = 1 << 20,
    TUNER_PIECE_MAX = 32 << 20,
    TUNER_FAR_PIECE = 6 << 20, /* from there, while the rate is not known */
    TUNER_MEMORY = 24 << 20    /* may wait for a segment in front of it */
};

struct tuner {
    unsigned most; /* never more than that */
    unsigned want; /* connections that should be at work */
    uint64_t rtt_us;
    double rate; /* bytes a second, all connections, of late */
    uint64_t since_ms;
    uint64_t since_bytes;
    unsigned base;        /* connections before the last try; 0: none */
    double base_rate;     /* what they brought */
    uint64_t hold_ms;     /* no other try before then */
    uint64_t speed_ms;    /* what comes before is no measure */
    uint64_t measured_ms; /* how long a measurement takes */
};

struct tuner tuner_begin(unsigned most, uint64_t now_ms);

/* tuner_rtt - the server is so far away, or farther when not yet exact. */
void tuner_rtt(struct tuner *t, uint64_t us);

/*
 * tuner_look - bytes came so far, with full connections at work
 * full   as many as wanted were at work, and none waited for the disk
 * spare  this process could take in more (spare.h)
 */
void tuner_look(
    struct tuner *t, uint64_t now_ms, uint64_t bytes, bool full, bool spare);

/* tuner_refused - a server refused one connection while busy were at work. */
void tuner_refused(struct tuner *t, uint64_t now_ms, unsigned busy);

/*
 * tuner_piece - how many bytes the next request should ask for
 * left    bytes of the file that nobody was asked for
 * memory  bytes that may wait in memory for those in front of them
 */
uint64_t tuner_piece(const struct tuner *t, uint64_t left, uint64_t memory);

/*
 * tuner_cut - where a request ends that begins at from and asks for about so
 * much of [from, to): at a whole mebibyte, as blocks and pages are aligned
 */
uint64_t tuner_cut(uint64_t from, uint64_t to, uint64_t piece);

/*
 * tuner_share - a request brought so many bytes in so many milliseconds and
 * has [from, to) to go, while others have nothing to do: from where on should
 * one of them take over? to: it is not worth a request.
 */
uint64_t tuner_share(const struct tuner *t, uint64_t from, uint64_t to,
    uint64_t brought, uint64_t ms);

/*
 * tuner_silent - others have nothing to do, and a request brought no byte for
 * so long: should one of them ask instead? Each attempt is given longer, and
 * where nothing is known of the server, none is given up.
 */
bool tuner_silent(const struct tuner *t, uint64_t ms, unsigned attempts);

/*
 * tuner_dial - so much is to come over connections that are there: would a
 * new one be at speed before all of it has come?
 */
bool tuner_dial(const struct tuner *t, uint64_t left);

/* tuner_ending - a request with so much to come: time to send the next. */
bool tuner_ending(const struct tuner *t, uint64_t left);

#endif
