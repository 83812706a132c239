/*
 * normalize.h - the normalizer of a tokenizer.json. Source: tokenizers,
 * section 4. NFC, NFD, Prepend, Replace of a text or of runs of spaces, Strip,
 * ByteLevel and sequences of them.
 */
#ifndef VERIFY_RUN_NORMALIZE_H
#define VERIFY_RUN_NORMALIZE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"

struct normalize_step;

struct normalizer {
    struct normalize_step *first; /* NULL: the text stays as it is */
    struct normalize_step *last;
};

/* normalizer_load - 0, or -1 with *e: REFUSED, UNSUPPORTED, NOMEM */
int normalizer_load(struct normalizer *n, const struct json *v,
    struct arena *arena, struct err *e);

/*
 * What one encoding, or the loading of all added tokens, may cost: a text may
 * grow and shrink again in every step, and there are many texts.
 */
enum { NORMALIZE_WORK = 1 << 29 };

/*
 * normalizer_run - out becomes the normal form of text (good UTF-8)
 * cut      becomes true when something was stripped from its front
 * work     what is left of NORMALIZE_WORK; over it the text is REFUSED
 */
int normalizer_run(const struct normalizer *n, struct str text, struct buf *out,
    bool *cut, uint64_t *work, struct err *e);

/* normalize_find - where mark, not empty, first stands in text, or its end. */
size_t normalize_find(struct str text, struct str mark);

/* normalize_replace - append text with every from made to. */
void normalize_replace(
    struct str text, struct str from, struct str to, struct buf *out);

#endif
