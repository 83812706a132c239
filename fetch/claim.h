/*
 * claim.h - which partial file this process may write, where locks lie.
 *
 * On some file systems everybody gets the lock (Lustre without -o flock,
 * some NFS mounts). Two processes that write one partial would each vouch
 * for bytes the other one wrote. So, where the lock is not proven honest, a
 * partial that was written to a short while ago is somebody else's: it is
 * left alone, and a file of our own is used. That costs a second download,
 * never a wrong byte.
 * Source: mirror and S3, section 4.3.
 */
#ifndef FETCH_CLAIM_H
#define FETCH_CLAIM_H

#include <limits.h>

#include "base/err.h"

/* A partial nobody wrote to for this long has no owner any more. */
enum { CLAIM_STALE_S = 30, CLAIM_KEEP_S = 5 };

struct claim {
    char path[PATH_MAX];    /* the partial to use */
    char journal[PATH_MAX]; /* its journal, "" when it can have none */
    bool honest;            /* the lock can be relied upon */
    uint64_t kept_ms;       /* claim_keep: when it was renewed */
};

/*
 * claim_partial - decide which partial to use
 * lock     the descriptor of the blob's lock, held
 * path     the partial all processes share, journal: its journal
 * Returns  0, or -1 with *e: IO, NOSPACE
 */
int claim_partial(struct claim *out, int lock, const char *path,
    const char *journal, struct err *e);

/*
 * claim_keep - still at work, even if no byte comes (a server that asks for
 * a long silence); to be called every few seconds
 * fd  the partial
 */
void claim_keep(struct claim *c, int fd, uint64_t now_ms);

/* claim_release - the partial stays, and anybody may go on with it. */
void claim_release(const struct claim *c);

#endif
