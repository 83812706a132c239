/* pull_internal.h - what the files behind pull.h share. */
#ifndef FETCH_PULL_INTERNAL_H
#define FETCH_PULL_INTERNAL_H

#include "fetch/pull.h"
#include "fetch/space.h"

/* Nothing is written: every byte, and every name, must be there. */
bool pull_is_proof(const struct pull *p);

/* pull_make_plan - of the listing, by what is here now. */
int pull_make_plan(struct pull *p, struct err *e);

/* pull_check_offline - files that cannot come, since nobody may be asked. */
int pull_check_offline(const struct pull *p, struct err *e);

/* pull_count_copies - bytes that a plain folder gets from a cache that it
 * cannot share with. */
int pull_count_copies(struct pull *p, struct err *e);

/* pull_changes - is there anything to write? */
bool pull_changes(const struct pull *p);

/* pull_hold - the lease of the repository, with others (lease.h). */
int pull_hold(struct pull *p, bool create, struct err *e);

struct space pull_space(struct pull *p);
struct conversion pull_conversion(const struct pull *p);

#endif
