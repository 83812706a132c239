/*
 * hub_error.h - what the Hub's refusals mean, in the user's words.
 *
 * Pure: an answer in, a struct err out. Each case has a text of its own, and
 * says which token was used and where it came from.
 * Source: hub protocol, section 7.
 */
#ifndef FETCH_HUB_ERROR_H
#define FETCH_HUB_ERROR_H

#include "base/err.h"
#include "base/str.h"

struct token;
struct repo;

struct hub_answer {
    long status;         /* 400 and above */
    const char *code;    /* X-Error-Code, or NULL */
    const char *message; /* X-Error-Message, or NULL */
    struct str body;     /* JSON with "error" or "errors", or anything */
    uint64_t wait_s;     /* the wait it names (retry.h), 0 when none */
};

/* What was asked for, and as whom. */
struct hub_question {
    const char *endpoint;
    const struct repo *repo;
    const char *path; /* of a file, or NULL */
    const struct token *token;
};

/*
 * hub_error - always -1, with *e: MISSING (repository, revision, file),
 * AUTH (token, gate, disabled, forbidden), NET (429, 5xx, anything else)
 */
int hub_error(
    const struct hub_answer *a, const struct hub_question *q, struct err *e);

#endif
