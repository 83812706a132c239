#include "base/opt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"

/* One option as it was found on the command line. */
struct hit {
    const struct opt *opt;
    void *values;     /* the options struct it belongs to */
    char shown[64];   /* as the user wrote it: "--jobs" or "-j" */
    const char *text; /* its argument, or NULL */
};

struct parse {
    const struct opt *const *tables;
    void *const *values;
    size_t n_tables;
    int argc;
    char **argv;
    int at; /* next word to look at */
    struct err *e;
};

static bool takes_arg(const struct opt *o)
{
    return o->type != OPT_FLAG && o->type != OPT_SET;
}

static bool find(
    const struct parse *p, char letter, struct str name, struct hit *out)
{
    for (size_t t = 0; t < p->n_tables; t++) {
        for (const struct opt *o = p->tables[t]; o->name != NULL; o++) {
            if (letter ? o->letter != letter : !str_is(name, o->name))
                continue;
            out->opt = o;
            out->values = p->values[t];
            return true;
        }
    }
    return false;
}

static int bad_value(const struct hit *h, const char *want, struct err *e)
{
    return err_set(e, ERR_USAGE, "%s: '%s' is not %s", h->shown, h->text, want);
}

static int set_int(const struct hit *h, int64_t *out, struct err *e)
{
    char want[96], *end;
    long long v;

    errno = 0;
    v = strtoll(h->text, &end, 10);
    if (errno != 0 || end == h->text || *end != '\0' || v < h->opt->min ||
        v > h->opt->max) {
        snprintf(want, sizeof(want), "a number from %lld to %lld",
            (long long)h->opt->min, (long long)h->opt->max);
        return bad_value(h, want, e);
    }
    *out = v;
    return 0;
}

static void list_names(char *out, size_t out_len, const char *const *names)
{
    size_t n = 0;

    for (size_t i = 0; names[i] != NULL && n < out_len; i++)
        n += (size_t)snprintf(out + n, out_len - n, "%s%s",
            i == 0                 ? ""
            : names[i + 1] != NULL ? ", "
                                   : " or ",
            names[i]);
}

static int set_choice(const struct hit *h, int *out, struct err *e)
{
    char want[200];

    for (int i = 0; h->opt->choices[i] != NULL; i++) {
        if (strcmp(h->opt->choices[i], h->text) == 0) {
            *out = i;
            return 0;
        }
    }
    list_names(want, sizeof(want), h->opt->choices);
    return bad_value(h, want, e);
}

