/*
 * absence.h - why a folder has no weights, as far as what else lies in it
 * tells: a download that was not finished, a gated repository of which only
 * the text may be had.
 */
#ifndef FORMATS_ABSENCE_H
#define FORMATS_ABSENCE_H

#include "base/err.h"

/*
 * absence_explain - the failure of a folder without weights
 * Returns -1 with *e: MISSING, and a hint
 */
int absence_explain(const char *folder, struct err *e);

#endif
