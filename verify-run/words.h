/*
 * words.h - a list of texts in one buffer: the words a text is cut into, and
 * the tokens it is put together from.
 */
#ifndef VERIFY_RUN_WORDS_H
#define VERIFY_RUN_WORDS_H

#include "base/buf.h"
#include "base/err.h"

struct words {
    struct buf text; /* all of them, one after another */
    size_t *end;     /* where each ends in text */
    size_t n;
    size_t cap;
    bool headless; /* something was dropped before the first */
};

/*
 * No text handled here grows past this: some hundred times what a model can
 * read, and little enough that a hostile file cannot eat the machine.
 */
#define WORDS_MAX_BYTES ((size_t)1 << 24)
#define WORDS_INIT                                                             \
    {                                                                          \
        .text = BUF_INIT(WORDS_MAX_BYTES)                                      \
    }

void words_free(struct words *w);
void words_clear(struct words *w);

/* words_get - word i; valid until the next change. */
struct str words_get(const struct words *w, size_t i);

/* words_end - what was put into text since the last word becomes a word. */
int words_end(struct words *w, struct err *e);

/* words_add - a word more; may be empty. */
int words_add(struct words *w, struct str word, struct err *e);

/* words_glue - append to the last word; there is one. */
int words_glue(struct words *w, struct str more, struct err *e);

#endif
