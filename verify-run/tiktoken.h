/*
 * tiktoken.h - a table of tokens by rank, as tiktoken and Llama-3 have it:
 * lines of the token's bytes in base64, a space, and the rank, which is its
 * id. What the table leaves out, the regular expression and the special
 * tokens behind it, is known for some families. Source: tokenizers,
 * section 11.
 */
#ifndef VERIFY_RUN_TIKTOKEN_H
#define VERIFY_RUN_TIKTOKEN_H

#include "verify-run/ids.h"
#include "verify-run/prefixes.h"
#include "verify-run/spanbpe.h"
#include "verify-run/tikfamily.h"

struct tiktoken {
    const struct tikfamily *family;
    struct vocab vocab; /* bytes, not text */
    struct spanbpe bpe;
    struct str *specials; /* their ids follow those of the table */
    uint32_t n_specials;
    struct prefixes matcher; /* of the specials */
};

/*
 * tiktoken_load - read a table
 * family   NULL: found by the number of tokens and the file's name
 * Returns  0, or -1 with *e: REFUSED (naming line and offset), NOMEM,
 *          UNSUPPORTED (no family has a table of this size)
 */
int tiktoken_load(struct tiktoken *t, struct str text,
    const struct tikfamily *family, const char *file, struct arena *arena,
    struct err *e);

/* tiktoken_encode - append the ids of a text without special tokens. */
int tiktoken_encode(
    const struct tiktoken *t, struct str text, struct ids *out, struct err *e);

/* tiktoken_decode - append the bytes of one id below the size. */
void tiktoken_decode(
    const struct tiktoken *t, uint32_t id, bool special, struct buf *out);

/* One more than the largest id, specials counted. */
uint32_t tiktoken_size(const struct tiktoken *t);

#endif
