/*
 * The opcodes whose argument is a line of text (protocol 0, and old files
 * written by Python 2).
 */
#include "base/utf8.h"
#include "formats/pickle_internal.h"

#include <stdlib.h>

/* Optional sign, then digits only; false when it does not fit in 64 bits. */
static bool parse_i64(struct str s, int64_t *out)
{
    bool minus = s.len > 0 && s.p[0] == '-';
    size_t i = minus || (s.len > 0 && s.p[0] == '+');
    int64_t v = 0;

    if (i == s.len)
        return false;
    for (; i < s.len; i++) {
        int digit = s.p[i] - '0';

        if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_sub_overflow(v, digit, &v))
            return false;
    }
    if (!minus && v == INT64_MIN)
        return false;
    *out = minus ? v : -v;
    return true;
}

/* Decimal text to two's-complement bytes, for what 64 bits cannot hold. */
static struct node *parse_big(struct pickle *p, struct str s)
{
    uint8_t v[PICKLE_INT_DIGITS_MAX / 2] = { 0 };
    bool minus = s.len > 0 && s.p[0] == '-';
    size_t i = minus || (s.len > 0 && s.p[0] == '+');
    uint8_t *bytes;

    if (i == s.len || s.len - i > PICKLE_INT_DIGITS_MAX)
        return NULL;
    for (; i < s.len; i++) {
        unsigned carry = (unsigned)(s.p[i] - '0');

        if (carry > 9)
            return NULL;
        for (size_t k = 0; k < sizeof(v); k++) {
            carry += v[k] * 10u;
            v[k] = (uint8_t)carry;
            carry >>= 8;
        }
    }
    for (size_t k = 0, carry = 1; minus && k < sizeof(v); k++) {
        carry += (uint8_t)~v[k];
        v[k] = (uint8_t)carry;
        carry >>= 8;
    }
    bytes = arena_alloc(p->env->arena, 1, sizeof(v), p->e);
    if (bytes == NULL)
        return NULL;
    memcpy(bytes, v, sizeof(v));
    return pickle_long(p, bytes, sizeof(v));
}

/* Python reads more as numbers: hex, blanks and underscores between digits. */
static int like_number(struct pickle *p, struct str s, int rc)
{
    static const char parts[] =
        "0123456789abcdefxoABCDEFXO_+-. \t\rinftyINFTYL";

    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] == '\0' || strchr(parts, s.p[i]) == NULL)
            return rc;
    return s.len > 0 ? pickle_doubt(p, rc) : rc;
}

static int push_integer(struct pickle *p, struct str s)
{
    struct node *n;
    int64_t v;

    if (parse_i64(s, &v))
        return pickle_push(p, pickle_int(p, v));
    n = parse_big(p, s);
    if (n == NULL)
        return like_number(
            p, s, pickle_bad(p, "not an integer, or too long a one"));
    return pickle_push(p, n);
}

int pickle_op_int(struct pickle *p)
{
    struct str s = rd_line(&p->rd);

    if (p->rd.bad)
        return 0;
    if (str_is(s, "00") || str_is(s, "01"))
        return pickle_push(p, p->truth[s.p[1] == '1']);
    return push_integer(p, s);
}

int pickle_op_long(struct pickle *p)
{
    struct str s = rd_line(&p->rd);

    if (p->rd.bad)
        return 0;
    if (str_ends(s, "L"))
        s.len--;
    return push_integer(p, s);
}

int pickle_index_line(struct pickle *p, uint64_t *out)
{
    struct str s = rd_line(&p->rd);
    int64_t v;

    if (p->rd.bad || !parse_i64(s, &v) || v < 0)
        return like_number(p, s, pickle_bad(p, "not a memo index"));
    *out = (uint64_t)v;
    return 0;
}

/* What strtod takes beyond Python's repr (hex, locale) never gets there. */
static bool looks_decimal(const char *text)
{
    return strspn(text, "0123456789+-.eE") == strlen(text) ||
           strcmp(text, "inf") == 0 || strcmp(text, "-inf") == 0 ||
           strcmp(text, "nan") == 0;
}