static int list_add(struct opt_list *l, const char *text, struct err *e)
{
    const char **v = realloc((void *)l->v, (l->n + 1) * sizeof(*v));

    if (v == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    v[l->n++] = text;
    l->v = v;
    return 0;
}

void opt_list_free(struct opt_list *l)
{
    free((void *)l->v);
    *l = (struct opt_list){ .n = 0 };
}

static int set_value(const struct hit *h, struct err *e)
{
    void *at = (char *)h->values + h->opt->at;

    switch (h->opt->type) {
    case OPT_FLAG:
        *(bool *)at = true;
        return 0;
    case OPT_SET:
        *(int *)at = (int)h->opt->min;
        return 0;
    case OPT_STR:
        *(const char **)at = h->text;
        return 0;
    case OPT_LIST:
        return list_add(at, h->text, e);
    case OPT_INT:
        return set_int(h, at, e);
    case OPT_CHOICE:
        return set_choice(h, at, e);
    case OPT_SIZE:
        if (!human_parse_size(h->text, at))
            return bad_value(h, "a size such as 500M or 2GiB", e);
        return 0;
    }
    return err_set(e, ERR_BUG, "option of unknown type");
}

/* The argument of the option: glued to it, or the next word. */
static int take_arg(struct parse *p, struct hit *h, const char *glued)
{
    if (glued != NULL)
        h->text = glued;
    else if (p->at < p->argc)
        h->text = p->argv[p->at++];
    else
        return err_set(p->e, ERR_USAGE, "%s needs an argument: %s", h->shown,
            h->opt->arg != NULL ? h->opt->arg : "VALUE");
    return 0;
}

static int parse_long(struct parse *p, const char *word)
{
    const char *eq = strchr(word, '=');
    struct str name = { word, eq ? (size_t)(eq - word) : strlen(word) };
    struct hit h = { .opt = NULL };

    snprintf(h.shown, sizeof(h.shown), "--%.*s",
        name.len > 50 ? 50 : (int)name.len, name.p);
    if (!find(p, 0, name, &h))
        return err_set(p->e, ERR_USAGE, "unknown option %s", h.shown);
    if (!takes_arg(h.opt) && eq != NULL)
        return err_set(p->e, ERR_USAGE, "%s takes no argument", h.shown);
    if (takes_arg(h.opt) && take_arg(p, &h, eq ? eq + 1 : NULL) != 0)
        return -1;
    return set_value(&h, p->e);
}

static int parse_short(struct parse *p, const char *word)
{
    for (const char *c = word; *c != '\0'; c++) {
        struct hit h = { .opt = NULL };

        snprintf(h.shown, sizeof(h.shown), "-%c", *c);
        if (!find(p, *c, str_of(""), &h))
            return err_set(p->e, ERR_USAGE, "unknown option %s", h.shown);
        if (takes_arg(h.opt)) {
            if (take_arg(p, &h, c[1] != '\0' ? c + 1 : NULL) != 0)
                return -1;
            return set_value(&h, p->e);
        }
        if (set_value(&h, p->e) != 0)
            return -1;
    }
    return 0;
}

int opt_parse(const struct opt *const *tables, void *const *values,
    size_t n_tables, int argc, char **argv, struct err *e)
{
    struct parse p = { .tables = tables,
        .values = values,
        .n_tables = n_tables,
        .argc = argc,
        .argv = argv,
        .e = e };
    int kept = 0;
    bool ended = false;

    while (p.at < argc) {
        char *word = argv[p.at++];
        int rc = 0;

        /* A lone "-" is an argument: standard output or input. */
        if (ended || word[0] != '-' || word[1] == '\0')
            argv[kept++] = word;
        else if (strcmp(word, "--") == 0)
            ended = true;
        else if (word[1] == '-')
            rc = parse_long(&p, word + 2);
        else
            rc = parse_short(&p, word + 1);
        if (rc != 0)
            return -1;
    }
    return kept;
}

/* "-j, --jobs=N", as help shows it. */
static void spell(char *out, size_t out_len, const struct opt *o)
{
    char letter[8] = "    ";

    if (o->letter != 0)
        snprintf(letter, sizeof(letter), "-%c, ", o->letter);
    snprintf(out, out_len, "%s--%s%s%s", letter, o->name,
        takes_arg(o) ? "=" : "", takes_arg(o) && o->arg ? o->arg : "");
}

/* Text wrapped at 80 columns, every line after the first indented. */
static void wrap(
    struct buf *out, const char *text, size_t column, size_t indent)
{
    while (*text != '\0') {
        size_t n = strcspn(text, " ");

        if (column > indent && column + 1 + n > 79) {
            buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            buf_putc(out, ' ');
            column++;
        }
        buf_put(out, text, n);
        column += n;
        text += n;
        text += strspn(text, " ");
    }
    buf_putc(out, '\n');
}

void opt_help(struct buf *out, const struct opt *table)
{
    enum { INDENT = 28 };
    char left[80];

    for (const struct opt *o = table; o->name != NULL; o++) {
        int n;

        if (o->help == NULL) /* hidden */
            continue;
        spell(left, sizeof(left), o);
        n = (int)strlen(left) + 2;
        buf_printf(out, "  %s", left);
        if (n + 2 > INDENT)
            buf_printf(out, "\n%*s", INDENT, "");
        else
            buf_printf(out, "%*s", INDENT - n, "");
        wrap(out, o->help, INDENT, INDENT);
    }
}

/* roff reads '-' as a hyphen and a leading '.' or '\'' as a request. */
static void put_roff(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '-')
            buf_puts(out, "\\-");
        else if (*text == '\\')
            buf_puts(out, "\\e");
        else
            buf_putc(out, *text);
    }
}

void opt_man(struct buf *out, const struct opt *table)
{
    for (const struct opt *o = table; o->name != NULL; o++) {
        if (o->help == NULL)
            continue;
        buf_puts(out, ".TP\n");
        if (o->letter != 0)
            buf_printf(out, "\\fB\\-%c\\fR, ", o->letter);
        buf_puts(out, "\\fB\\-\\-");
        put_roff(out, o->name);
        buf_puts(out, "\\fR");
        if (takes_arg(o))
            buf_printf(out, "=\\fI%s\\fR", o->arg ? o->arg : "VALUE");
        buf_putc(out, '\n');
        put_roff(out, o->help);
        buf_putc(out, '\n');
    }
}
