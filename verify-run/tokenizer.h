/*
 * tokenizer.h - text to token ids and back, from a tokenizer.json.
 *
 * Byte-level BPE (GPT-2, NeoX, Llama-3 regexes) and SentencePiece-style BPE
 * with byte fallback; added tokens; NFC; template post-processing; decoders.
 * An unknown component stops the load with its type's name.
 * Source: tokenizers, sections 2 to 9.
 */
#ifndef VERIFY_RUN_TOKENIZER_H
#define VERIFY_RUN_TOKENIZER_H

#include "base/buf.h"
#include "base/err.h"

struct tokenizer;

/*
 * tokenizer_open - read a tokenizer.json
 * Returns NULL with *e: MISSING, REFUSED (naming the member),
 *         UNSUPPORTED (naming the component's type), NOMEM
 */
struct tokenizer *tokenizer_open(const char *path, struct err *e);

/* tokenizer_parse - the same from text in memory; nothing of it is kept. */
struct tokenizer *tokenizer_parse(struct str json, struct err *e);

void tokenizer_close(struct tokenizer *t);
void tokenizer_close_auto(struct tokenizer **t); /* for AUTO */

struct ids {
    uint32_t *v;
    size_t n;
    size_t cap;
};

#define IDS_INIT                                                               \
    {                                                                          \
        .v = NULL                                                              \
    }

void ids_free(struct ids *ids);
int ids_add(struct ids *ids, uint32_t id, struct err *e);

/*
 * tokenizer_encode - append the ids of a text
 * text     bytes that are no UTF-8 are read as U+FFFD
 * special  let the post-processor add its tokens (BOS)
 * Returns  0, or -1 with *e: NOMEM; REFUSED when the text is longer than 16
 *          MiB, or needs an unknown token that the file does not have
 * Cost     n log n in the length of a word
 */
int tokenizer_encode(const struct tokenizer *t, struct str text, bool special,
    struct ids *out, struct err *e);

/*
 * tokenizer_decode - append the text of ids
 * special  show special tokens too; else they are left out
 * Bytes that are no UTF-8 come out as U+FFFD. An id the tokenizer does not
 * know (padding rows of the vocabulary) contributes nothing.
 */
int tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n,
    bool special, struct buf *out, struct err *e);

/* Ids known: one more than the largest. */
uint32_t tokenizer_size(const struct tokenizer *t);

#endif
