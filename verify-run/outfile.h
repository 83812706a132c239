/*
 * outfile.h - what a long run writes must have a place before it starts.
 */
#ifndef VERIFY_RUN_OUTFILE_H
#define VERIFY_RUN_OUTFILE_H

#include "base/err.h"

/*
 * outfile_check - can a file be written there? One that is there is a file.
 * option   for messages: "--report"
 * path     NULL is fine: nothing will be written
 * Returns  0, or -1 with *e: USAGE, IO, MISSING (its folder)
 */
int outfile_check(const char *option, const char *path, struct err *e);

#endif
