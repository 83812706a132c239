/*
 * place.h - what a long run is for must have a place before it starts.
 */
#ifndef VERIFY_RUN_PLACE_H
#define VERIFY_RUN_PLACE_H

#include "base/err.h"

/*
 * place_check - can a file be written there? One that is there is a file.
 * option   for messages: "--report"
 * path     NULL is fine: nothing will be written
 * Returns  0, or -1 with *e: USAGE, IO, MISSING (its folder)
 */
int place_check(const char *option, const char *path, struct err *e);

#endif
