/*
 * cmd_bucket.h - between pulls and volumes in object storage, which know
 * nothing of each other: for cmd_pull.c, cmd_warm.c and cmd_lock.c.
 */
#ifndef FETCH_CMD_BUCKET_H
#define FETCH_CMD_BUCKET_H

#include "cache/lockfile.h"
#include "fetch/pull.h"

/* ---- a bucket in place of the Hub (--from) ---- */

struct from_bucket;

/* from_bucket_open - NULL with *e: USAGE, AUTH, NOMEM ... */
struct from_bucket *from_bucket_open(
    const char *url, uint64_t retry_s, struct err *e);
void from_bucket_close(struct from_bucket **f); /* for AUTO */

/*
 * from_bucket_plan - pull_plan, by the listing that the bucket has: of the
 * revision, or, of a pull that is pinned already, of its commit. Nothing is
 * brought.
 */
int from_bucket_plan(struct from_bucket *f, struct pull *p,
    const struct hubdir *dir, struct hub *hub, struct err *e);

/* from_bucket_bring - what the plan misses; p is planned anew, and then
 * pull_fetch asks nobody. */
int from_bucket_bring(struct from_bucket *f, struct pull *p,
    const struct hubdir *dir, struct hub *hub, struct err *e);

/* ---- from the Hub into a bucket ---- */

/*
 * into_bucket_all - what each of the set asks for, by way of a spool on this
 * machine; each is told on stdout. Where the bucket has all of a pinned one,
 * nobody is asked.
 * s        as before pull_plan; a pinned one brings the files of its pin
 */
int into_bucket_all(const char *url, struct pull_set *s, struct hub *hub,
    bool json, struct err *e);

/*
 * in_bucket - is all that a lock lists there, to the last byte? The store is
 * asked, the hub is not; told on stdout.
 * Returns  0, or -1 with *e: NET (one is not there), CORRUPT
 */
int in_bucket(const char *url, const struct lockfile *lock,
    enum progress_mode progress, bool json, struct err *e);

#endif
