/*
 * landing.h - contents that are on their way in: each is checked and synced
 * in a folder of its own, where nobody looks, until all of them are there and
 * get their names. What an interrupted run left there is gone on with.
 *
 *   ROOT/.locks/ml-import.tmp/<digest>    of a hub cache
 *   VOLUME/tmp/ml-import.tmp/<digest>     of a volume
 *
 * It is locked while somebody is at work; else, a day later, mlcache gc takes
 * it for what a killed run left.
 */
#ifndef CACHE_LANDING_H
#define CACHE_LANDING_H

#include "base/file.h"
#include "base/hash.h"
#include "cache/place.h"

enum { LANDING_BATCH = 64, LANDING_BATCH_BYTES = 64 << 20 };

enum landed {
    LANDED_HELD,  /* the same bytes were where they belong */
    LANDED_KEPT,  /* an earlier run had landed them */
    LANDED_FRESH, /* they came now */
    LANDED_SEEN   /* they were only looked at (dry run) */
};

struct landing {
    const struct place *place;
    bool dry_run;
    char dir[PATH_MAX];  /* "" until the first content */
    char root[PATH_MAX]; /* what was there before */
    int lock;

    /* The one that is coming. */
    struct digest digest;
    uint64_t size, at;
    struct hash hash;
    int old; /* a file that may have the same bytes, -1: none */
    enum landed old_is;
    char old_path[PATH_MAX];
    bool writing;

    /* Those that are not yet synced; the last is being written. */
    struct file_new batch[LANDING_BATCH];
    size_t n;
    uint64_t batch_bytes;
};

#define LANDING_INIT                                                           \
    {                                                                          \
        .lock = -1, .old = -1, .hash = HASH_INIT                               \
    }

/* landing_open - where contents of the place land. 0, or -1 with *e. */
int landing_open(
    struct landing *l, const struct place *p, bool dry_run, struct err *e);

/* landing_path - where a content is once it has landed; PATH_MAX bytes. */
int landing_path(
    const struct landing *l, const struct digest *d, char *out, struct err *e);

/* landing_has - has an earlier run landed it? By its size. */
bool landing_has(
    const struct landing *l, const struct digest *d, uint64_t size);

/*
 * landing_begin - a content comes; held: where it belongs, it may be there
 * Bytes that are there, in either place, are compared, and not written again.
 * Returns 0, or -1 with *e: NOSPACE, IO, NOMEM
 */
int landing_begin(struct landing *l, const struct digest *d, uint64_t size,
    const char *held, struct err *e);

/* landing_add - its next bytes. 0, or -1 with *e: NOSPACE, IO */
int landing_add(
    struct landing *l, const uint8_t *bytes, size_t n, struct err *e);

/*
 * landing_end - that was all of it
 * Returns 0, or -1 with *e: CORRUPT (not the digest's bytes), NOSPACE, IO
 */
int landing_end(struct landing *l, enum landed *out, struct err *e);

/* landing_sync - all that came is durable, under its name. */
int landing_sync(struct landing *l, struct err *e);

/* landing_keep - the same of those that came whole, as far as it goes. */
void landing_keep(struct landing *l);

/* landing_drop - a content goes again: it came with others that were wrong. */
void landing_drop(const struct landing *l, const struct digest *d);

/* landing_close - contents stay for the next run; idempotent, for AUTO. */
void landing_close(struct landing *l);

#endif
