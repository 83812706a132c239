/*
 * batch.h - files whose bytes are all there and right, and which get their
 * names together.
 *
 * To sync every small file and its folder by itself costs far more than to
 * fetch it. One syncfs makes the bytes of all of them durable; then come the
 * blobs' names and a sync of their folder, then the snapshot's entries and a
 * sync of theirs. No name is there before its bytes are, as ever.
 */
#ifndef FETCH_BATCH_H
#define FETCH_BATCH_H

#include "fetch/download.h"

enum {
    BATCH_FILES = 128,        /* are published together, at most */
    BATCH_FILE_MAX = 1 << 20, /* a larger file is worth its own sync */
    BATCH_NOTED = 64 << 10,   /* from that size on a live journal tells of it */
    BATCH_BYTES = 1 << 20,    /* of which none tells: what a kill may cost */
    BATCH_MS = 1000           /* none waits longer for the others */
};

struct batch {
    struct download *v[BATCH_FILES]; /* sealed */
    size_t n;
    size_t most;       /* that it may hold open */
    uint64_t unnoted;  /* bytes of theirs that no journal tells of */
    uint64_t since_ms; /* when the first one came */
};

/* batch_add - it belongs to the batch from now on; there is room. */
void batch_add(struct batch *b, struct download *d, uint64_t now_ms);

/* batch_due - is it full, or old? */
bool batch_due(const struct batch *b, uint64_t now_ms);

/*
 * batch_flush - publish and link them all; the batch is empty then
 * Where syncfs fails, or where it may not reach the disk of another machine,
 * each file is synced by itself, after all.
 * Returns 0, or -1 with *e: IO, NOSPACE, NOMEM
 */
int batch_flush(struct batch *b, struct err *e);

/* batch_free - close what was not published; idempotent. */
void batch_free(struct batch *b);

#endif
