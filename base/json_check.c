#include "base/json_check.h"

#include <ctype.h>

#include "base/utf8.h"

/* Containers still open: one bit each, set for an object. */
enum { DEPTH_LIMIT = 256 };

struct check {
    struct str text;
    size_t at;
    bool plain_ints;
    unsigned depth_max;
    unsigned depth;
    bool is_object[DEPTH_LIMIT];
    struct err *e;
};

static int fail(struct check *c, const char *why)
{
    return err_set(
        c->e, ERR_REFUSED, "malformed JSON at byte %zu: %s", c->at, why);
}

static int peek(const struct check *c)
{
    return c->at < c->text.len ? (unsigned char)c->text.p[c->at] : -1;
}

static void skip_space(struct check *c)
{
    for (;;) {
        int ch = peek(c);
        if (ch != ' ' && ch != '\t' && ch != '\n' && ch != '\r')
            return;
        c->at++;
    }
}

static int hex4(struct check *c, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, c->at++) {
        int ch = peek(c);
        if (ch < 0 || !isxdigit(ch))
            return fail(c, "bad \\u escape");
        *out = *out << 4 |
               (uint32_t)(isdigit(ch) ? ch - '0' : (ch | 0x20) - 'a' + 10);
    }
    return 0;
}

static int check_escape(struct check *c)
{
    uint32_t u, low;
    int ch;

    c->at++; /* the backslash */
    ch = peek(c);
    c->at++;
    if (ch > 0 && strchr("\"\\/bfnrt", ch) != NULL)
        return 0;
    if (ch != 'u')
        return fail(c, "bad escape");
    if (hex4(c, &u) != 0)
        return -1;
    if (u == 0)
        return fail(c, "NUL inside a string");
    if (u >= 0xDC00 && u <= 0xDFFF)
        return fail(c, "lone surrogate");
    if (u < 0xD800 || u > 0xDBFF)
        return 0;
    if (peek(c) != '\\' || c->at + 1 >= c->text.len ||
        c->text.p[c->at + 1] != 'u')
        return fail(c, "lone surrogate");
    c->at += 2;
    if (hex4(c, &low) != 0)
        return -1;
    if (low < 0xDC00 || low > 0xDFFF)
        return fail(c, "lone surrogate");
    return 0;
}

static int check_string(struct check *c)
{
    uint32_t cp;

    c->at++; /* the opening quote */
    for (;;) {
        int ch = peek(c);
        unsigned n;

        if (ch < 0)
            return fail(c, "unterminated string");
        if (ch == '"') {
            c->at++;
            return 0;
        }
        if (ch == '\\') {
            if (check_escape(c) != 0)
                return -1;
            continue;
        }
        if (ch < 0x20)
            return fail(c, "control character inside a string");
        n = utf8_get(
            (struct str){ c->text.p + c->at, c->text.len - c->at }, &cp);
        if (n == 0)
            return fail(c, "not UTF-8");
        c->at += n;
    }
}

static size_t skip_digits(struct check *c)
{
    size_t start = c->at;

    while (peek(c) >= '0' && peek(c) <= '9')
        c->at++;
    return c->at - start;
}

static int check_number(struct check *c)
{
    size_t start = c->at;
    bool plain = true;

    if (peek(c) == '-') {
        plain = false;
        c->at++;
    }
    if (peek(c) == '0')
        c->at++;
    else if (skip_digits(c) == 0)
        return fail(c, "not a value");
    if (peek(c) == '.') {
        plain = false;
        c->at++;
        if (skip_digits(c) == 0)
            return fail(c, "digit expected");
    }
    if (peek(c) == 'e' || peek(c) == 'E') {
        plain = false;
        c->at++;
        if (peek(c) == '+' || peek(c) == '-')
            c->at++;
        if (skip_digits(c) == 0)
            return fail(c, "digit expected");
    }
    if (c->plain_ints && !plain)
        return fail(c, "number is not a plain integer");
    if (c->at - start > 64)
        return fail(c, "number longer than 64 characters");
    return 0;
}

static int check_word(struct check *c, const char *word)
{
    size_t n = strlen(word);

    if (c->text.len - c->at < n || memcmp(c->text.p + c->at, word, n) != 0)
        return fail(c, "not a value");
    c->at += n;
    return 0;
}

static int check_scalar(struct check *c)
{
    switch (peek(c)) {
    case '"':
        return check_string(c);
    case 't':
        return check_word(c, "true");
    case 'f':
        return check_word(c, "false");
    case 'n':
        return check_word(c, "null");
    default:
        return check_number(c);
    }
}

static int check_key(struct check *c)
{
    skip_space(c);
    if (peek(c) != '"')
        return fail(c, "name expected");
    if (check_string(c) != 0)
        return -1;
    skip_space(c);
    if (peek(c) != ':')
        return fail(c, "':' expected");
    c->at++;
    return 0;
}

/* A container opens: *more says whether a value must follow. */
static int check_open(struct check *c, bool *more)
{
    bool object = peek(c) == '{';

    if (c->depth >= c->depth_max || c->depth >= DEPTH_LIMIT)
        return fail(c, "nested too deeply");
    c->is_object[c->depth++] = object;
    c->at++;
    skip_space(c);
    *more = true;
    if (peek(c) == (object ? '}' : ']'))
        *more = false;
    else if (object)
        return check_key(c);
    return 0;
}

/* After a value: close what ends here; *more when another value follows. */
static int check_after(struct check *c, bool *more)
{
    *more = false;
    while (c->depth > 0) {
        bool object = c->is_object[c->depth - 1];

        skip_space(c);
        if (peek(c) == ',') {
            c->at++;
            *more = true;
            return object ? check_key(c) : 0;
        }
        if (peek(c) != (object ? '}' : ']'))
            return fail(
                c, object ? "',' or '}' expected" : "',' or ']' expected");
        c->at++;
        c->depth--;
    }
    return 0;
}

int json_check(
    struct str text, bool plain_ints, unsigned depth_max, struct err *e)
{
    struct check c = {
        .text = text, .plain_ints = plain_ints, .depth_max = depth_max, .e = e
    };
    bool more = true;

    while (more) {
        skip_space(&c);
        if (peek(&c) == '{' || peek(&c) == '[') {
            if (check_open(&c, &more) != 0)
                return -1;
            if (more)
                continue;
        } else if (check_scalar(&c) != 0) {
            return -1;
        }
        if (check_after(&c, &more) != 0)
            return -1;
    }
    skip_space(&c);
    if (c.at != text.len)
        return fail(&c, "bytes after the document");
    return 0;
}
