/*
 * repair.h - have the bytes that verify found missing fetched again, and no
 * others. Only mlfetch may open the network: it is run for that.
 */
#ifndef CACHE_REPAIR_H
#define CACHE_REPAIR_H

#include "cache/verify.h"

/*
 * repair_run - what of v->wrong is of a hub comes back, and is marked so
 * Returns 0 when mlfetch did all it was asked for; -1 with *e of the kind it
 *         ended with, MISSING when there is no mlfetch
 */
int repair_run(struct verify *v, bool quiet, struct err *e);

#endif
