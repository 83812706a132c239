/*
 * sideline.h - messages go to stderr on a thread of their own, so that who
 * says something never waits for who reads it. Where nobody reads, lines are
 * lost, and the first one that is not says how many.
 */
#ifndef SERVE_SIDELINE_H
#define SERVE_SIDELINE_H

#include "base/err.h"

struct sideline;

/* sideline_open - from now on; one at a time. NULL with *e: NOMEM, IO. */
struct sideline *sideline_open(struct err *e);

/* sideline_close - what was said has a second to go out. NULL is fine. */
void sideline_close(struct sideline *s);

#endif
