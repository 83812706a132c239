/*
 * step.h - one step of a volume's log as text, and back. Pure: whoever reads
 * it may not have written it.
 *
 *   step 42 1763712000 put ann@host 2 261 0123456789abcdef
 *   <tab>run/a<tab>-<tab><sha256>:<size>:<mtime>
 *   <tab>run/b<tab><sha256>:<size>:<mtime><tab>-
 *   done 42 0123456789abcdef
 *
 * ml-volume-log(5) has the words. Every change says what the name meant
 * before and what it means from then on ("-": nothing), so a step can be
 * done again, and undone.
 */
#ifndef CACHE_STEP_H
#define CACHE_STEP_H

#include "cache/volume.h"

#include "base/buf.h"
#include "base/rd.h"

enum { STEP_WHO_MAX = 256, STEP_WHAT_MAX = 64 };

struct change {
    struct str name;
    bool was, is;            /* had it a meaning before, has it one after? */
    struct volume_entry old; /* where it was; its name is not filled in */
    struct volume_entry now; /* where it is; the same */
};

struct step {
    uint64_t number;        /* from 1 */
    int64_t when;           /* seconds since 1970 */
    struct str what;        /* "put", "rm", "mv", "cp", "rollback 7" ... */
    struct str who;         /* "user@host", or "" */
    struct change *changes; /* sorted by name, each once */
    uint64_t n;
};

enum step_line {
    STEP_END,  /* no whole line is left */
    STEP_STEP, /* *out is one */
    STEP_DONE, /* names/ is as out->number says */
    STEP_BAD   /* a line that is none of these, or damaged: skipped */
};

/* step_text - append it; -1 with *e: NOMEM, REFUSED (longer than out may be) */
int step_text(const struct step *s, struct buf *out, struct err *e);

/* step_done_text - the line that says that it is done. */
int step_done_text(uint64_t number, struct buf *out, struct err *e);

/*
 * step_next - what stands next
 * A step that ends too early is STEP_BAD, and reading goes on behind its
 * first line.
 * Returns  enum step_line; or -1 with *e: NOMEM, REFUSED (arena full)
 * Owns     everything of *out is in arena
 */
int step_next(
    struct rd *r, struct arena *arena, struct step *out, struct err *e);

/* step_same - do the two mean the same bytes? */
bool step_same(const struct volume_entry *a, const struct volume_entry *b);

#endif
