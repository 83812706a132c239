/*
 * multipart.h - an object in parts: each is sent on its own, by any client of
 * the bucket, in any order, and again if need be; the object is there at the
 * end, whole, or not at all.
 *
 * Parts have the numbers 1 to S3_PARTS_MAX and S3_PART_MIN bytes at least, but
 * for the last. What is begun and never ended costs space and is in no list
 * of keys: s3_uploads finds it.
 */
#ifndef S3_MULTIPART_H
#define S3_MULTIPART_H

#include "s3/client.h"

struct s3_part {
    unsigned number;
    uint64_t size;
    char etag[S3_ETAG_MAX];
};

/* s3_multipart_begin - upload gets the id. */
int s3_multipart_begin(
    struct s3 *s, const char *key, char upload[S3_UPLOAD_MAX], struct err *e);

/* s3_multipart_send - -1 with MISSING: that upload is no more. */
int s3_multipart_send(struct s3 *s, const char *key, const char *upload,
    unsigned number, const struct s3_body *b, struct s3_part *out,
    struct err *e);

/* s3_multipart_copy - a part from bytes [from, to) of another key. */
int s3_multipart_copy(struct s3 *s, const char *key, const char *upload,
    unsigned number, const char *from_key, uint64_t from, uint64_t to,
    struct s3_part *out, struct err *e);

/*
 * s3_multipart_end - parts in the order of their numbers, all of them
 * It is done when the key has the size of all parts then. CORRUPT: it has not,
 * or the store misses one of them.
 */
int s3_multipart_end(struct s3 *s, const char *key, const char *upload,
    const struct s3_part *parts, size_t n, struct err *e);

/* s3_multipart_abort - 0, also where that upload is no more. */
int s3_multipart_abort(
    struct s3 *s, const char *key, const char *upload, struct err *e);

/*
 * s3_parts - what the store has of an upload, by number, from all pages
 * Non-zero with *e from part(), which may ask the same client, ends it. -1 with
 * MISSING: no such upload.
 */
int s3_parts(struct s3 *s, const char *key, const char *upload,
    int (*part)(void *arg, const struct s3_part *part, struct err *e),
    void *arg, struct err *e);

struct s3_upload {
    const char *key;
    const char *upload;
    int64_t begun_s; /* since 1970; 0: unknown */
};

/* s3_uploads - those that are begun and not ended, below a prefix. */
int s3_uploads(struct s3 *s, const char *prefix,
    int (*found)(void *arg, const struct s3_upload *upload, struct err *e),
    void *arg, struct err *e);

#endif
