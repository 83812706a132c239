#include "verify-run/prompt.h"

#include <errno.h>
#include <stdlib.h>

#include "verify-run/words.h"

static const char default_prompt[] = "The capital of France is";
static const char default_question[] = "What is the capital of France?";

int prompt_ids(const char *text, struct ids *out, struct err *e)
{
    const char *at = text;

    for (;;) {
        char *end = NULL;
        unsigned long long id;

        at += strspn(at, " ");
        errno = 0;
        id = strtoull(at, &end, 10);
        if (*at < '0' || *at > '9' || errno != 0 || id > UINT32_MAX)
            return err_set(e, ERR_USAGE,
                "--tokens: '%.40s' does not start with a token id", at);
        if (ids_add(out, (uint32_t)id, e) != 0)
            return -1;
        at = end + strspn(end, " ");
        if (*at == '\0')
            return 0;
        if (*at != ',')
            return err_set(
                e, ERR_USAGE, "--tokens: '%.40s' where a comma should be", at);
        at++;
    }
}

int prompt_check(const struct prompt_wish *w, struct err *e)
{
    struct ids ids AUTO(ids_free) = IDS_INIT;

    if (w->text != NULL && w->tokens != NULL)
        return err_set(
            e, ERR_USAGE, "--prompt and --tokens exclude each other");
    if (w->chat && w->tokens != NULL)
        return err_set(e, ERR_USAGE, "--chat and --tokens exclude each other");
    if (w->system != NULL && !w->chat)
        return err_set(e, ERR_USAGE, "--system is a part of --chat");
    return w->tokens != NULL ? prompt_ids(w->tokens, &ids, e) : 0;
}

static int need_tokenizer(
    const struct session *s, const char *option, struct err *e)
{
    if (s->tokenizer != NULL)
        return 0;
    err_set(
        e, ERR_USAGE, "%s needs a tokenizer: %s", option, s->no_tokenizer.msg);
    return err_hint(e, "give token ids with --tokens 1,2,3");
}

static int encode(
    const struct session *s, const char *text, struct ids *out, struct err *e)
{
    if (need_tokenizer(s, "--prompt", e) != 0)
        return -1;
    if (tokenizer_encode(s->tokenizer, str_of(text), TOKENIZE_ENDS, out, e) !=
        0)
        return err_ctx(e, "prompt");
    if (out->n == 0)
        return err_set(e, ERR_USAGE, "the prompt gives no tokens");
    return 0;
}

static int check_chat(
    const struct session *s, const struct chat *c, struct err *e)
{
    const char *names[8];
    uint32_t id;

    for (const char *const *name = chat_tokens(c, names); *name; name++)
        if (!tokenizer_find(s->tokenizer, str_of(*name), &id))
            return err_set(e, ERR_REFUSED,
                "the chat form '%s' needs the token '%s', which the tokenizer "
                "does not have",
                chat_names[c->format], *name);
    return 0;
}

/* The form says itself whether a text starts with BOS. */
static int encode_chat(const struct session *s, const struct prompt_wish *w,
    struct ids *out, struct err *e)
{
    struct buf text AUTO(buf_free) = BUF_INIT(WORDS_MAX_BYTES);
    struct chat chat;

    if (need_tokenizer(s, "--chat", e) != 0 ||
        chat_find(&chat, s->checkpoint.folder, w->format, e) != 0 ||
        check_chat(s, &chat, e) != 0)
        return -1;
    chat_render(
        &chat, w->system, w->text != NULL ? w->text : default_question, &text);
    if (buf_check(&text, e) != 0 ||
        tokenizer_encode(
            s->tokenizer, buf_str(&text), TOKENIZE_MARKUP, out, e) != 0)
        return err_ctx(e, "prompt");
    return 0;
}

/* Without any wish and any tokenizer: where texts start. */
static int start_token(const struct session *s, struct ids *out, struct err *e)
{
    return ids_add(out, s->config.bos >= 0 ? (uint32_t)s->config.bos : 0, e);
}

int prompt_make(const struct session *s, const struct prompt_wish *w,
    struct ids *out, struct err *e)
{
    int rc;

    if (w->tokens != NULL)
        rc = prompt_ids(w->tokens, out, e);
    else if (w->chat)
        rc = encode_chat(s, w, out, e);
    else if (w->text != NULL || s->tokenizer != NULL)
        rc = encode(s, w->text != NULL ? w->text : default_prompt, out, e);
    else
        rc = start_token(s, out, e);
    if (rc != 0)
        return -1;
    for (size_t i = 0; i < out->n; i++)
        if (out->v[i] >= s->config.vocab)
            return err_set(e, w->tokens != NULL ? ERR_USAGE : ERR_REFUSED,
                "token id %u: the model's vocabulary ends at %u", out->v[i],
                s->config.vocab - 1);
    return 0;
}

static void put_ids(struct buf *out, const struct ids *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        buf_printf(out, "%s%u", i > 0 ? " " : "", ids->v[i]);
}

int prompt_read(const struct session *s, const struct ids *all, size_t n_prompt,
    struct buf *whole, struct str *fresh, struct err *e)
{
    struct buf front AUTO(buf_free) = BUF_INIT(whole->limit);

    *fresh = (struct str){ "", 0 };
    if (s->tokenizer == NULL) {
        put_ids(whole, all);
        return buf_check(whole, e);
    }
    if (tokenizer_decode(s->tokenizer, all->v, n_prompt, false, &front, e) !=
            0 ||
        tokenizer_decode(s->tokenizer, all->v, all->n, false, whole, e) != 0 ||
        buf_check(&front, e) != 0 || buf_check(whole, e) != 0)
        return -1;
    /* Bytes of one character may be split between prompt and continuation. */
    if (front.len <= whole->len && memcmp(front.p, whole->p, front.len) == 0) {
        *fresh = (struct str){ whole->p + front.len, whole->len - front.len };
        return 0;
    }
    *fresh = buf_str(whole);
    return 0;
}
