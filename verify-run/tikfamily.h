/*
 * tikfamily.h - the families of tiktoken tables: which regular expression
 * cuts the words, and which special tokens follow the table.
 */
#ifndef VERIFY_RUN_TIKFAMILY_H
#define VERIFY_RUN_TIKFAMILY_H

#include "base/buf.h"
#include "verify-run/wordsplit.h"

struct tikfamily {
    const char *name;
    const char *file; /* part of a file's name that says it; or NULL */
    uint32_t tokens;  /* in the table */
    enum wordsplit_kind regex;
    bool nfc;                    /* the text is normalised first */
    const char *const *specials; /* their ids follow; NULL where none is */
    uint32_t n_named;
    uint32_t n_specials;  /* the named ones, and numbered ones behind */
    const char *numbered; /* "<|extra_", of special number i */
    uint32_t first;       /* i less this is the number it bears */
    const char *bos;      /* goes in front of a text; or NULL */
};

/*
 * tikfamily_find - by the number of tokens, and by the name of the file
 * where that does not tell
 * Returns  NULL when no family is known to have so many
 */
const struct tikfamily *tikfamily_find(uint32_t tokens, const char *file);

/* tikfamily_special - append the text of special token i; none for a hole. */
void tikfamily_special(const struct tikfamily *f, uint32_t i, struct buf *out);

#endif
