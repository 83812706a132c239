/*
 * added.h - added tokens: texts that are cut out before anything else.
 * Source: tokenizers, section 3.
 */
#ifndef VERIFY_RUN_ADDED_H
#define VERIFY_RUN_ADDED_H

#include "verify-run/normalize.h"
#include "verify-run/vocab.h"

struct added_token {
    struct str content;
    struct str form; /* as decoders get it: normalized, or the content */
    uint32_t id;
    bool special;
    bool single_word; /* only where no word character is beside it */
    bool lstrip;      /* takes the white space before it along */
    bool rstrip;      /* and after it */
    bool normalized;  /* found in the normalised text, not in the raw one */
};

/* The texts one pass looks for, in byte order. */
struct added_set {
    struct added_pattern *v;
    size_t n;
    bool starts[256]; /* some text starts with this byte */
};

struct added {
    struct added_token *v;
    size_t n;
    struct added_set raw;
    struct added_set normal;
};

/*
 * added_load - read the list "added_tokens"
 * Returns  0, or -1 with *e: NOMEM, REFUSED also when an id contradicts the
 *          vocabulary
 */
int added_load(struct added *a, const struct json *list,
    const struct vocab *vocab, const struct normalizer *n, struct arena *arena,
    struct err *e);

/* A walk over a text: begin with set, tokens and text, the rest zero. */
struct added_walk {
    const struct added_set *set;
    struct str text;
    size_t at;   /* where to look next */
    size_t done; /* what lies before was handed out */
    const struct added_token *found;
    size_t found_end;
};

/* The text between two added tokens, or an added token. */
struct added_piece {
    struct str text;
    size_t from;                     /* where it starts in the whole text */
    const struct added_token *token; /* NULL: text */
};

/*
 * added_next - the next piece; false at the end. Of several texts that match
 * at the leftmost place the longest wins.
 */
bool added_next(struct added_walk *w, struct added_piece *out);

#endif
