/*
 * tokenizer.h - text to token ids and back.
 *
 * Three kinds of files describe a tokenizer; which one it is, its bytes say:
 *   tokenizer.json   tokenjson.h: byte-level BPE, BPE over characters with
 *                    byte fallback, Unigram
 *   SentencePiece    spm.h: BPE and unigram, as its own library does it
 *   tiktoken         tiktoken.h: a table of tokens by rank
 * An unknown component stops the load with its name.
 */
#ifndef VERIFY_RUN_TOKENIZER_H
#define VERIFY_RUN_TOKENIZER_H

#include "base/buf.h"
#include "verify-run/ids.h"

struct tokenizer;

/*
 * tokenizer_open - read one file
 * Returns NULL with *e: MISSING, NOMEM, UNSUPPORTED (naming the component),
 *         REFUSED (naming the member or the offset); all name the file
 */
struct tokenizer *tokenizer_open(const char *path, struct err *e);

/* tokenizer_parse - the same from bytes in memory; nothing of them is kept. */
struct tokenizer *tokenizer_parse(struct str bytes, struct err *e);

void tokenizer_close(struct tokenizer *t);
void tokenizer_close_auto(struct tokenizer **t); /* for AUTO */

/*
 * tokenizer_set_ends - which ids TOKENIZE_ENDS adds. A tokenizer.json says it
 * itself and is left alone. A SentencePiece model starts with its BOS unless
 * told otherwise, a tiktoken table with what its family starts with.
 */
void tokenizer_set_ends(struct tokenizer *t, bool bos, bool eos);

enum {
    TOKENIZE_ENDS = 1,  /* with the tokens that go around a text: BOS */
    TOKENIZE_MARKUP = 2 /* special tokens in the text count as such */
};

/*
 * tokenizer_encode - append the ids of a text
 * text     bytes that are no UTF-8 are read as U+FFFD
 * flags    of the above. With a tokenizer.json special tokens in a text always
 *          count; the libraries of the other two never read them in a text,
 *          so there it takes TOKENIZE_MARKUP.
 * Returns  0, or -1 with *e: NOMEM; REFUSED when the text is longer than 16
 *          MiB, or needs an unknown token that the file does not have
 * Cost     n log n in the length of a word
 */
int tokenizer_encode(const struct tokenizer *t, struct str text, unsigned flags,
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

/* tokenizer_find - the id of a special token; false when there is none. */
bool tokenizer_find(const struct tokenizer *t, struct str text, uint32_t *id);

/* tokenizer_about - "BPE", "SentencePiece unigram", "tiktoken, Llama 3". */
const char *tokenizer_about(const struct tokenizer *t);

#endif
