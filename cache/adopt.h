/*
 * adopt.h - take over what is in a folder of another program: every file of
 * it is hashed, on all cores; the sound ones come into the place, without
 * being copied where the file system allows it; then they get their names.
 * What is broken stays where it is, and is listed.
 *
 * The order is that of every writer here: bytes, synced and proved; then
 * names; then refs; and only then, of a move, the old ones are removed. What
 * is in is in: who was killed goes on where he was.
 */
#ifndef CACHE_ADOPT_H
#define CACHE_ADOPT_H

#include "cache/bring.h"
#include "cache/foreign.h"
#include "cache/place.h"

enum adopt_state {
    ADOPT_LEFT,   /* nobody needs it */
    ADOPT_BROKEN, /* a fault says why */
    ADOPT_HELD,   /* the place had it */
    ADOPT_TAKEN   /* the place has it now; of a dry run: would have */
};

/* What became of a file of the source. */
struct adopt_file {
    enum adopt_state state;
    enum brought how;
    struct digest digest;
    uint64_t size;
    bool failed; /* one of its names could not be given */
};

enum adopt_name {
    ADOPT_NAME_NOT,
    ADOPT_NAME_REFUSED, /* another file has it */
    ADOPT_NAME_HELD,
    ADOPT_NAME_NEW
};

struct adopt {
    /* Asked. */
    const struct place *place;
    const char *source;
    enum foreign_kind kind;
    const char *name; /* that puts are to stand below, or NULL */
    enum bring_how how;
    bool dry_run;
    bool force; /* a put name that has other content gets the new one */
    enum progress_mode progress;

    /* Answered. */
    struct foreign foreign;
    struct adopt_file *files; /* of foreign.files */
    enum adopt_name *names;   /* of foreign.names */
    uint64_t removed;         /* of a move: files that are gone there */
    bool created;             /* the volume was not there before */
};

/*
 * adopt_run - do it
 * Returns 0 whatever was found; -1 with *e: USAGE (put files without a
 *         volume), REFUSED (the source is in the place, or the other way
 *         round, or a volume), BUSY (it is to be moved, and in use), NOSPACE,
 * IO, NOMEM, CANCELLED
 */
int adopt_run(struct adopt *a, struct arena *arena, struct err *e);

/* adopt_free - idempotent, for AUTO; what is in the arena stays. */
void adopt_free(struct adopt *a);

#endif
