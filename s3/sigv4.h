/*
 * sigv4.h - signatures of requests, version 4: of the header kind, and of the
 * kind that is part of a URL. Pure: the time comes from the caller.
 *
 * What is signed is what must be sent, to the byte: the target that comes out
 * is it. Source: mirror and S3, section 2.3.
 */
#ifndef S3_SIGV4_H
#define S3_SIGV4_H

#include "base/buf.h"

#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"
#define SIGV4_EMPTY                                                            \
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum {
    SIGV4_PAIRS_MAX = 12, /* of a query, and of headers */
    SIGV4_LINES_MAX = SIGV4_PAIRS_MAX + 4,
    SIGV4_DATE_MAX = 17 /* "20260131T235959Z" */
};

/* A parameter or a header: bytes, not encoded. */
struct sigv4_pair {
    struct str name; /* a header's in lower case */
    struct str value;
};

struct sigv4_keys {
    const char *id;
    const char *secret;
    const char *session; /* NULL or "": none */
    const char *region;
};

struct sigv4_request {
    const char *method;
    const char *host; /* as the Host header has it */
    struct str path;  /* from the first slash on; not encoded */
    const struct sigv4_pair *query;
    size_t n_query;
    const struct sigv4_pair *headers; /* more than those of the signature */
    size_t n_headers;
    const char *payload; /* hex SHA-256, or SIGV4_UNSIGNED */
    int64_t time_s;      /* since 1970 */
};

struct sigv4_signed {
    struct buf target; /* path and query, encoded */
    struct buf text;   /* of the lines */
    /* "name: value", all headers to be sent but Host; NULL at the end */
    const char *line[SIGV4_LINES_MAX + 1];
};

#define SIGV4_SIGNED_INIT                                                      \
    {                                                                          \
        .target = BUF_INIT(16384), .text = BUF_INIT(24576)                     \
    }

/*
 * sigv4_sign - keys NULL: the lines without a signature, for a public bucket
 * Returns 0, or -1 with *e: REFUSED (a header's value with a line's end in
 *         it, too much of all), NOMEM
 */
int sigv4_sign(struct sigv4_signed *out, const struct sigv4_request *r,
    const struct sigv4_keys *keys, struct err *e);

void sigv4_signed_free(struct sigv4_signed *s); /* wipes; idempotent */

/*
 * sigv4_presign - the target of a URL that anybody may use for so long
 * Headers and payload of r are not looked at: only the host is signed.
 */
int sigv4_presign(struct buf *out, const struct sigv4_request *r,
    const struct sigv4_keys *keys, unsigned valid_s, struct err *e);

#endif
