/*
 * response.h - from what is asked to what is answered: status, header fields,
 * and a body or the place of one. No sockets here.
 * Source: mirror and S3, sections 1.2 to 1.4.
 */
#ifndef SERVE_RESPONSE_H
#define SERVE_RESPONSE_H

#include "base/buf.h"
#include "serve/route.h"
#include "serve/supply.h"

struct tokens;

/* A request that is complete. */
struct asked {
    struct route route;
    /* Header fields, or NULL. */
    const char *range;
    const char *if_range;
    const char *if_none_match;
    const char *authorization;
    const char *mark; /* SUPPLY_MARK */
    const char *host;
    struct str body; /* of a POST */
    bool anew;       /* who wants the rest gets all of it */
};

enum response_from {
    RESPONSE_ELSEWHERE, /* no file */
    RESPONSE_HELD,
    RESPONSE_FETCHED
};

struct response {
    unsigned status;
    struct buf fields; /* "Name: value\n" ... */
    struct buf body;
    struct source source; /* else the body's bytes are there, from 'at' on */
    uint64_t at;
    uint64_t size; /* of the body, also when none is sent (HEAD) */
    enum response_from from;
    bool goes_on; /* the rest of it, for who has what is in front */
};

enum { RESPONSE_BODY_MAX = 1 << 30, RESPONSE_FIELDS_MAX = 16 << 10 };

#define RESPONSE_INIT                                                          \
    {                                                                          \
        .fields = BUF_INIT(RESPONSE_FIELDS_MAX),                               \
        .body = BUF_INIT(RESPONSE_BODY_MAX), .source = SOURCE_INIT             \
    }

void response_free(struct response *a); /* idempotent, for AUTO */

/* Who answers. */
struct responder {
    struct supply *supply;
    const char *name;                         /* of the mirror, in messages */
    const struct tokens *(*tokens)(void *me); /* who may ask; NULL: everybody */
    void (*tokens_done)(void *me);            /* with what it gave */
    /* Pages of the mirror's own, into out. */
    void (*metrics)(void *me, struct buf *out);
    void (*page)(void *me, struct buf *out, const char *host);
    void *me;
};

/*
 * response_make - to every request there is an answer
 * Returns  0; or SUPPLY_WAIT: ask again, with more time
 */
int response_make(struct responder *by, const struct asked *q,
    enum supply_wait how, struct response *out);

/*
 * response_give_up - of a file whose bytes will not come after all: no byte was
 * sent yet
 */
void response_give_up(struct responder *by, const struct asked *q,
    enum lack lack, const struct err *why, struct response *out);

/* response_later - a refusal for now: come again in two seconds. */
void response_later(struct response *out, const char *why);

/* response_refuse - one that says no: a status, and why. */
void response_refuse(struct response *out, unsigned status, const char *why);

#endif
