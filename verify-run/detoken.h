/*
 * detoken.h - the decoder of a tokenizer.json: puts tokens together again.
 * Source: tokenizers, section 8. ByteLevel, Replace of a text, ByteFallback,
 * Fuse, Strip, Metaspace and sequences of them.
 */
#ifndef VERIFY_RUN_DETOKEN_H
#define VERIFY_RUN_DETOKEN_H

#include "base/arena.h"
#include "base/json.h"
#include "verify-run/words.h"

struct detoken_step;

struct detoken {
    struct detoken_step *first; /* NULL: tokens joined by a space */
    struct detoken_step *last;
};

/* detoken_load - 0, or -1 with *e: REFUSED, UNSUPPORTED, NOMEM */
int detoken_load(struct detoken *d, const struct json *v, struct arena *arena,
    struct err *e);

/* detoken_run - append the text of tokens; uses them up. */
int detoken_run(const struct detoken *d, struct words *tokens, struct buf *out,
    struct err *e);

#endif
