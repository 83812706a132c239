/* adopt_internal.h - what the files behind adopt.h share. */
#ifndef CACHE_ADOPT_INTERNAL_H
#define CACHE_ADOPT_INTERNAL_H

#include "cache/adopt.h"
#include "cache/lease.h"

struct adopt_leases {
    struct lease *v;
    uint64_t n;
};

void adopt_leases_free(struct adopt_leases *l); /* idempotent, for AUTO */

/*
 * adopt_ready - the place is there, apart from the source, and is held: what
 * comes is not collected before it has a name
 * Returns 0, or -1 with *e: USAGE, REFUSED, IO, CANCELLED
 */
int adopt_ready(struct adopt *a, struct adopt_leases *leases,
    struct arena *arena, struct err *e);

/* adopt_place - where the place has, or is to have, such a file. */
int adopt_place(const struct adopt *a, uint64_t file,
    const struct digest *digest, char *out, struct err *e);

static inline bool adopt_is_in(const struct adopt *a, uint64_t file)
{
    return a->files[file].state >= ADOPT_HELD;
}

/* adopt_fault - a name of the source cannot be had. */
int adopt_fault(struct adopt *a, uint64_t name, enum fault_kind kind,
    const char *why, struct err *e);

/* adopt_name_all - give the names, of a commit or of put files, and the refs;
 * of a dry run: say which would be given. */
int adopt_name_all(struct adopt *a, struct err *e);

/* adopt_move_out - remove from the source what came over. */
int adopt_move_out(struct adopt *a, struct err *e);

#endif
