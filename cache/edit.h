/*
 * edit.h - one change of a volume's names, as one step of its log: who may
 * add to the log holds it, plans with what the names mean now, and commits.
 * Until the commit nothing has changed; after it, all of it has.
 *
 *   1. the step is written to the log, and synced: from here on it counts
 *   2. names/ and files/ are brought up to it (apply.h), and synced
 *   3. the log says that this is done
 *
 * A kill between 1 and 3 leaves 2 to the next edit; readers see the new
 * meaning all the same (history.h). Contents are on disk before 1.
 */
#ifndef CACHE_EDIT_H
#define CACHE_EDIT_H

#include "cache/history.h"
#include "cache/lease.h"

struct edit {
    const struct volume *v;
    struct arena *arena;
    struct lease lease;
    int log;
    uint64_t size; /* bytes of the log */
    bool torn;     /* its end is no whole line */
    struct step step;
    uint64_t cap;
};

#define EDIT_INIT                                                              \
    {                                                                          \
        .lease = LEASE_INIT, .log = -1                                         \
    }

/*
 * edit_begin - wait for the log, and end what a killed edit began
 * what     for the log: "put", "rm" ...
 * taken    the caller has taken the volume's lease for itself (reaper.h);
 *          else it is held with others until edit_close
 * Returns  0, or -1 with *e: MISSING (no volume), CANCELLED, NOSPACE, IO,
 *          REFUSED (a log that is no file, or full)
 */
int edit_begin(struct edit *ed, const struct volume *v, const char *what,
    bool taken, struct arena *arena, struct err *e);

/*
 * edit_set - a name means this from now on; now NULL: nothing any more
 * No change, where it means the same content already.
 */
int edit_set(struct edit *ed, struct str name, const struct volume_entry *now,
    struct err *e);

/*
 * edit_commit - make it so
 * number   of the step; 0 where there is nothing to change
 * Returns  0, or -1 with *e: REFUSED (a name would be a file and a folder),
 *          NOSPACE, IO, BUSY (another process was faster, where locks lie);
 *          nothing has changed then. A view that could not follow is told as
 *          a warning.
 */
int edit_commit(struct edit *ed, uint64_t *number, struct err *e);

void edit_close(struct edit *ed); /* idempotent, for AUTO */

/* edit_who - "user@host", as far as it is known; .p NULL with *e: NOMEM. */
struct str edit_who(struct arena *arena, struct err *e);

/*
 * edit_name_free - may this be a file's name, here and beside what is there?
 * step     a change that is under way, or NULL
 * Returns  0, or -1 with *e: REFUSED
 */
int edit_name_free(const struct volume *v, struct str name,
    const struct step *step, struct arena *arena, struct err *e);

#endif
