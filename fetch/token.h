/*
 * token.h - who the user is on the Hub. The value never reaches a message;
 * where it came from does.
 */
#ifndef FETCH_TOKEN_H
#define FETCH_TOKEN_H

#include <limits.h>

#include "base/err.h"
#include "base/str.h"

enum { TOKEN_MAX = 4096 };

struct token {
    char value[TOKEN_MAX];      /* "" when there is none */
    char source[PATH_MAX + 32]; /* "HF_TOKEN", "the file ..."; "" if none */
};

/*
 * token_find - HF_TOKEN, HUGGING_FACE_HUB_TOKEN, the file HF_TOKEN_PATH
 * (default HF_HOME/token), in this order. No token is not a failure.
 * HF_HUB_DISABLE_IMPLICIT_TOKEN: none is looked for.
 * Returns  0, or -1 with *e: REFUSED (not something to put in a header),
 *          IO (a token file that cannot be read)
 * Source   hub protocol, section 8.1
 */
int token_find(struct token *out, struct err *e);

/*
 * token_set - a token the user gave just now; blanks around it go
 * source   where it came from, for messages
 * Returns  0, or -1 with *e: REFUSED (not something to put in a header)
 */
int token_set(
    struct token *out, struct str text, const char *source, struct err *e);

/* token_variable - the one that holds a token, which wins; NULL: none. */
const char *token_variable(void);

/* token_path - the token file, into out of PATH_MAX bytes. */
void token_path(char *out);

/* token_home - HF_HOME, or what stands for it, into out of PATH_MAX bytes. */
void token_home(char *out);

#endif
