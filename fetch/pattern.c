#include "fetch/pattern.h"

#include "base/utf8.h"

/* One character: a code point, or a byte of what is not UTF-8. */
static uint32_t get(struct str s, size_t *at)
{
    struct str rest = { s.p + *at, s.len - *at };
    uint32_t c;
    unsigned n = utf8_get(rest, &c);

    if (n == 0) {
        /* Bytes must not equal code points: above all of Unicode. */
        c = 0x110000u + (unsigned char)s.p[*at];
        n = 1;
    }
    *at += n;
    return c == '\\' ? '/' : c;
}

/* Where the set that begins at '[' ends (its ']'); 0 when it does not. */
static size_t set_end(struct str p, size_t open)
{
    size_t j = open + 1;

    if (j < p.len && p.p[j] == '!')
        j++;
    if (j < p.len && p.p[j] == ']')
        j++;
    while (j < p.len && p.p[j] != ']')
        j++;
    return j < p.len ? j : 0;
}

static bool in_set(struct str p, size_t open, size_t end, uint32_t c)
{
    struct str set = { p.p, end };
    size_t at = open + 1;
    bool negated = p.p[at] == '!';
    bool found = false;

    at += negated;
    while (at < end) {
        uint32_t lo = get(set, &at), hi = lo;

        if (at + 1 < end && p.p[at] == '-') {
            at++;
            hi = get(set, &at);
        }
        found = found || (lo <= c && c <= hi);
    }
    return found != negated;
}

/* One pattern element (not '*') against one character; moves *at past it. */
static bool one(struct str p, size_t *at, uint32_t c)
{
    size_t open = *at, end;

    if (p.p[open] == '?') {
        *at += 1;
        return true;
    }
    if (p.p[open] == '[' && (end = set_end(p, open)) != 0) {
        *at = end + 1;
        return in_set(p, open, end, c);
    }
    return get(p, at) == c;
}

/*
 * With one point to come back to, as for any pattern of stars.
 * front    it is enough that p matches some beginning of s
 */
static bool match(struct str p, struct str s, bool front)
{
    size_t i = 0, j = 0, star = SIZE_MAX, from = 0;

    while (j < s.len) {
        size_t next = j;
        uint32_t c = get(s, &next);

        if (i == p.len && front)
            return true;
        if (i < p.len && p.p[i] == '*') {
            star = ++i;
            from = j;
        } else if (i < p.len && one(p, &i, c)) {
            j = next;
        } else if (star != SIZE_MAX) {
            get(s, &from);
            i = star;
            j = from;
        } else {
            return false;
        }
    }
    while (i < p.len && (p.p[i] == '*'))
        i++;
    return i == p.len;
}

bool pattern_match(const char *pattern, struct str path)
{
    struct str p = str_of(pattern);
    char last = p.len > 0 ? p.p[p.len - 1] : '\0';

    /* "folder/" is "folder/" and anything behind it. */
    return match(p, path, last == '/' || last == '\\');
}

bool pattern_chosen(const char *const *include, size_t n,
    const char *const *exclude, size_t m, struct str path)
{
    bool in = n == 0;

    for (size_t i = 0; i < n && !in; i++)
        in = pattern_match(include[i], path);
    for (size_t i = 0; i < m && in; i++)
        in = !pattern_match(exclude[i], path);
    return in;
}
