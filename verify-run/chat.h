/*
 * chat.h - one question to a chat model, in the form it was trained on.
 * Templates are programs in the Jinja language; none is ever run. The few
 * that are known are told by what stands in their text and by what they are
 * made of (chatshape.h), and rendered here.
 * Source: architectures, sections 5 and 6; tokenizers, section 13.
 */
#ifndef VERIFY_RUN_CHAT_H
#define VERIFY_RUN_CHAT_H

#include "base/buf.h"

enum chat_format {
    CHAT_AUTO,
    CHAT_LLAMA2,    /* <s>[INST] <<SYS>> .. <</SYS>> .. [/INST] */
    CHAT_TINYLLAMA, /* <|user|> .. </s> <|assistant|>, as zephyr */
    CHAT_LLAMA3,    /* <|start_header_id|>user<|end_header_id|> .. */
    CHAT_LLAMA31,   /* the same behind a system turn with dates; also 3.2 */
    CHAT_CHATML,    /* <|im_start|>user .. <|im_end|> */
    CHAT_FORMATS
};

/* Their names, ended by NULL: values of an option. */
extern const char *const chat_names[];

enum { CHAT_TOKEN_MAX = 64 };

struct chat {
    enum chat_format format;
    char bos[CHAT_TOKEN_MAX]; /* how the tokens are written */
    char eos[CHAT_TOKEN_MAX];
};

/*
 * chat_find - the form of the model in a folder: the default template of
 * tokenizer_config.json or chat_template.jinja, the latter if both are there
 * wish     a format that was asked for instead, or CHAT_AUTO
 * Returns  0, or -1 with *e: UNSUPPORTED (no template, or an unknown one),
 *          REFUSED, NOMEM, IO
 */
int chat_find(
    struct chat *c, const char *folder, enum chat_format wish, struct err *e);

/* chat_recognise - which format a template is, or CHAT_AUTO. */
enum chat_format chat_recognise(struct str template);

/*
 * chat_render - the text up to where the answer starts, special tokens
 * written out, the one that starts a text among them where there is one
 * system   what the model is told first, or NULL
 */
void chat_render(const struct chat *c, const char *system, const char *user,
    struct buf *out);

/*
 * chat_tokens - the special tokens a format cannot do without, ended by NULL
 */
const char *const *chat_tokens(const struct chat *c, const char *out[8]);

#endif
