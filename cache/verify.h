/*
 * verify.h - hash every stored object, on all cores; move aside what is
 * wrong; and say which names have lost their bytes by it.
 */
#ifndef CACHE_VERIFY_H
#define CACHE_VERIFY_H

#include "base/progress.h"
#include "cache/census.h"

struct verify {
    /* Asked. */
    const struct place *place;
    const struct target *targets; /* none: everything */
    size_t n_targets;
    uint64_t sample, samples; /* this part of so many; 0 of 0: all */
    enum progress_mode progress;

    /* Answered. */
    struct census census;
    struct wrong *wrong; /* sorted by repository and path */
    uint64_t n_wrong;
    uint64_t checked;       /* objects found right or wrong now */
    uint64_t checked_bytes; /* and their bytes */
    uint64_t resumed;       /* found right before the interruption */
    uint64_t unreadable;    /* could not be looked at: permissions ... */
};

enum wrong_kind {
    WRONG_DAMAGED, /* an object: its bytes are not what they should be */
    WRONG_UNREAD,  /* an object that the disk cannot read */
    WRONG_MISSING, /* a name leads nowhere */
    WRONG_OTHER,   /* a name leads to other content than its listing says */
    WRONG_REF      /* a ref names no commit */
};

struct wrong {
    enum wrong_kind kind;
    const struct repo *repo; /* NULL: of the volume itself */
    struct str path;         /* of an object: where it was */
    struct str name;         /* of the file, as people know it; or the ref */
    struct str commit;       /* that the name is of, or "" */
    struct digest digest;    /* that is wanted; hex "" when unknown */
    struct str moved;        /* where it is now, or "" */
    struct str why;
    uint64_t names; /* that have lost their bytes */
    bool content;   /* a put file: only putting it again mends it */
    bool converted; /* made anew when it is asked for */
    bool repaired;
};

/*
 * verify_run - do it
 * An interrupted one is remembered: the next goes on where it ended.
 * Returns 0 whatever was found; -1 with *e: IO, NOMEM, CANCELLED
 */
int verify_run(struct verify *v, struct arena *arena, struct err *e);

/*
 * verify_left - of how many something is still missing: neither repaired, nor
 * moved out of the way of everybody
 */
uint64_t verify_left(const struct verify *v);

#endif
