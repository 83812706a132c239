#include "base/doc.h"

#include <ctype.h>

#include "base/version.h"

static const struct {
    int status;
    const char *what;
} exits[] = {
    { 0, "done, or yes" },
    { 1, "failed for a reason of its own (input or output, memory, a bug)" },
    { 2, "wrong usage" },
    { 3, "not found: repository, revision, file, volume, name" },
    { 4, "access: no token, bad token, gated, forbidden" },
    { 5, "network: all retries used up, or offline and not held" },
    { 6, "integrity: the bytes are not what they should be" },
    { 7, "not enough space" },
    { 8, "refused: unsafe, malformed or unsupported input" },
    { 9, "the verdict is no" },
    { 130, "interrupted; everything fetched so far is kept" },
};

static void wrap_paragraph(struct buf *out, const char *text, size_t len)
{
    size_t column = 0, at = 0;

    while (at < len) {
        size_t n = 0;

        while (at + n < len && text[at + n] != ' ' && text[at + n] != '\n')
            n++;
        if (column > 0 && column + 1 + n > 79) {
            buf_putc(out, '\n');
            column = 0;
        } else if (column > 0) {
            buf_putc(out, ' ');
            column++;
        }
        buf_put(out, text + at, n);
        column += n;
        at += n;
        while (at < len && (text[at] == ' ' || text[at] == '\n'))
            at++;
    }
    buf_putc(out, '\n');
}

/* A paragraph that starts with a blank is shown as it is: tables, lists. */
void doc_wrap(struct buf *out, const char *text)
{
    while (*text != '\0') {
        const char *end = strstr(text, "\n\n");
        size_t len = end != NULL ? (size_t)(end - text) : strlen(text);

        if (text[0] == ' ') {
            buf_put(out, text, len);
            buf_putc(out, '\n');
        } else {
            wrap_paragraph(out, text, len);
        }
        if (end == NULL)
            return;
        buf_putc(out, '\n');
        text = end + 2;
    }
}

static void put_usage(
    struct buf *out, const struct program *p, const struct cmd *c)
{
    buf_printf(out, "%s", p->name);
    if (c->name != NULL)
        buf_printf(out, " %s", c->name);
    buf_puts(out, " [OPTION]...");
    if (c->args != NULL && *c->args != '\0')
        buf_printf(out, " %s", c->args);
}

static void put_sentence(struct buf *out, const char *brief)
{
    buf_putc(out, (char)toupper((unsigned char)brief[0]));
    buf_printf(out, "%s.", brief + 1);
}

static void help_examples(struct buf *out, const struct cmd *c)
{
    if (c->examples == NULL)
        return;
    buf_puts(out, "\nExamples:\n");
    for (const struct cmd_example *x = c->examples; x->line != NULL; x++)
        buf_printf(out, "  %s\n      %s\n", x->line, x->what);
}

static void help_commands(struct buf *out, const struct program *p)
{
    buf_printf(out, "Usage: %s COMMAND [OPTION]... [ARGUMENT]...\n", p->name);
    put_sentence(out, p->brief);
    buf_puts(out, "\n\nCommands:\n");
    for (size_t i = 0; p->cmds[i] != NULL; i++)
        buf_printf(out, "  %-10s  %s\n", p->cmds[i]->name, p->cmds[i]->brief);
    if (p->text != NULL) {
        buf_putc(out, '\n');
        doc_wrap(out, p->text);
    }
    buf_printf(
        out, "\n'%s COMMAND --help' tells more about a command.\n", p->name);
}

void doc_help(struct buf *out, const struct program *p, const struct cmd *c)
{
    if (c == NULL) {
        help_commands(out, p);
        return;
    }
    buf_puts(out, "Usage: ");
    put_usage(out, p, c);
    buf_putc(out, '\n');
    put_sentence(out, c->name != NULL ? c->brief : p->brief);
    buf_putc(out, '\n');
    if (c->text != NULL) {
        buf_putc(out, '\n');
        doc_wrap(out, c->text);
    }
    buf_puts(out, "\nOptions:\n");
    if (c->opts != NULL)
        opt_help(out, c->opts);
    opt_help(out, doc_common);
    help_examples(out, c);
}

/* ---- the manual page ---- */

/* Text for roff: '-' and '\' escaped, no line starts with a request. */
static void put_roff(struct buf *out, const char *text)
{
    bool start = true;

    for (; *text != '\0'; text++) {
        if (start && (*text == '.' || *text == '\''))
            buf_puts(out, "\\&");
        start = *text == '\n';
        if (*text == '-')
            buf_puts(out, "\\-");
        else if (*text == '\\')
            buf_puts(out, "\\e");
        else
            buf_putc(out, *text);
    }
}

