/*
 * hub.h - the Hub's metadata: which commit a revision is, which files the
 * commit has, and what the headers in front of a file's bytes say.
 *
 * The token goes to the endpoint's scheme, host and port, and nowhere else.
 */
#ifndef FETCH_HUB_H
#define FETCH_HUB_H

#include "base/arena.h"
#include "base/buf.h"
#include "cache/hubdir.h"
#include "fetch/token.h"
#include "net/http.h"

/* What the Hub tells besides its answers: each topic is shown once. */
enum { HUB_WARNED_MAX = 4096 };

/* The last refusal, as it was put: for who passes it on. */
struct hub_refusal {
    long status;       /* 0: there was none */
    char code[32];     /* X-Error-Code, or "" */
    char message[200]; /* X-Error-Message, or "" */
    uint64_t wait_s;   /* that it names; or 0 */
    bool answered;     /* the Hub began to: whatever failed then */
    bool moved;        /* it leads to another repository (same_repo) */
};

struct hub {
    char endpoint[512];   /* without a slash at the end */
    struct token token;   /* looked for with the first request */
    bool token_known;     /* it was, or the caller has set it; false again:
                             it is looked for anew */
    struct http *http;    /* opened with the first request */
    unsigned connections; /* open at once; 0: what is good */
    uint64_t retry_s;     /* give up after this long without a byte */
    bool once;            /* ask the API once: no retry, no wait */
    bool same_repo;       /* what the API calls by another name is refused */
    uint64_t answer_s; /* the API's answers are whole by then; 0: ten minutes */
    const char *const *lines; /* sent to the Hub with each request; or NULL */
    struct hub_refusal refusal;
    char warned[HUB_WARNED_MAX]; /* topics shown, each ended by a newline */
};

/* What the Hub knows of a revision. */
struct hub_revision {
    char commit[41];
    char modified[40]; /* "2024-02-19T10:57:45.000Z", or "" */
    char gated[16];    /* "" when it is not: "auto", "manual" */
    bool private;
};

struct hub_user {
    char name[128];
    char type[32];        /* "user", "org" ... */
    char token_name[128]; /* as its owner called it, or "" */
    char role[64];        /* of the token: "read", "write" ...; or "" */
};

#define HUB_INIT                                                               \
    {                                                                          \
        .http = NULL                                                           \
    }

/*
 * hub_init - the endpoint from the environment; no request is made, and no
 * token looked for: one is needed only when something is asked
 * Returns 0, or -1 with *e: USAGE (HF_ENDPOINT).
 */
int hub_init(
    struct hub *h, unsigned connections, uint64_t retry_s, struct err *e);
/* hub_init_at - the same of an endpoint that is given. */
int hub_init_at(struct hub *h, const char *endpoint, unsigned connections,
    uint64_t retry_s, struct err *e);
void hub_free(struct hub *h); /* idempotent, for AUTO */

/*
 * hub_http - the connections, opened if need be, and the token with them
 * Returns NULL with *e: REFUSED, IO (token), NOMEM.
 */
struct http *hub_http(struct hub *h, struct err *e);

/* hub_warnings - show what an answer of the Hub warns of (X-HF-Warning). */
void hub_warnings(struct hub *h, const struct http_call *c);

/* hub_refused - keep the refusal, and *e of it (hub_error.h); always -1. */
struct hub_answer;
struct hub_question;
int hub_refused(struct hub *h, const struct hub_answer *a,
    const struct hub_question *q, struct err *e);

/* hub_requests - how many requests were sent so far. */
uint64_t hub_requests(const struct hub *h);

/* hub_token - the token to send to url: NULL for any other origin. */
const char *hub_token(const struct hub *h, const char *url);

/*
 * hub_revision - the commit that the repository's revision is now, and what
 * else is known of it
 * Returns 0, or -1 with *e: MISSING, AUTH, NET, REFUSED (not a Hub's
 *         answer), CANCELLED
 */
int hub_revision(struct hub *h, const struct repo *r, struct hub_revision *out,
    struct err *e);

/*
 * hub_whoami - whose token it is
 * Returns 0, or -1 with *e: AUTH (none, or not accepted), NET, REFUSED,
 *         CANCELLED
 * The Hub counts these strictly: not to be called per download.
 */
int hub_whoami(struct hub *h, struct hub_user *out, struct err *e);

/*
 * hub_tree - all files of a commit, sorted by path, in arena
 * Every path is checked (path.h); a path that stands twice, or is a file and
 * a folder, is REFUSED. Pages are followed on the endpoint's origin only.
 * Returns 0, or -1 with *e as above.
 */
int hub_tree(struct hub *h, const struct repo *r, const char *commit,
    struct arena *arena, struct tree *out, struct err *e);

/* A branch, a tag, or another ref, by the name that a revision may have. */
struct hub_ref {
    struct str name; /* "main", "v1.0", "refs/pr/1" */
    char commit[41];
};

/*
 * hub_refs - the repository's branches and tags, in arena (hubrefs.c)
 * Returns 0, or -1 with *e as above.
 */
int hub_refs(struct hub *h, const struct repo *r, struct arena *arena,
    struct hub_ref **out, uint64_t *n, struct err *e);

/*
 * hub_json - GET URL/api/TYPE/ORG/NAME/what as a JSON object
 * Returns 0 with *doc, to be freed, or -1 with *e as above.
 */
struct json_doc;
int hub_json(struct hub *h, const struct repo *r, const char *what,
    struct json_doc *doc, struct err *e);

/* hub_resolve - append the URL of a file at a commit. */
void hub_resolve(const struct hub *h, const struct repo *r, const char *commit,
    struct str path, struct buf *out);

/* hub_etag - "hex", W/"hex" or hex; false when it is no digest we know. */
bool hub_etag(const char *header, struct digest *out);

#endif
