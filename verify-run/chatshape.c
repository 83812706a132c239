#include "verify-run/chatshape.h"

#include <string.h>

/* One tag, and the text in front of it. */
struct tag {
    struct str before;
    char kind; /* '%', '{', '#'; 0 at the end of the template */
    bool trims_before;
    bool trims_after;
    size_t end;
};

/* Where the tag whose inside starts here ends; strings may hold its mark. */
static size_t end_of(struct str s, size_t at, char kind)
{
    const char mark = kind == '{' ? '}' : kind;
    char quote = '\0';

    for (; at + 1 < s.len; at++) {
        if (quote != '\0' && s.p[at] == '\\')
            at++;
        else if (quote != '\0')
            quote = s.p[at] == quote ? '\0' : quote;
        else if (kind != '#' && (s.p[at] == '\'' || s.p[at] == '"'))
            quote = s.p[at];
        else if (s.p[at] == mark && s.p[at + 1] == '}')
            return at + 2;
    }
    return 0;
}

/* The next tag; false when it does not end. */
static bool next_tag(struct str s, size_t from, struct tag *t)
{
    size_t at = from;

    while (at + 1 < s.len &&
           (s.p[at] != '{' || memchr("{%#", s.p[at + 1], 3) == NULL))
        at++;
    if (at + 1 >= s.len)
        at = s.len;
    *t = (struct tag){ .before = { s.p + from, at - from } };
    if (at == s.len)
        return true;
    t->kind = s.p[at + 1];
    t->trims_before = at + 2 < s.len && s.p[at + 2] == '-';
    t->end = end_of(s, at + 2, t->kind);
    t->trims_after = t->end >= at + 5 && s.p[t->end - 3] == '-';
    return t->end != 0;
}

static bool is_blank(struct str s, const char *blanks)
{
    for (size_t i = 0; i < s.len; i++)
        if (strchr(blanks, s.p[i]) == NULL)
            return false;
    return true;
}

/* What is written of the text between two tags. */
static struct str written(
    const struct tag *last, struct str text, const struct tag *next)
{
    const struct str none = { text.p, 0 };
    bool line_start = last->kind == 0;

    if ((last->trims_after || next->trims_before) && is_blank(text, " \t\r\n"))
        return none;
    if ((last->kind == '%' || last->kind == '#') && text.len > 0 &&
        text.p[0] == '\n') {
        text = (struct str){ text.p + 1, text.len - 1 };
        line_start = true;
    }
    if (next->kind == 0 && text.len == 1 && text.p[0] == '\n')
        return none;
    if (next->kind == '%' && line_start && is_blank(text, " \t"))
        return none;
    return text;
}

struct chatshape chatshape_of(struct str template)
{
    struct chatshape shape = { .statements = 0 };
    struct tag last = { .kind = 0 }, next;

    do {
        struct str text;

        if (!next_tag(template, last.end, &next)) {
            shape.other = true;
            break;
        }
        text = written(&last, next.before, &next);
        if (text.len == 1 && text.p[0] == '\n' && last.kind == '{')
            shape.lines++;
        else if (text.len > 0)
            shape.other = true;
        shape.statements += next.kind == '%';
        shape.outputs += next.kind == '{';
        last = next;
    } while (next.kind != 0);
    return shape;
}
