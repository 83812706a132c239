/*
 * tokenjson.h - what a tokenizer.json describes: added tokens are cut out,
 * the rest is normalised, cut into words, and given to the model; a template
 * goes around the ids. Source: tokenizers, sections 2 to 9.
 */
#ifndef VERIFY_RUN_TOKENJSON_H
#define VERIFY_RUN_TOKENJSON_H

#include "verify-run/added.h"
#include "verify-run/bpe.h"
#include "verify-run/detoken.h"
#include "verify-run/normalize.h"
#include "verify-run/pretoken.h"
#include "verify-run/template.h"
#include "verify-run/unigram.h"

struct tokenjson_name;

enum tokenjson_model { TOKENJSON_BPE, TOKENJSON_UNIGRAM };

struct tokenjson {
    enum tokenjson_model model;
    struct bpe bpe;
    struct unigram unigram;
    struct normalizer normalizer;
    struct pretoken pretoken;
    struct detoken detoken;
    struct added added;
    struct tokenjson_name *names; /* by id */
    uint32_t size;                /* one more than the largest id */
    struct template template;
};

/*
 * tokenjson_load - read the document
 * Returns  0, or -1 with *e: REFUSED (naming the member), NOMEM, UNSUPPORTED
 *          (naming the component's type)
 * Owns     the template; all other memory is the arena's
 */
int tokenjson_load(struct tokenjson *p, const struct json *root,
    struct arena *arena, struct err *e);

/* tokenjson_free - idempotent. */
void tokenjson_free(struct tokenjson *p);

/* tokenjson_vocab - the vocabulary of its model. */
const struct vocab *tokenjson_vocab(const struct tokenjson *p);

/* tokenjson_encode, tokenjson_decode - see tokenizer.h; text is good UTF-8. */
int tokenjson_encode(const struct tokenjson *p, struct str text, bool ends,
    struct ids *out, struct err *e);
int tokenjson_decode(const struct tokenjson *p, const uint32_t *ids, size_t n,
    bool special, struct buf *out, struct err *e);

/* tokenjson_find - the id of an added token or a piece, or VOCAB_NONE. */
uint32_t tokenjson_find(const struct tokenjson *p, struct str text);

#endif
