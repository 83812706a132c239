#include "s3/xml.h"

#include "base/utf8.h"

struct xml xml_begin(struct str text)
{
    return (struct xml){ .in = text, .text = BUF_INIT(XML_TEXT_MAX) };
}

void xml_free(struct xml *x)
{
    buf_free(&x->text);
}

static enum xml_event bad(struct xml *x, struct err *e, const char *what)
{
    err_set(e, ERR_REFUSED, "at byte %zu of the XML: %s", x->at, what);
    x->at = x->in.len + 1; /* for good */
    return XML_BAD;
}

static int peek(const struct xml *x)
{
    return x->at < x->in.len ? (unsigned char)x->in.p[x->at] : -1;
}

static bool skip(struct xml *x, const char *front)
{
    struct str rest = { x->in.p + x->at, x->in.len - x->at };

    if (!str_starts(rest, front))
        return false;
    x->at += strlen(front);
    return true;
}

static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool skip_space(struct xml *x)
{
    size_t from = x->at;

    while (is_space(peek(x)))
        x->at++;
    return x->at > from;
}

/* A character that XML may have. */
static bool is_char(uint32_t c)
{
    return (c >= 0x20 && c != 0xfffe && c != 0xffff) || is_space((int)c);
}

/* What stands there, one character; 0: none that may. */
static unsigned any_char(const struct xml *x)
{
    struct str rest = { x->in.p + x->at, x->in.len - x->at };
    uint32_t c;
    unsigned n = utf8_get(rest, &c);

    return n > 0 && is_char(c) ? n : 0;
}

/* Up to and with an end like "-->"; the text between, NULL where none is. */
static bool skip_to(struct xml *x, const char *end, struct str *between)
{
    between->p = x->in.p + x->at;
    while (x->at < x->in.len) {
        size_t from = x->at;
        unsigned n = any_char(x);

        if (skip(x, end)) {
            between->len = (size_t)(x->in.p + from - between->p);
            return true;
        }
        if (n == 0)
            return false;
        x->at += n;
    }
    return false;
}

static bool name_char(int c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == ':' || c >= 0x80 ||
           (!first && ((c >= '0' && c <= '9') || c == '-' || c == '.'));
}

static bool read_name(struct xml *x, struct str *out)
{
    size_t from = x->at;

    while (name_char(peek(x), x->at == from)) {
        unsigned n = any_char(x);

        if (n == 0)
            return false;
        x->at += n;
    }
    *out = (struct str){ x->in.p + from, x->at - from };
    return out->len > 0 && out->len <= XML_NAME_MAX;
}

/* ---- text ---- */

/* Behind "&#": a number, and ';'. */
static bool read_number(struct xml *x, uint32_t *out)
{
    bool hex = skip(x, "x");
    unsigned digits = 0;
    uint32_t v = 0;

    for (int c; (c = peek(x)) != ';'; x->at++, digits++) {
        int low = c | 0x20;

        if (c >= '0' && c <= '9')
            v = v * (hex ? 16 : 10) + (uint32_t)(c - '0');
        else if (hex && low >= 'a' && low <= 'f')
            v = v * 16 + (uint32_t)(low - 'a') + 10;
        else
            return false;
        if (v > 0x10ffff)
            return false;
    }
    x->at++;
    *out = v;
    return digits > 0 && is_char(v) && (v < 0xd800 || v > 0xdfff);
}

/* Behind "&". */
static bool read_entity(struct xml *x, struct buf *out)
{
    static const struct {
        const char *name;
        char c;
    } known[] = { { "amp;", '&' }, { "lt;", '<' }, { "gt;", '>' },
        { "quot;", '"' }, { "apos;", '\'' } };
    char bytes[4];
    uint32_t c;

    if (skip(x, "#")) {
        if (!read_number(x, &c))
            return false;
        buf_put(out, bytes, utf8_put(bytes, c));
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (!skip(x, known[i].name))
            continue;
        buf_putc(out, known[i].c);
        return true;
    }
    return false;
}

/* One character of a text, or an entity, into out. */
static bool read_char(struct xml *x, struct buf *out)
{
    unsigned n;

    if (skip(x, "&"))
        return read_entity(x, out);
    n = any_char(x);
    if (n == 0)
        return false;
    buf_put(out, x->in.p + x->at, n);
    x->at += n;
    return true;
}

/* ---- elements ---- */

