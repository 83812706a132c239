/*
 * bucket.h - a volume in object storage: s3://bucket/prefix. Many machines
 * read and write it at the same time; nothing but the store is between them.
 *
 *   v1/store                         how refs are kept here (tip.h)
 *      blobs/sha256/ab/cd/<hex>      content (content.h)
 *      manifests/sha256/ab/cd/<hex>  what names mean (catalog.h)
 *      refs/<name>/...               which of them counts (tip.h)
 *      leases/<random>               who is at work (intent.h)
 *      turn/...                      who may take things out (turn.h)
 *      trash/..., quarantine/...     on the way out; found wrong
 *
 * ml-bucket(5) has the words. What is below blobs/ and manifests/ is named by
 * its SHA-256 and never changes.
 */
#ifndef BUCKET_BUCKET_H
#define BUCKET_BUCKET_H

#include <pthread.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "s3/client.h"

enum {
    BUCKET_NAME_MAX = 256,
    BUCKET_PREFIX_MAX = 512, /* room is left for what comes behind it */
    BUCKET_JOBS = 8          /* requests at a time */
};

struct bucket {
    char name[BUCKET_NAME_MAX];
    char prefix[BUCKET_PREFIX_MAX]; /* "" or "a/b/" */
    char shown[BUCKET_NAME_MAX + BUCKET_PREFIX_MAX + 8];
    struct s3_site site;
    struct s3 *s3;       /* of the thread that opened it */
    struct s3_opts opts; /* set before it is opened, or not */
    bool known;          /* v1/store was read or written */
    bool conditional;    /* and says: refs change by conditional writes */
    atomic_bool hurry;   /* requests are not tried for long (ending.h) */
    pthread_mutex_t lock;
    struct s3 *spare[BUCKET_JOBS];
    size_t n_spare;
};

#define BUCKET_INIT                                                            \
    {                                                                          \
        .site = S3_SITE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER                \
    }

/* bucket_is - does the user mean one: "s3://..."? */
bool bucket_is(const char *text);

/*
 * bucket_open - "s3://bucket" or "s3://bucket/prefix"; nothing is sent
 * Returns 0, or -1 with *e: USAGE (no such form), and s3_site_find's
 */
int bucket_open(struct bucket *out, const char *text, struct err *e);
void bucket_close(struct bucket *b); /* idempotent, for AUTO */

/*
 * bucket_know - is there a volume, and how does it keep its refs?
 * make     where there is none: find out what the store can do, and note it.
 *          The bucket itself is never made
 * Returns  0 with b->known (false: no volume, and not make), or -1 with *e
 */
int bucket_know(struct bucket *b, bool make, struct err *e);

/* bucket_need - the same for who reads: MISSING where there is none. */
int bucket_need(struct bucket *b, struct err *e);

/* bucket_key - "<prefix>v1/" and the rest, into out of S3_KEY_MAX + 1. */
int bucket_key(const struct bucket *b, char *out, struct err *e,
    const char *fmt, ...) PRINTF_LIKE(4, 5);

/* A client for a thread of its own, and back. NULL with *e. Any thread. */
struct s3 *bucket_borrow(struct bucket *b, struct err *e);
void bucket_return(struct bucket *b, struct s3 *s);

/*
 * bucket_read - the whole of a small object
 * info     may be NULL; set where it is CORRUPT, too
 * Returns  0, 1 when there is none, or -1 with *e; CORRUPT: longer than out may
 *          be
 */
int bucket_read(struct s3 *s, const char *key, struct buf *out,
    struct s3_info *info, struct err *e);

/* bucket_write - a small object, whatever was there. */
int bucket_write(
    struct bucket *b, const char *key, struct str text, struct err *e);

/* bucket_random - 16 hexadecimal digits that nobody else will choose. */
int bucket_random(char out[17], struct err *e);

/*
 * bucket_now - the time by the store's clock: seconds since 1970
 * The object at key, written a moment ago, is asked.
 */
int bucket_now(struct bucket *b, const char *key, int64_t *out, struct err *e);

/* bucket_date - the same where nothing may be written: what an answer says. */
int bucket_date(struct bucket *b, int64_t *out, struct err *e);

#endif
