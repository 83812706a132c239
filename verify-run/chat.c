#include "verify-run/chat.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/path.h"
#include "verify-run/chatshape.h"

enum { CONFIG_MAX = 64 << 20, TELLTALES = 6, SHAPES = 3 };

/* The date that the templates of Llama 3.1 and later fall back on. */
#define PREAMBLE                                                               \
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"

const char *const chat_names[] = {
    [CHAT_AUTO] = "auto",
    [CHAT_LLAMA2] = "llama2",
    [CHAT_TINYLLAMA] = "tinyllama",
    [CHAT_LLAMA3] = "llama3",
    [CHAT_LLAMA31] = "llama3.1",
    [CHAT_CHATML] = "chatml",
    [CHAT_FORMATS] = NULL,
};

/* ---- which one ---- */

/*
 * What has to stand in the text of a template, what must not, and how many
 * statements and outputs it may have.
 */
struct telltale {
    enum chat_format format;
    const char *has[TELLTALES];
    const char *lacks[TELLTALES];
    unsigned statements[SHAPES];
    unsigned outputs;
    unsigned lines;
};

#define LLAMA31_WORDS                                                          \
    "<|start_header_id|>", "<|eot_id|>",                                       \
        "Cutting Knowledge Date: December 2023", "26 Jul 2024",                \
        "set system_message = \"\"", "{{- bos_token }}"
#define LLAMA2_WORDS                                                           \
    "bos_token + '[INST] '",                                                   \
        "'<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message"
/* A line end in a string of a template is one, or is written as one. */
#define LLAMA3_WORDS(eol)                                                      \
    "'<|start_header_id|>' + message['role'] + '<|end_header_id|>" eol eol     \
    "'+ message['content'] | trim + '<|eot_id|>'",                             \
        "bos_token + content",                                                 \
        "<|start_header_id|>assistant<|end_header_id|>" eol eol "'"
#define CHATML_WORDS(eol)                                                      \
    "'<|im_start|>' + message['role'] + '" eol                                 \
    "' + message['content'] + '<|im_end|>' + '" eol "'",                       \
        "'<|im_start|>assistant" eol "'"
#define CHATML_OTHERS "tool", "system", "bos_token", "trim", "think", "You are"

static const struct telltale telltales[] = {
    { CHAT_LLAMA31, { LLAMA31_WORDS }, { "You are" }, { 59 }, 41, 0 },
    { CHAT_LLAMA31, { LLAMA31_WORDS }, { "You are" }, { 51 }, 34, 0 },
    { CHAT_LLAMA3, { LLAMA3_WORDS("\n") }, { "system" }, { 7, 9 }, 2, 0 },
    { CHAT_LLAMA3, { LLAMA3_WORDS("\\n") }, { "system" }, { 7, 9 }, 2, 0 },
    { CHAT_LLAMA2, { LLAMA2_WORDS, "content.strip() + ' [/INST]'" },
        { "tool", "You are" }, { 19 }, 3, 0 },
    { CHAT_LLAMA2, { LLAMA2_WORDS, "content | trim + ' [/INST]'" },
        { "tool", "You are" }, { 19 }, 3, 0 },
    /* The line end behind an output stays, that behind a statement goes. */
    { CHAT_TINYLLAMA,
        { "'<|user|>", "message['content'] + eos_token }}\n",
            "'<|assistant|>' }}\n" },
        { "tool", "bos_token", "trim", "You are" }, { 8 }, 4, 4 },
    { CHAT_TINYLLAMA,
        { "'<|user|>", "message['content'] + eos_token + '\\n' }}",
            "'<|assistant|>\\n' }}" },
        { "tool", "bos_token", "trim", "You are" }, { 8 }, 4, 0 },
    { CHAT_CHATML, { CHATML_WORDS("\n") }, { CHATML_OTHERS }, { 2, 4, 7 }, 2,
        0 },
    { CHAT_CHATML, { CHATML_WORDS("\\n") }, { CHATML_OTHERS }, { 2, 4, 7 }, 2,
        0 },
};

static bool holds(struct str text, const char *part)
{
    return memmem(text.p, text.len, part, strlen(part)) != NULL;
}