/* Of an open tag, behind its name: attributes, and its end. */
static const char *read_attributes(struct xml *x)
{
    for (;;) {
        bool space = skip_space(x);
        struct str name;
        int quote;

        if (skip(x, "/>")) {
            x->empty = true;
            return NULL;
        }
        if (skip(x, ">"))
            return NULL;
        if (!space || !read_name(x, &name))
            return "an element's begin is malformed";
        skip_space(x);
        if (!skip(x, "="))
            return "an attribute without a value";
        skip_space(x);
        quote = peek(x);
        if (quote != '"' && quote != '\'')
            return "an attribute's value without quotes";
        x->at++;
        buf_clear(&x->text);
        while (peek(x) != quote)
            if (peek(x) == '<' || !read_char(x, &x->text))
                return "an attribute's value is malformed";
        x->at++;
    }
}

static enum xml_event open_element(struct xml *x, struct err *e)
{
    const char *why;
    struct str name;

    if (x->depth == 0 && x->rooted)
        return bad(x, e, "a second root");
    if (x->depth == XML_DEPTH_MAX)
        return bad(x, e, "elements are nested too deep");
    if (!read_name(x, &name))
        return bad(x, e, "no name of an element");
    why = read_attributes(x);
    if (why == NULL && x->text.bad != ERR_NONE)
        why = "an attribute is too long";
    if (why != NULL)
        return bad(x, e, why);
    x->rooted = true;
    x->names[x->depth++] = name;
    buf_clear(&x->text);
    return XML_OPEN;
}

/* Behind "</". */
static enum xml_event close_element(struct xml *x, struct err *e)
{
    struct str name;

    if (x->depth == 0 || !read_name(x, &name) ||
        !str_eq(name, x->names[x->depth - 1]))
        return bad(x, e, "the end of an element that is not open");
    skip_space(x);
    if (!skip(x, ">"))
        return bad(x, e, "an element's end is malformed");
    if (x->text.bad != ERR_NONE)
        return bad(x, e, "a text is too long");
    x->closing = true;
    return XML_CLOSE;
}

/* What tells nothing: a comment. 1, 0 when there is none, -1: malformed. */
static int skip_comment(struct xml *x)
{
    struct str text;

    if (!skip(x, "<!--"))
        return 0;
    return skip_to(x, "-->", &text) ? 1 : -1;
}

static enum xml_event outside(struct xml *x, struct err *e)
{
    struct str text;
    int comment;

    if (x->at == 0) {
        skip(x, "\xef\xbb\xbf");
        skip_space(x); /* sent to keep the connection open */
        if (skip(x, "<?xml ") && !skip_to(x, "?>", &text))
            return bad(x, e, "the declaration is malformed");
    }
    do {
        skip_space(x);
        comment = skip_comment(x);
    } while (comment > 0);
    if (comment < 0)
        return bad(x, e, "a comment is malformed");
    if (x->at == x->in.len && x->rooted)
        return XML_END;
    if (!skip(x, "<"))
        return bad(x, e, x->rooted ? "text behind the root" : "no root");
    return open_element(x, e);
}

static enum xml_event inside(struct xml *x, struct err *e)
{
    struct str text;
    int comment;

    for (;;) {
        comment = skip_comment(x);
        if (comment < 0)
            return bad(x, e, "a comment is malformed");
        if (comment > 0)
            continue;
        if (skip(x, "<![CDATA[")) {
            if (!skip_to(x, "]]>", &text))
                return bad(x, e, "a CDATA section is malformed");
            buf_put(&x->text, text.p, text.len);
        } else if (skip(x, "</")) {
            return close_element(x, e);
        } else if (skip(x, "<")) {
            return open_element(x, e);
        } else if (!read_char(x, &x->text)) {
            return bad(x, e,
                x->at >= x->in.len ? "it ends too early"
                                   : "a character or entity that none may be");
        }
    }
}

enum xml_event xml_next(struct xml *x, struct err *e)
{
    if (x->at > x->in.len)
        return bad(x, e, "malformed");
    if (x->closing) {
        x->closing = false;
        x->depth--;
        buf_clear(&x->text);
    }
    if (x->empty) {
        x->empty = false;
        x->closing = true;
        return XML_CLOSE;
    }
    return x->depth == 0 ? outside(x, e) : inside(x, e);
}

bool xml_at(const struct xml *x, const char *path)
{
    for (unsigned i = 0; i < x->depth; i++) {
        size_t n = strcspn(path, "/");

        if (!str_eq((struct str){ path, n }, x->names[i]))
            return false;
        path += n;
        if ((*path == '/') != (i + 1 < x->depth))
            return false;
        path += *path == '/';
    }
    return x->depth > 0 && *path == '\0';
}
