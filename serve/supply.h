/*
 * supply.h - where what is asked for comes from: the hub cache that is held,
 * and, where there is one, a supplier that can fetch what is not.
 *
 * Who calls says for how long he may wait. What takes longer is answered
 * SUPPLY_WAIT, and the same call is made again on a thread that has more time.
 *
 * What is held is believed as far as its size: a file is given only when it
 * is there whole, as long as its listing says.
 */
#ifndef SERVE_SUPPLY_H
#define SERVE_SUPPLY_H

#include "serve/edition.h"
#include "serve/feed.h"
#include "serve/lack.h"

enum { SUPPLY_WAIT = 1 }; /* beside 0 and -1 */

enum supply_wait {
    SUPPLY_NOW,  /* for nothing: no network, no long listing is read */
    SUPPLY_SOON, /* for a disk, and where something is held that can stand in
                    for an answer, two seconds for that */
    SUPPLY_LONG  /* for another machine, as long as it takes: no SUPPLY_WAIT */
};

/* The field of a request that says which mirror it comes from. */
#define SUPPLY_MARK "X-Mlfetch-Mirror"
enum { SUPPLY_MARK_MAX = 24 };

/* The bytes of a file: whole, or on their way. */
struct source {
    int fd;            /* from its first byte on; or -1 */
    struct feed *feed; /* then; */
};

#define SOURCE_INIT                                                            \
    {                                                                          \
        .fd = -1                                                               \
    }

void source_free(struct source *s); /* idempotent, for AUTO */

/* A branch or tag. */
struct supply_ref {
    struct str name; /* "main", "refs/pr/1" */
    char commit[41];
};

/* One transfer that is under way, to be shown. */
struct supply_fetch {
    const char *repo; /* "org/name", "datasets/org/name" */
    struct str path;
    uint64_t size, have; /* bytes */
    unsigned readers;
};

/*
 * Who can fetch. All of it from any thread; self is its own.
 * On -1 *lack says which answer, *e why; where that is no word about the
 * repository (lack_is_word) what is held is served as it is.
 */
struct supplier {
    void *self;
    const char *name; /* for messages: the upstream, without secrets */
    const char *mark; /* of its own requests, that must not come here; NULL */
    /* The commit that r's revision, not a commit, is now. 0, SUPPLY_WAIT, -1 */
    int (*commit)(void *self, const struct repo *r, enum supply_wait how,
        char out[41], enum lack *lack, struct err *e);
    /* All files of a commit whose listing is not held, into arena; it may
     * keep the listing in the hub cache. 0, SUPPLY_WAIT, -1 */
    int (*tree)(void *self, const struct repo *r, const char *commit,
        enum supply_wait how, struct arena *arena, struct tree *out,
        enum lack *lack, struct err *e);
    /* A file that is not held: begin to fetch it, or join. Bytes [from, to)
     * are wanted first. Must not wait. 0 with *out, or -1 */
    int (*open)(void *self, const struct edition *ed, const struct tree_file *f,
        uint64_t from, uint64_t to, struct feed **out, enum lack *lack,
        struct err *e);
    /* Its branches and tags, into arena. 0, SUPPLY_WAIT, -1 */
    int (*refs)(void *self, const struct repo *r, enum supply_wait how,
        struct arena *arena, struct supply_ref **out, uint64_t *n,
        enum lack *lack, struct err *e);
    /* Has somebody first bytes of it that are wrong? Who goes on behind them
     * would have a file of two halves: he must be given all of it. */
    bool (*doubtful)(
        void *self, const struct repo *r, const struct digest *etag);
    /* What is under way, one call of each for every transfer. */
    void (*fetching)(void *self,
        void (*each)(void *arg, const struct supply_fetch *f), void *arg);
};

struct supply {
    struct hubdir hub;
    struct editions *editions;
    const struct supplier *supplier; /* NULL: what is held is all there is */
};

/*
 * supply_resolve - the commit and the files that r, with its revision, is
 * Returns 0 with *out, to be dropped; SUPPLY_WAIT; or -1 with *lack and *e:
 *         LACK_REPO, LACK_REVISION, or the supplier's
 */
int supply_resolve(struct supply *s, const struct repo *r, enum supply_wait how,
    struct edition **out, enum lack *lack, struct err *e);

/*
 * supply_check - can the file be given, or fetched? For HEAD: costs no transfer
 * Returns 0, or -1 with *lack and *e: LACK_BYTES
 */
int supply_check(struct supply *s, const struct edition *ed,
    const struct tree_file *f, enum lack *lack, struct err *e);

/*
 * supply_open - the bytes of a file, of which [from, to) are wanted
 * Returns 0 with *out, or -1 with *lack and *e: LACK_BYTES, LACK_FAULT, or the
 *         supplier's
 */
int supply_open(struct supply *s, const struct edition *ed,
    const struct tree_file *f, uint64_t from, uint64_t to, struct source *out,
    enum lack *lack, struct err *e);

/* supply_refs - branches and tags, sorted by name, in arena; as resolve. */
int supply_refs(struct supply *s, const struct repo *r, enum supply_wait how,
    struct arena *arena, struct supply_ref **out, uint64_t *n, enum lack *lack,
    struct err *e);

#endif