static bool has_shape(const struct telltale *t, const struct chatshape *shape)
{
    bool counted = false;

    for (size_t i = 0; i < SHAPES && t->statements[i] != 0; i++)
        counted = counted || t->statements[i] == shape->statements;
    return counted && !shape->other && t->outputs == shape->outputs &&
           t->lines == shape->lines;
}

static bool fits(
    const struct telltale *t, struct str text, const struct chatshape *shape)
{
    for (size_t i = 0; i < TELLTALES && t->has[i] != NULL; i++)
        if (!holds(text, t->has[i]))
            return false;
    for (size_t i = 0; i < TELLTALES && t->lacks[i] != NULL; i++)
        if (holds(text, t->lacks[i]))
            return false;
    return has_shape(t, shape);
}

enum chat_format chat_recognise(struct str template)
{
    const struct chatshape shape = chatshape_of(template);

    for (size_t i = 0; i < ARRAY_LEN(telltales); i++)
        if (fits(&telltales[i], template, &shape))
            return telltales[i].format;
    return CHAT_AUTO;
}

/* ---- where it stands ---- */

/* A template is a text, or a list of them with names. */
static bool default_template(const struct json *v, const char **out)
{
    const char *name = NULL;

    if (json_str(v, out))
        return true;
    for (const struct json *i = json_first(v); i; i = json_next(i))
        if (json_str(json_get(i, "name"), &name) &&
            strcmp(name, "default") == 0)
            return json_str(json_get(i, "template"), out);
    return false;
}

/* A token is a text, or an object with one. */
static void read_token(const struct json *v, char out[CHAT_TOKEN_MAX])
{
    const char *text = NULL;

    if ((json_str(v, &text) || json_str(json_get(v, "content"), &text)) &&
        strlen(text) < CHAT_TOKEN_MAX)
        snprintf(out, CHAT_TOKEN_MAX, "%s", text);
}

/* The config's template, and how it writes the tokens around a text. */
static int read_config(
    struct chat *c, const char *folder, struct buf *template, struct err *e)
{
    struct json_doc doc AUTO(json_free) = JSON_DOC_INIT;
    char path[PATH_MAX];
    const char *text = NULL;

    if (path_join(path, folder, "tokenizer_config.json", e) != 0)
        return -1;
    if (access(path, F_OK) != 0)
        return 0;
    if (json_read(&doc, path, CONFIG_MAX, e) != 0)
        return -1;
    read_token(json_get(doc.root, "bos_token"), c->bos);
    read_token(json_get(doc.root, "eos_token"), c->eos);
    if (default_template(json_get(doc.root, "chat_template"), &text))
        buf_puts(template, text);
    return buf_check(template, e);
}

static int read_file(const char *folder, struct buf *template, struct err *e)
{
    char path[PATH_MAX];

    if (path_join(path, folder, "chat_template.jinja", e) != 0)
        return -1;
    if (access(path, F_OK) != 0)
        return 0;
    buf_clear(template);
    return file_slurp(path, template, e);
}

static int refuse(const char *folder, bool none, struct err *e)
{
    if (none)
        err_set(
            e, ERR_UNSUPPORTED, "%s: the model has no chat template", folder);
    else
        err_set(e, ERR_UNSUPPORTED,
            "%s: its chat template is none of those that this program knows",
            folder);
    return err_hint(e,
        "name the form with --chat-format llama2, tinyllama, llama3, llama3.1 "
        "or chatml, or write the special tokens into --prompt");
}

int chat_find(
    struct chat *c, const char *folder, enum chat_format wish, struct err *e)
{
    struct buf template AUTO(buf_free) = BUF_INIT(CONFIG_MAX);

    *c = (struct chat){ .format = wish };
    if (read_config(c, folder, &template, e) != 0)
        return -1;
    if (wish != CHAT_AUTO)
        return 0;
    if (read_file(folder, &template, e) != 0)
        return -1;
    c->format = chat_recognise(buf_str(&template));
    return c->format == CHAT_AUTO ? refuse(folder, template.len == 0, e) : 0;
}

/* ---- rendering ---- */

