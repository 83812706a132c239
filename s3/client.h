/*
 * client.h - one bucket of a store that speaks S3.
 *
 * A call waits for its answer. What may pass is tried again, with full
 * jitter, as long as new bytes come now and then (retry_s): 500, 502, 503,
 * 504, 429, RequestTimeout, lost connections, conflicts of conditions. A
 * clock that is wrong and a region that is wrong are learned from the answer
 * and put right once. A 200 with an error in it is an error.
 *
 * Errors name s3://bucket/key, what the store's word means, and what to do:
 *   MISSING  no such bucket, or no such key where one has to be
 *   AUTH     denied, no such key id, bad signature: with whose credentials
 *   NET      the retries are used up
 *   REFUSED  an answer that is not S3's; a name that cannot be
 *   CORRUPT  bytes are not what they should be (length, digest, another
 *            object in the middle of a read)
 *   UNSUPPORTED, NOSPACE (the quota), NOMEM, CANCELLED
 *
 * A key is bytes without NUL, 1 to 1,024 of them. Not for threads: each has a
 * client of its own, made by s3_open_like.
 */
#ifndef S3_CLIENT_H
#define S3_CLIENT_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "s3/site.h"

enum {
    S3_KEY_MAX = 1024,
    S3_ETAG_MAX = 128,
    S3_UPLOAD_MAX = 1024, /* a multipart upload's id, with its '\0' */
    S3_PARTS_MAX = 10000,
    S3_RETRY_S = 60,
    S3_HURRY_S = 10
};

#define S3_PART_MIN ((uint64_t)5 << 20)      /* but for the last one */
#define S3_PUT_BYTES_MAX ((uint64_t)5 << 30) /* of one put or part */

struct s3;

struct s3_opts {
    unsigned retry_s;  /* without one new byte; 0: S3_RETRY_S */
    unsigned answer_s; /* an answer is whole by then, however often it is asked
                          for, or none comes: NET; 0: no limit. Anew while 16
                          MiB come in it; not where a get has room. A list
                          is whole by then, with all its pages. A wait
                          that the store names is not longer than retry_s */
    /* While it is true, S3_HURRY_S at most, also of what is under way. May be
       NULL; any thread may set it. */
    const atomic_bool *hurry;
    unsigned silent_s; /* a connection, or a byte, is waited for; 0: half of
                          retry_s */
};

/*
 * s3_open - opts may be NULL; the site must stay
 * Nothing is sent. NULL with *e: USAGE (no bucket's name), NOMEM, IO.
 */
struct s3 *s3_open(const struct s3_site *site, const char *bucket,
    const struct s3_opts *opts, struct err *e);

/* s3_open_like - another one, that knows what this one has learned. */
struct s3 *s3_open_like(const struct s3 *s, struct err *e);

void s3_close(struct s3 *s); /* NULL is fine */

/* What the store answered last: "NoSuchKey", or "" and the HTTP status. */
const char *s3_last_code(const struct s3 *s);
long s3_last_status(const struct s3 *s);

/* s3_last_wait_s - the seconds it asked to be left alone for, and were not
 * waited; or 0 */
uint64_t s3_last_wait_s(const struct s3 *s);

/* ---- objects ---- */

struct s3_info {
    bool found; /* else nothing else is set */
    uint64_t size;
    char etag[S3_ETAG_MAX]; /* without quotes; no digest of the content */
    int64_t modified_s;     /* since 1970, by the store's clock; 0 unknown */
    int64_t date_s;         /* of the answer, in the same way */
};

/* s3_head - 0, also where there is no such key. */
int s3_head(struct s3 *s, const char *key, struct s3_info *out, struct err *e);

struct s3_get {
    const char *key;
    bool ranged; /* bytes [from, to), from < to; else all */
    uint64_t from;
    uint64_t to;
    /*
     * Called with the bytes in order, each once, whatever is tried again.
     * Non-zero with *e ends it.
     */
    int (*body)(void *arg, const void *bytes, size_t len, struct err *e);
    /* Where the next bytes are best received, as in net/http.h; or NULL. */
    void *(*room)(void *arg, size_t *len);
    void *arg;
};

/*
 * s3_get - 0, also where there is no such key: out->found tells
 * out   may be NULL; size is the whole object's
 * CORRUPT where the object ends before g->to, or changes under the reader.
 */
int s3_get(
    struct s3 *s, const struct s3_get *g, struct s3_info *out, struct err *e);

/*
 * s3_url - append an address at which whoever has it may GET the object for
 * valid_s seconds; nothing is sent. It is signed by what the client has learned
 * so far: a question before it is what teaches
 * Returns 0, or -1 with *e: USAGE (a key that cannot be), NOMEM, REFUSED
 */
int s3_url(struct s3 *s, const char *key, unsigned valid_s, struct buf *out,
    struct err *e);

/* What is sent: bytes in memory, or of a file, which must not change. */
struct s3_body {
    const void *bytes; /* NULL: from fd */
    int fd;
    uint64_t offset; /* in the file */
    uint64_t len;
    const struct digest *sha256; /* of these bytes; NULL: they are read once
                                    more for it */
    /* Called with how many bytes are sent now, and, with a negative number,
       those that are to be sent again; may be NULL. */
    void (*sent)(void *arg, int64_t n);
    void *arg;
};

enum s3_when {
    S3_ALWAYS,
    S3_IF_ABSENT, /* If-None-Match: * */
    S3_IF_MATCH   /* If-Match: etag */
};

struct s3_cond {
    enum s3_when when;
    const char *etag; /* for S3_IF_MATCH */
};

enum s3_did {
    S3_DONE,
    S3_NOT_SO, /* the condition does not hold: nothing was written */
    S3_UNSURE, /* it does not hold, but an earlier try of this call was not
                  answered and may be the reason: look what is there */
    S3_UNABLE  /* this store has no conditions: nothing was written */
};

/*
 * s3_put - the store checks the bytes against their SHA-256
 * cond  NULL: always
 * did   with a condition what came of it; NULL without one
 * etag  of S3_ETAG_MAX bytes, or NULL
 */
int s3_put(struct s3 *s, const char *key, const struct s3_body *b,
    const struct s3_cond *cond, enum s3_did *did, char *etag, struct err *e);

/* s3_delete - 0, also where there was no such key. */
int s3_delete(struct s3 *s, const char *key, struct err *e);

/* A key of the bucket under another one. */
struct s3_copy {
    const char *from;
    const char *to;
    uint64_t size; /* of it; 0: unknown, it is small */
    /* Called between two parts; may be NULL. */
    void (*part)(void *arg);
    void *arg;
};

/*
 * s3_copy - in one request; in parts where that is too much for the store, or
 * takes it too long, and then all that are long are. -1: MISSING where there
 * is no such key.
 */
int s3_copy(struct s3 *s, const struct s3_copy *c, struct err *e);

/* ---- lists, of any length; see list.h and multipart.h ---- */

/* s3_bucket_check - is there that bucket, and may it be asked? 0 or -1. */
int s3_bucket_check(struct s3 *s, struct err *e);

/* s3_bucket_make - 0, also where it is there already and the user's own. */
int s3_bucket_make(struct s3 *s, struct err *e);

#endif
