/* prompt.h - the token ids a run starts from. */
#ifndef VERIFY_RUN_PROMPT_H
#define VERIFY_RUN_PROMPT_H

#include "verify-run/chat.h"
#include "verify-run/session.h"

/*
 * prompt_ids - read "1, 2,3"
 * Returns 0, or -1 with *e: USAGE, naming what is no id.
 */
int prompt_ids(const char *text, struct ids *out, struct err *e);

/* What the user asked for; NULL where nothing was said. */
struct prompt_wish {
    const char *text;   /* words for the tokenizer */
    const char *tokens; /* ids instead */
    bool chat;          /* text is a question to a chat model */
    enum chat_format format;
    const char *system; /* what the chat model is told first */
};

/*
 * prompt_check - is the wish one that can be asked for at all? Needs no
 * model, so that a typing error costs no loading.
 * Returns 0, or -1 with *e: USAGE: what excludes each other, tokens that are
 *         no ids.
 */
int prompt_check(const struct prompt_wish *w, struct err *e);

/*
 * prompt_make - what the user asked for, or a default: a short sentence, or
 * without a tokenizer the start token
 * w        prompt_check() has seen it
 * Returns  0 with at least one id, all below the vocabulary; -1 with *e
 */
int prompt_make(const struct session *s, const struct prompt_wish *w,
    struct ids *out, struct err *e);

/*
 * prompt_read - what people read for the ids: text, or "1 2 3" without a
 * tokenizer. The first n_prompt ids are the prompt; fresh gets what the
 * others add to it, "" without a tokenizer.
 */
int prompt_read(const struct session *s, const struct ids *all, size_t n_prompt,
    struct buf *whole, struct str *fresh, struct err *e);

#endif
