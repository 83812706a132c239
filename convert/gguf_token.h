/*
 * gguf_token.h - the tokens of a tokenizer.json by id: texts, kinds, scores,
 * and a way back from a text to its id.
 */
#ifndef CONVERT_GGUF_TOKEN_H
#define CONVERT_GGUF_TOKEN_H

#include "base/arena.h"
#include "base/json.h"

/* As tokenizer.ggml.token_type numbers them. */
enum token_kind {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6
};

struct gguf_token {
    struct str text; /* .p is NULL while the id is free */
    enum token_kind kind;
    float score;
    uint32_t merges; /* pairs that make it */
};

struct gguf_tokens {
    struct arena arena;
    struct gguf_token *v; /* by id */
    uint32_t n;
    uint32_t *by_text; /* ids in the order of their texts */
};

#define GGUF_TOKENS_INIT                                                       \
    {                                                                          \
        .n = 0                                                                 \
    }

/*
 * gguf_tokens_read - model.vocab and added_tokens of a tokenizer.json
 * rows     ids there are; those nobody names become "[PADn]"
 * Returns  0, or -1 with *e: REFUSED (an id too large, a text or an id
 *          twice), NOMEM. Borrows texts from root.
 */
int gguf_tokens_read(struct gguf_tokens *t, const struct json *root,
    uint32_t rows, struct err *e);

/* gguf_tokens_find - the id of a text; false when there is none. */
bool gguf_tokens_find(
    const struct gguf_tokens *t, struct str text, uint32_t *out);

/*
 * gguf_merge_find - a merge, "a b" or ["a", "b"], and the token it makes
 * Returns  0, or -1 with *e: REFUSED (no pair, or one of the three is no
 *          token), NOMEM. Borrows a and b from merge.
 */
int gguf_merge_find(const struct gguf_tokens *t, const struct json *merge,
    struct str *a, struct str *b, uint32_t *whole, struct err *e);

/*
 * gguf_tokens_score - scores from the merges, as SentencePiece has them:
 * the earlier a piece is merged, the higher
 * Returns  0, or -1 with *e: UNSUPPORTED when merging by scores would not be
 *          merging by this list; REFUSED (a merge of unknown tokens), NOMEM
 * Cost     n log n for each character of the longest token
 */
int gguf_tokens_score(
    struct gguf_tokens *t, const struct json *merges, struct err *e);

void gguf_tokens_free(struct gguf_tokens *t); /* idempotent, for AUTO */

#endif