static void man_text(struct buf *out, const char *text)
{
    while (*text != '\0') {
        const char *end = strstr(text, "\n\n");
        size_t len = end != NULL ? (size_t)(end - text) : strlen(text);
        struct buf part AUTO(buf_free) = BUF_INIT(1 << 16);
        bool table = text[0] == ' ';

        buf_put(&part, text, len);
        buf_puts(out, table ? ".nf\n" : ".PP\n");
        put_roff(out, part.p);
        buf_puts(out, table ? "\n.fi\n" : "\n");
        if (end == NULL)
            return;
        text = end + 2;
    }
}

static void man_command(
    struct buf *out, const struct program *p, const struct cmd *c)
{
    struct buf usage AUTO(buf_free) = BUF_INIT(1 << 12);

    put_usage(&usage, p, c);
    if (c->name != NULL) {
        buf_puts(out, ".SS ");
        put_roff(out, usage.p);
        buf_putc(out, '\n');
        put_sentence(out, c->brief);
        buf_putc(out, '\n');
    }
    /* The text of a program's only command stands in its description. */
    if (c->text != NULL && c->name != NULL)
        man_text(out, c->text);
    if (c->opts != NULL)
        opt_man(out, c->opts);
}

static void man_examples(struct buf *out, const struct program *p)
{
    bool head = false;

    for (size_t i = 0; p->cmds[i] != NULL; i++) {
        const struct cmd_example *x = p->cmds[i]->examples;
        for (; x != NULL && x->line != NULL; x++) {
            if (!head)
                buf_puts(out, ".SH EXAMPLES\n");
            head = true;
            buf_puts(out, ".TP\n.B ");
            put_roff(out, x->line);
            buf_putc(out, '\n');
            put_roff(out, x->what);
            buf_putc(out, '\n');
        }
    }
}

static void man_environment(struct buf *out, const char *lines)
{
    buf_puts(out, ".SH ENVIRONMENT\n");
    while (*lines != '\0') {
        size_t name = strcspn(lines, "\t"), len = strcspn(lines, "\n");
        struct buf part AUTO(buf_free) = BUF_INIT(1 << 12);

        buf_puts(out, ".TP\n.B ");
        buf_put(out, lines, size_min(name, len));
        buf_putc(out, '\n');
        if (name < len)
            buf_put(&part, lines + name + 1, len - name - 1);
        put_roff(out, part.p);
        buf_putc(out, '\n');
        lines += len + (lines[len] == '\n');
    }
}

void doc_man(struct buf *out, const struct program *p)
{
    buf_puts(out, ".TH ");
    for (const char *c = p->name; *c != '\0'; c++)
        buf_putc(out, (char)toupper((unsigned char)*c));
    buf_printf(
        out, " 1 \"%s\" \"%s %s\"\n.SH NAME\n", ML_DATE, p->name, ML_VERSION);
    put_roff(out, p->name);
    buf_puts(out, " \\- ");
    put_roff(out, p->brief);
    buf_puts(out, "\n.SH SYNOPSIS\n");
    for (size_t i = 0; p->cmds[i] != NULL; i++) {
        struct buf usage AUTO(buf_free) = BUF_INIT(1 << 12);
        put_usage(&usage, p, p->cmds[i]);
        buf_puts(out, i == 0 ? ".B " : ".br\n.B ");
        put_roff(out, usage.p);
        buf_putc(out, '\n');
    }
    buf_puts(out, ".SH DESCRIPTION\n");
    put_sentence(out, p->brief);
    buf_putc(out, '\n');
    if (p->text != NULL)
        man_text(out, p->text);
    if (p->cmds[0]->name == NULL && p->cmds[0]->text != NULL)
        man_text(out, p->cmds[0]->text);
    buf_puts(out, p->cmds[0]->name ? ".SH COMMANDS\n" : ".SH OPTIONS\n");
    for (size_t i = 0; p->cmds[i] != NULL; i++)
        man_command(out, p, p->cmds[i]);
    buf_puts(out, p->cmds[0]->name ? ".SH COMMON OPTIONS\n" : "");
    opt_man(out, doc_common);
    man_examples(out, p);
    if (p->environment != NULL)
        man_environment(out, p->environment);
    buf_puts(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < ARRAY_LEN(exits); i++)
        buf_printf(out, ".TP\n.B %d\n%s\n", exits[i].status, exits[i].what);
}
