/*
 * Completion for bash, zsh and fish. What a value can be is read off the same
 * tables: an option's choices, and what its argument or a command's arguments
 * are called ("FILE", "VOLUME"). A program is not run to complete its line:
 * volumes and repositories are looked for where they are.
 */
#include "base/shell_internal.h"

#include <ctype.h>

const char *const shell_kinds[] = { "none", "words", "files", "dirs", "volumes",
    "names", "repos", "models" };

static const struct {
    const char *called;
    enum shell_kind kind;
} kinds[] = {
    { "FILE", KIND_FILES },
    { "OUT", KIND_FILES },
    { "PATH", KIND_FILES },
    { "PUB", KIND_FILES },
    { "SECRET", KIND_FILES },
    { "TEXTS", KIND_FILES },
    { "ARCHIVE", KIND_FILES },
    { "SOURCE", KIND_FILES },
    { "DEST", KIND_FILES },
    { "DIR", KIND_DIRS },
    { "VOLUME", KIND_VOLUMES },
    { "V", KIND_VOLUMES },
    { "REPO", KIND_REPOS },
    { "REF", KIND_REPOS },
    { "MODEL", KIND_MODELS },
    { "TARGET", KIND_MODELS },
    { "SRC", KIND_MODELS },
    { "A", KIND_MODELS },
    { "B", KIND_MODELS },
};

static enum shell_kind kind_of(struct str called)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_is(called, kinds[i].called))
            return kinds[i].kind;
    return KIND_NONE;
}

/* What stands behind a volume is in it, unless it is surely something else. */
static enum shell_kind kind_behind(
    const struct shell_arg *first, struct str called)
{
    enum shell_kind kind = kind_of(called);

    if (first->kind != KIND_VOLUMES)
        return kind;
    if (str_is(called, "NAME") || str_is(called, "TO"))
        return KIND_NAMES;
    return kind == KIND_MODELS ? KIND_NONE : kind;
}

/* "REPO[@REV]...", "[NAME]", "FILE|DIR", "create|ls|rm": one word of it. */
static struct shell_arg read_arg(const struct shell_arg *first, struct str word)
{
    struct shell_arg a = { .many = str_ends(word, "...") ||
                                   str_ends(word, "...]") };
    const char *p = word.p;
    size_t n = 0, bar;

    if (p[0] == '[') {
        a.optional = true;
        p++;
        word.len--;
    }
    while (n < word.len && strchr("[].@", p[n]) == NULL)
        n++;
    a.called = (struct str){ p, n };
    if (n > 0 && islower((unsigned char)p[0])) {
        a.kind = KIND_WORDS;
        return a;
    }
    for (bar = 0; bar < n && p[bar] != '|';)
        bar++;
    a.called.len = bar;
    a.kind = first != NULL ? kind_behind(first, a.called) : kind_of(a.called);
    return a;
}

size_t shell_args(const struct cmd *c, struct shell_arg out[SHELL_ARGS_MAX])
{
    const char *p = c->args != NULL ? c->args : "";
    size_t n = 0;

    while (*(p += strspn(p, " ")) != '\0' && n < SHELL_ARGS_MAX) {
        size_t len = strcspn(p, " ");

        out[n] = read_arg(n > 0 ? &out[0] : NULL, (struct str){ p, len });
        p += len;
        n++;
    }
    return n;
}

bool shell_takes(const struct opt *o)
{
    return o->type != OPT_FLAG && o->type != OPT_SET;
}

enum shell_kind shell_kind(const struct opt *o)
{
    if (o->type == OPT_CHOICE)
        return KIND_WORDS;
    return o->arg != NULL ? kind_of(str_of(o->arg)) : KIND_NONE;
}

size_t shell_opts(const struct cmd *c, const struct opt *out[SHELL_OPTS_MAX])
{
    const struct opt *tables[] = { c->opts, doc_common };
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        for (const struct opt *o = tables[i]; o != NULL && o->name != NULL; o++)
            if (o->help != NULL && n < SHELL_OPTS_MAX)
                out[n++] = o;
    return n;
}

void shell_put(struct buf *out, const struct program *p, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text != '@') {
            buf_putc(out, *text);
            continue;
        }
        for (const char *c = p->name; *c != '\0'; c++)
            buf_putc(out, *c == '-' ? '_' : *c);
    }
}

void shell_choices(
    struct buf *out, const char *const *choices, const char *between)
{
    for (size_t i = 0; choices[i] != NULL; i++)
        buf_printf(out, "%s%s", i > 0 ? between : "", choices[i]);
}

void shell_words(struct buf *out, struct str words, char between)
{
    for (size_t i = 0; i < words.len; i++)
        buf_putc(out, words.p[i] == '|' ? between : words.p[i]);
}

int doc_completion(
    struct buf *out, const struct program *p, const char *shell, struct err *e)
{
    if (strcmp(shell, "bash") == 0)
        shell_bash(out, p);
    else if (strcmp(shell, "zsh") == 0)
        shell_zsh(out, p);
    else if (strcmp(shell, "fish") == 0)
        shell_fish(out, p);
    else
        return err_set(
            e, ERR_USAGE, "no completion for '%s': bash, zsh or fish", shell);
    return 0;
}
