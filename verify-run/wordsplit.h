/*
 * wordsplit.h - the three regular expressions of byte-level tokenizers,
 * without a regex engine. Source: tokenizers, sections 5.2 and 5.3.
 */
#ifndef VERIFY_RUN_WORDSPLIT_H
#define VERIFY_RUN_WORDSPLIT_H

#include "base/str.h"

enum wordsplit_kind {
    WORDSPLIT_GPT2,   /* GPT-2, GPT-NeoX */
    WORDSPLIT_LLAMA3, /* digits in threes; cl100k */
    WORDSPLIT_QWEN2   /* digits singly; StableLM-2 */
};

/* wordsplit_find - which of them a regular expression is; false if none. */
bool wordsplit_find(struct str regex, enum wordsplit_kind *out);

/*
 * wordsplit_next - the length of the word that starts at byte i of text
 * text     good UTF-8; i < text.len. The result is never 0: the words of a
 *          text cover it.
 */
size_t wordsplit_next(enum wordsplit_kind kind, struct str text, size_t i);

#endif
