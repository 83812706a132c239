/*
 * tokenfile.h - the tokenizer of a model's folder. Of several files one is
 * taken, in this order; another never stands in for one that is refused:
 *   tokenizer.json
 *   tokenizer.model (of either kind)
 *   the only file *.tiktoken, the only file *.model
 *   vocab.json and merges.txt (byte-level BPE as GPT-2 has it)
 * Source: tokenizers, section 1.
 */
#ifndef VERIFY_RUN_TOKENFILE_H
#define VERIFY_RUN_TOKENFILE_H

#include <limits.h>

#include "verify-run/tokenizer.h"

struct tokenfile {
    char name[NAME_MAX + 1];  /* the one taken */
    char other[NAME_MAX + 1]; /* the next that is there, or "" */
};

/*
 * tokenfile_find - which file it would be
 * Returns 0, or -1 with *e: MISSING, IO, USAGE (a path too long)
 */
int tokenfile_find(struct tokenfile *out, const char *folder, struct err *e);

/*
 * tokenfile_open - the tokenizer of a folder; what goes around a text is
 * looked up in its tokenizer_config.json where the file does not say it
 * Returns NULL with *e as tokenizer_open; MISSING when there is no file
 */
struct tokenizer *tokenfile_open(
    struct tokenfile *out, const char *folder, struct err *e);

#endif
