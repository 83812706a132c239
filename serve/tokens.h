/*
 * tokens.h - who may ask a mirror, and for which repositories.
 *
 *   # TOKEN or sha256:HEX, then what it may have, as patterns
 *   hf_7dY0...                 acme/llm-* datasets/acme/set-*
 *   sha256:9f86d081884c7d...   *
 *
 * A token is "hf_" and at least 34 letters and digits: clients send no other
 * to an API. Kept and compared as digests, all of them each time, so that how
 * long it takes says nothing. No token ever reaches a message.
 */
#ifndef SERVE_TOKENS_H
#define SERVE_TOKENS_H

#include "base/err.h"
#include "base/str.h"
#include "cache/hubdir.h"

struct tokens;

enum tokens_answer {
    TOKENS_YES,
    TOKENS_NO_TOKEN, /* none was sent */
    TOKENS_WRONG,    /* one that is not known */
    TOKENS_NOT_THIS  /* known, but not for this repository */
};

/*
 * tokens_read - a file of them
 * Returns NULL with *e: MISSING, IO, REFUSED (naming the line, not what is on
 *         it)
 */
struct tokens *tokens_read(const char *path, struct err *e);

/* tokens_parse - the same of its text; name is for messages. */
struct tokens *tokens_parse(struct str text, const char *name, struct err *e);

void tokens_free(struct tokens *t); /* NULL is fine */

/*
 * tokens_check - may who sent this have that?
 * header   "Bearer hf_...", or NULL
 * repo     NULL: nothing of a repository
 */
enum tokens_answer tokens_check(
    const struct tokens *t, const char *header, const struct repo *repo);

/* tokens_check_all - may it have everything? For what shows all names. */
enum tokens_answer tokens_check_all(const struct tokens *t, const char *header);

/* tokens_count - how many there are. */
size_t tokens_count(const struct tokens *t);

#endif
