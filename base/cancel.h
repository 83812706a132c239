/*
 * cancel.h - the user's interrupt, asked for, not delivered.
 *
 * cancel_arm() makes the first SIGINT, SIGTERM or SIGHUP set a flag that long
 * work asks about; a second one ends the process at once with status 130. A
 * SIGHUP that is ignored (nohup) stays ignored. In a scope (scope.h) no signal
 * counts: its owner is asked.
 */
#ifndef BASE_CANCEL_H
#define BASE_CANCEL_H

#include "base/err.h"

void cancel_arm(void);
bool cancel_asked(void);

/* cancel_check - 0, or -1 with *e: CANCELLED. */
int cancel_check(struct err *e);

#endif
