/*
 * transfer.h - run a plan: bring what is missing, check it, publish and link
 * it, file by file, over several connections at once.
 *
 * Whatever ends it early (an interrupt, a kill, a full disk), the bytes that
 * arrived are in partials whose journals say which they are.
 */
#ifndef FETCH_TRANSFER_H
#define FETCH_TRANSFER_H

#include "fetch/download.h"

/*
 * transfer_run - fetch all PLAN_FETCH files of the plan
 * out_bytes  how many new bytes the network brought
 * Returns    0, or -1 with *e: NET (no new byte for the time allowed),
 *            CORRUPT (wrong digest twice: nothing of it is visible), AUTH,
 *            MISSING, NOSPACE, IO, CANCELLED, NOMEM
 */
int transfer_run(const struct transfer_opts *opts, const struct plan *plan,
    uint64_t *out_bytes, struct err *e);

#endif
