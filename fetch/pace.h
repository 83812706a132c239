/*
 * pace.h - not more than so many bytes a second, over all connections.
 *
 * Pure: the clock is the caller's. A bucket that fills at the rate and holds
 * a fifth of a second of it; a taker that overdraws it makes all others wait.
 */
#ifndef FETCH_PACE_H
#define FETCH_PACE_H

#include "base/err.h"

enum { PACE_MIN = 1000 }; /* bytes a second: less looks like a stall */

struct pace {
    uint64_t rate; /* bytes a second; 0: no limit */
    int64_t left;  /* thousandths of bytes that may be taken; below 0: owed */
    uint64_t at_ms;
};

/* pace_check - may that be asked for? 0 may. -1 with *e: USAGE. */
int pace_check(uint64_t rate, struct err *e);

struct pace pace_begin(uint64_t rate, uint64_t now_ms);

/* pace_take - may these bytes be taken now? If so they are. */
bool pace_take(struct pace *p, uint64_t bytes, uint64_t now_ms);

/* pace_undo - they were not taken after all. */
void pace_undo(struct pace *p, uint64_t bytes);

/* pace_wait_ms - how long nothing may be taken. */
uint64_t pace_wait_ms(struct pace *p, uint64_t now_ms);

#endif
