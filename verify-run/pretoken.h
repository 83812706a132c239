/*
 * pretoken.h - the pre-tokenizer of a tokenizer.json: cuts a normalised text
 * into the words that the model sees. Source: tokenizers, section 5.
 * ByteLevel, Split (by a text or one of the three regexes of wordsplit.h),
 * Metaspace, Digits and sequences of them.
 */
#ifndef VERIFY_RUN_PRETOKEN_H
#define VERIFY_RUN_PRETOKEN_H

#include "base/arena.h"
#include "base/json.h"
#include "verify-run/words.h"

struct pretoken_step;

struct pretoken {
    struct pretoken_step *first; /* NULL: the text is one word */
    struct pretoken_step *last;
};

/*
 * When Metaspace writes its mark in front: decoders need to know too.
 */
enum metaspace_scheme { METASPACE_ALWAYS, METASPACE_FIRST, METASPACE_NEVER };

struct metaspace {
    struct str mark; /* one character */
    enum metaspace_scheme scheme;
    bool split;
};

struct component;

/* metaspace_load - the members of a Metaspace, which has two users. */
int metaspace_load(struct metaspace *m, const struct component *c,
    struct arena *arena, struct err *e);

/*
 * pretoken_load - 0, or -1 with *e: REFUSED, NOMEM, UNSUPPORTED naming the
 *         type or the regex
 */
int pretoken_load(struct pretoken *p, const struct json *v, struct arena *arena,
    struct err *e);

/*
 * pretoken_run - out becomes the words of text (good UTF-8)
 * at_start text is the very beginning of what is encoded
 */
int pretoken_run(const struct pretoken *p, struct str text, bool at_start,
    struct words *out, struct err *e);

#endif