static const char *bos_of(const struct chat *c)
{
    if (c->bos[0] != '\0')
        return c->bos;
    return c->format == CHAT_LLAMA2 ? "<s>" : "<|begin_of_text|>";
}

static const char *eos_of(const struct chat *c)
{
    return c->eos[0] != '\0' ? c->eos : "</s>";
}

static struct str trimmed(const char *text)
{
    static const char space[] = " \t\n\v\f\r";
    struct str s = str_of(text);

    while (s.len > 0 && strchr(space, s.p[0]) != NULL) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && strchr(space, s.p[s.len - 1]) != NULL)
        s.len--;
    return s;
}

static void put(struct buf *out, struct str s)
{
    buf_put(out, s.p, s.len);
}

static void render_llama2(
    const struct chat *c, const char *system, const char *user, struct buf *out)
{
    struct buf whole AUTO(buf_free) = BUF_INIT(out->limit);

    if (system != NULL) {
        buf_puts(&whole, "<<SYS>>\n");
        buf_puts(&whole, system);
        buf_puts(&whole, "\n<</SYS>>\n\n");
    }
    buf_puts(&whole, user);
    buf_puts(out, bos_of(c));
    buf_puts(out, "[INST] ");
    put(out, trimmed(whole.p));
    buf_puts(out, " [/INST]");
}

static void turn3(
    struct buf *out, const char *role, const char *front, const char *text)
{
    buf_printf(
        out, "<|start_header_id|>%s<|end_header_id|>\n\n%s", role, front);
    put(out, trimmed(text));
    buf_puts(out, "<|eot_id|>");
}

static void render_llama3(
    const struct chat *c, const char *system, const char *user, struct buf *out)
{
    bool dated = c->format == CHAT_LLAMA31;

    buf_puts(out, bos_of(c));
    if (dated || system != NULL)
        turn3(
            out, "system", dated ? PREAMBLE : "", system != NULL ? system : "");
    turn3(out, "user", "", user);
    buf_puts(out, "<|start_header_id|>assistant<|end_header_id|>\n\n");
}

/* Forms that write every turn alike: what goes before and behind it. */
static void render_turns(const char *const marks[4], const char *system,
    const char *user, struct buf *out)
{
    const char *const roles[] = { "system", "user" };
    const char *const texts[] = { system, user };

    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (texts[i] == NULL)
            continue;
        buf_puts(out, marks[0]);
        buf_puts(out, roles[i]);
        buf_puts(out, marks[1]);
        buf_puts(out, texts[i]);
        buf_puts(out, marks[2]);
        buf_putc(out, '\n');
    }
    buf_puts(out, marks[3]);
}

void chat_render(
    const struct chat *c, const char *system, const char *user, struct buf *out)
{
    switch (c->format) {
    case CHAT_LLAMA2:
        render_llama2(c, system, user, out);
        break;
    case CHAT_LLAMA3:
    case CHAT_LLAMA31:
        render_llama3(c, system, user, out);
        break;
    case CHAT_TINYLLAMA:
        render_turns(
            (const char *const[]){ "<|", "|>\n", eos_of(c), "<|assistant|>\n" },
            system, user, out);
        break;
    case CHAT_CHATML:
        render_turns((const char *const[]){ "<|im_start|>", "\n", "<|im_end|>",
                         "<|im_start|>assistant\n" },
            system, user, out);
        break;
    case CHAT_AUTO:
    case CHAT_FORMATS:
        break;
    }
}

const char *const *chat_tokens(const struct chat *c, const char *out[8])
{
    unsigned n = 0;

    if (c->format == CHAT_LLAMA2 || c->format == CHAT_LLAMA3 ||
        c->format == CHAT_LLAMA31)
        out[n++] = bos_of(c);
    if (c->format == CHAT_LLAMA3 || c->format == CHAT_LLAMA31) {
        out[n++] = "<|start_header_id|>";
        out[n++] = "<|end_header_id|>";
        out[n++] = "<|eot_id|>";
    }
    if (c->format == CHAT_TINYLLAMA)
        out[n++] = eos_of(c);
    if (c->format == CHAT_CHATML) {
        out[n++] = "<|im_start|>";
        out[n++] = "<|im_end|>";
    }
    out[n] = NULL;
    return out;
}
