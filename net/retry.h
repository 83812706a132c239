/*
 * retry.h - when to try again, how long to wait before it, when to give up.
 *
 * The measure is bytes: an attempt that brings one new byte starts the clock
 * again, and when none came for the time allowed, it is over. A server that
 * names a time (429) is waited for, a few times, without the clock running.
 */
#ifndef NET_RETRY_H
#define NET_RETRY_H

#include "base/sys.h"

enum {
    RETRY_TIME_S = 60, /* without one new byte: give up */
    RETRY_TIME_MAX_S = 86400,
    RETRY_NAMED_MAX_S = 600, /* a longer wait is not waited for */
    RETRY_NAMED_TIMES = 4    /* named waits in a row */
};

struct retry {
    uint64_t limit_ms;
    uint64_t good_ms; /* when the last new byte came, or the work began */
    unsigned named;   /* named waits since then */
};

struct retry retry_begin(uint64_t limit_s, uint64_t now_ms);

/* retry_good - a new byte came. */
void retry_good(struct retry *r, uint64_t now_ms);

/*
 * retry_allowed - may another attempt be made, after a wait?
 * wait_ms  how long it should be; cut to the time that is left
 * named    the server asked for this wait
 */
bool retry_allowed(
    struct retry *r, uint64_t now_ms, uint64_t *wait_ms, bool named);

/* retry_status - an answer that may be another one next time. */
bool retry_status(long status);

/*
 * retry_backoff_ms - 0.5, 1, 2, 4, 8, 8 ... s, between half of it and all
 * attempt  how many failed already without a new byte, from 1
 * dice     a random number
 */
uint64_t retry_backoff_ms(unsigned attempt, uint32_t dice);

/*
 * retry_jitter_ms - anything from 0 to 0.2, 0.4, 0.8 ... 8 s: for many that
 * are refused at the same moment and must not come back together
 */
uint64_t retry_jitter_ms(unsigned attempt, uint32_t dice);

/* retry_dice - a random number. */
uint32_t retry_dice(void);

/*
 * retry_named_s - the seconds to wait that the answer names, 0 when none
 * RateLimit counts on a 429 only, and only a bucket with nothing left
 * (t + 1); then Retry-After, a whole number (n + 1). Either may be NULL.
 * Source: hub protocol, section 6.
 */
uint64_t retry_named_s(
    long status, const char *rate_limit, const char *retry_after);

#endif
