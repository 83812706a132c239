/* client_internal.h - one question to the store, and the client's inside. */
#ifndef S3_CLIENT_INTERNAL_H
#define S3_CLIENT_INTERNAL_H

#include "net/http.h"
#include "net/retry.h"
#include "s3/answer.h"
#include "s3/sigv4.h"

enum {
    ASK_PAIRS_MAX = 8,
    ASK_WORDS_MAX = 64 << 10, /* an answer of few words */
    ASK_PAGE_MAX = 16 << 20   /* a page of 1,000 long keys */
};

/* What is asked, and of what came what is not in the client. */
struct s3_ask {
    const char *method;
    const char *key; /* NULL: the bucket */
    struct sigv4_pair query[ASK_PAIRS_MAX];
    size_t n_query;
    struct sigv4_pair headers[ASK_PAIRS_MAX];
    size_t n_headers;
    const struct s3_body *body; /* NULL: none */
    bool empty_body;            /* a POST or PUT of nothing */
    bool doubtful;              /* a 200 may have an error in it */
    bool divisible;             /* when it is late, it is not asked again */
    size_t answer_max;          /* 0: ASK_WORDS_MAX */
    struct s3_reading *reading; /* of a GET that is streamed; else NULL */
    bool unanswered;            /* set: an earlier try may have been done */
};

/* A GET whose bytes are handed on. */
struct s3_reading {
    const struct s3_get *get;
    struct s3_info info; /* found, once the first answer has come */
    uint64_t got;        /* bytes that were handed on */
    bool sound;          /* this answer brings what is missing */
    const char *unsound; /* why not */
};

/* Bytes on their way out. */
struct s3_sending {
    const struct s3_body *body;
    struct http_upload upload;
    uint64_t at;   /* how far this try has come */
    uint64_t best; /* and the best of all */
};

struct s3 {
    const struct s3_site *site;
    struct s3_opts opts;
    struct http *http;
    struct http_call call;
    char bucket[64];
    char region[S3_REGION_MAX];
    char endpoint[S3_ENDPOINT_MAX];
    int64_t skew_s;   /* how far the store's clock is ahead */
    bool skew_known;  /* it was learned from an answer */
    bool bucket_seen; /* it is there */
    bool etag_quoted; /* how this store wants If-Match */
    bool etag_known;  /* that was seen to work */
    bool copies_late; /* copies of what is long do not end in time */

    /* Of the question that is under way, or was last. */
    struct sigv4_signed signed_;
    struct buf url;
    struct buf answer;
    struct s3_sending sending;
    struct s3_reading *reading;
    struct retry retry;
    uint64_t named_s; /* the wait that the last answer asks for; or 0 */
    struct err inner; /* from a function of the caller's, or of a file */
    long status;
    struct answer_error said;
};

void ask_query(struct s3_ask *a, const char *name, const char *value);
void ask_header(struct s3_ask *a, const char *name, const char *value);

/*
 * s3_do - ask until there is an answer that will stay so
 * Returns  0 with s->status and s->said, also of a refusal; -1 with *e: NET,
 *          NOMEM, CANCELLED, USAGE (a key that cannot be), and what a function
 *          of the caller's said
 */
int s3_do(struct s3 *s, struct s3_ask *a, struct err *e);

/* s3_good - the answer is what was asked for. */
bool s3_good(const struct s3 *s);

/* s3_code - the store has refused with this word. */
bool s3_code(const struct s3 *s, const char *code);

/* s3_late - the store took the question, and had no answer in time. */
bool s3_late(const struct s3 *s);

/* s3_refused - the last answer as an error. Returns -1. */
int s3_refused(const struct s3 *s, const struct s3_ask *a, struct err *e);

/* s3_named - put the object's name before an error about its answer. -1. */
int s3_named(const struct s3 *s, const char *key, struct err *e);

/* s3_finish - s3_do, and refusals are errors. */
int s3_finish(struct s3 *s, struct s3_ask *a, struct err *e);

/*
 * s3_take_answer - the last answer, for good: it stays while this client asks
 * something else
 */
struct buf s3_take_answer(struct s3 *s);

/* reading_begin - the next answer is for s->reading. */
void reading_begin(struct s3 *s);

/* s3_source - a key of this bucket, as a header names what is copied. */
int s3_source(
    const struct s3 *s, const char *key, struct buf *out, struct err *e);

/* reading_body, reading_room - of struct http_call, with a struct s3. */
int reading_body(void *arg, const void *bytes, size_t len);
void *reading_room(void *arg, size_t *len);

/* s3_info_of - what the headers of an answer tell about an object. */
void s3_info_of(const struct http_call *c, struct s3_info *out);

#endif