int pickle_op_float(struct pickle *p)
{
    struct str s = rd_line(&p->rd);
    struct node *n;
    char text[64];
    char *end;

    if (p->rd.bad)
        return 0;
    if (s.len == 0 || s.len >= sizeof(text) || memchr(s.p, '\0', s.len))
        return like_number(p, s, pickle_bad(p, "not a number"));
    memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    n = pickle_node(p, NODE_FLOAT);
    if (n == NULL)
        return -1;
    n->f = strtod(text, &end);
    if (*end != '\0' || !looks_decimal(text))
        return like_number(p, s, pickle_bad(p, "not a number"));
    return pickle_push(p, n);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* n hexadecimal digits at the front of s. */
static bool hex_digits(struct str s, size_t n, uint32_t *out)
{
    uint32_t v = 0;

    if (s.len < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int d = hex_value(s.p[i]);

        if (d < 0)
            return false;
        v = v << 4 | (uint32_t)d;
    }
    *out = v;
    return true;
}

/*
 * One backslash escape of a Python 2 string literal; s begins behind the
 * backslash. Returns the bytes of s it took, 0 when it is malformed.
 */
static size_t unescape(struct str s, char *out, size_t *n)
{
    static const char from[] = "\\'\"abfnrtv";
    static const char to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *at = s.len > 0 && s.p[0] ? strchr(from, s.p[0]) : NULL;
    size_t k = 0;
    uint32_t v = 0;

    if (s.len == 0)
        return 0;
    if (at != NULL) {
        out[(*n)++] = to[at - from];
        return 1;
    }
    if (s.p[0] == 'x') {
        if (!hex_digits((struct str){ s.p + 1, s.len - 1 }, 2, &v))
            return 0;
        out[(*n)++] = (char)v;
        return 3;
    }
    while (k < 3 && k < s.len && s.p[k] >= '0' && s.p[k] <= '7')
        v = v * 8 + (uint32_t)(s.p[k++] - '0');
    if (k == 0)
        out[(*n)++] = '\\'; /* Python leaves unknown escapes alone */
    else
        out[(*n)++] = (char)v;
    return k > 0 ? k : SIZE_MAX;
}

int pickle_op_string(struct pickle *p)
{
    struct str s = rd_line(&p->rd);
    size_t n = 0;
    char *out;

    if (p->rd.bad)
        return 0;
    if (s.len < 2 || (s.p[0] != '\'' && s.p[0] != '"') ||
        s.p[s.len - 1] != s.p[0])
        return pickle_bad(p, "the string is not quoted");
    s = (struct str){ s.p + 1, s.len - 2 };
    out = arena_alloc(p->env->arena, s.len + 1, 1, p->e);
    if (out == NULL)
        return -1;
    while (s.len > 0) {
        size_t took = 1;

        if (s.p[0] == '\\') {
            took = unescape((struct str){ s.p + 1, s.len - 1 }, out, &n);
            if (took == 0)
                return pickle_bad(p, "a malformed escape");
            took = took == SIZE_MAX ? 1 : took + 1;
        } else {
            out[n++] = s.p[0];
        }
        s = (struct str){ s.p + took, s.len - took };
    }
    return pickle_push(p, pickle_str2(p, (struct str){ out, n }));
}

/* Like utf8_put, and lone surrogates get their three bytes too. */
static unsigned put_code(char *out, uint32_t cp)
{
    if (cp < 0xd800 || cp > 0xdfff)
        return utf8_put(out, cp);
    out[0] = (char)0xed;
    out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[2] = (char)(0x80 | (cp & 0x3f));
    return 3;
}

/* raw-unicode-escape: \uXXXX and \UXXXXXXXX; other bytes are Latin-1. */
int pickle_op_unicode(struct pickle *p)
{
    struct str s = rd_line(&p->rd);
    size_t n = 0;
    char *out;

    if (p->rd.bad)
        return 0;
    out = arena_alloc(p->env->arena, (uint64_t)s.len * 2 + 1, 1, p->e);
    if (out == NULL)
        return -1;
    while (s.len > 0) {
        uint32_t cp = (unsigned char)s.p[0];
        size_t took = 1;

        if (s.len > 1 && s.p[0] == '\\' && (s.p[1] | 0x20) == 'u') {
            size_t digits = s.p[1] == 'u' ? 4 : 8;

            if (!hex_digits((struct str){ s.p + 2, s.len - 2 }, digits, &cp) ||
                cp > 0x10ffff)
                return pickle_bad(p, "a malformed escape");
            took = digits + 2;
        }
        n += put_code(out + n, cp);
        s = (struct str){ s.p + took, s.len - took };
    }
    return pickle_push(p, pickle_text(p, NODE_STR, (struct str){ out, n }));
}
