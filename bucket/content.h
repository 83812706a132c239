/*
 * content.h - bytes under their SHA-256 in a bucket, in and out. The digest is
 * the only judge: the store checks what it is sent against it, and nothing
 * that came out is used before it was found again.
 */
#ifndef BUCKET_CONTENT_H
#define BUCKET_CONTENT_H

#include "base/progress.h"
#include "bucket/bucket.h"
#include "bucket/catalog.h"

enum content_kind { CONTENT_BLOB, CONTENT_MANIFEST };

/* content_key - where it is, into out of S3_KEY_MAX + 1. */
int content_key(const struct bucket *b, enum content_kind kind,
    const struct digest *sha256, char *out, struct err *e);

/*
 * content_there - does the bucket have it, of that size? The object itself is
 * asked, never a list.
 */
int content_there(struct bucket *b, struct s3 *s, enum content_kind kind,
    const struct digest *sha256, uint64_t size, bool *out, struct err *e);

/*
 * content_held - the same of many, several at a time: each one's held is set
 */
int content_held(
    struct bucket *b, struct catalog_file *const *v, uint64_t n, struct err *e);

/*
 * content_url - append where its bytes are to be had for an hour, without
 * asking whether they are (s3_url); who takes them there checks them
 */
int content_url(struct bucket *b, const struct digest *sha256, struct buf *out,
    struct err *e);

/* content_add - bytes in memory. out: their digest. */
int content_add(struct bucket *b, enum content_kind kind, struct str text,
    struct digest *out, struct err *e);

/* content_read - them again, found right. CORRUPT: they are not, or gone. */
int content_read(struct bucket *b, enum content_kind kind,
    const struct digest *sha256, uint64_t size, struct buf *out, struct err *e);

enum { CONTENT_ETAG_MAX = 48 };

/* An object that is to be read, and what was found. */
struct content_proof {
    enum content_kind kind;
    const struct digest *sha256;
    uint64_t size;
    const struct digest *oid; /* git's digest of its bytes; NULL: any */
    const char *shown;        /* what the progress calls it */

    enum content_state {
        CONTENT_UNREAD, /* not read, or not to its end */
        CONTENT_RIGHT,
        CONTENT_WRONG,
        CONTENT_GONE,
        CONTENT_OTHER /* as its name says, but not of that size, or oid */
    } state;
    int64_t written_s;           /* what was read, by the store's clock */
    char etag[CONTENT_ETAG_MAX]; /* its start */
};

/*
 * content_prove - read all of n objects, several at a time: are they what
 * their names say? What is wrong is read once more.
 * unread   told of each that the store does not hand out, one at a time; 0:
 *          the others are read, or -1 with *e
 * Returns  0 with their states, or -1 with *e: NET, CANCELLED, ...; what was
 *          read until then has its state
 */
int content_prove(struct bucket *b, struct content_proof *v, uint64_t n,
    enum progress_mode progress,
    int (*unread)(void *arg, uint64_t i, const struct err *why, struct err *e),
    void *arg, struct err *e);

/* A file of this machine that is to be in the bucket. */
struct content_file {
    const char *file;
    const char *shown;        /* what the progress calls it */
    struct catalog_file *out; /* gets size, sha256, pieces, held */
    bool copied;              /* the bucket did not have it */
};

/*
 * content_hash - what they are: read once, and nothing is sent
 * pieces go into arena. The progress counts these bytes, and those of
 * content_send again.
 * Returns  0, or -1 with *e: MISSING, REFUSED, IO, CANCELLED
 */
int content_hash(struct content_file *v, uint64_t n, struct progress *progress,
    struct arena *arena, struct err *e);

/*
 * content_send - those that the bucket does not have; after content_hash
 * Up to 64 MiB at once, longer ones in parts, several at a time; a part is
 * checked by the store against the digest found first. What is over 64 MiB is
 * asked for its size afterwards.
 * Returns  0, or -1 with *e: BUSY (a file is no more what was hashed), ...
 */
int content_send(struct bucket *b, struct content_file *v, uint64_t n,
    struct progress *progress, struct err *e);

/*
 * content_fetch - the bytes of f into fd, from offset 0 on; their digest is
 * right then. A wrong answer is asked for once more.
 * Returns  0, or -1 with *e: CORRUPT (also: gone), NOSPACE, CANCELLED, ...
 */
int content_fetch(struct bucket *b, const struct catalog_file *f, int fd,
    const char *fd_name, struct progress_item *item, struct err *e);

/*
 * content_stream - the same to a pipe: each byte is checked before it is
 * written, piece by piece where there are several
 */
int content_stream(struct bucket *b, const struct catalog_file *f, int fd,
    const char *fd_name, struct progress_item *item, struct err *e);

#endif
