#include "base/utf8.h"

#include <stdio.h>

unsigned utf8_get(struct str s, uint32_t *out)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char c;
    unsigned n;
    uint32_t cp;

    if (s.len == 0)
        return 0;
    c = (unsigned char)s.p[0];
    n = c < 0x80   ? 1
        : c < 0xC2 ? 0
        : c < 0xE0 ? 2
        : c < 0xF0 ? 3
        : c < 0xF5 ? 4
                   : 0;
    if (n == 0 || n > s.len)
        return 0;
    cp = n == 1 ? c : c & (0xFFu >> (n + 1));
    for (unsigned i = 1; i < n; i++) {
        unsigned char d = (unsigned char)s.p[i];
        if ((d & 0xC0) != 0x80)
            return 0;
        cp = cp << 6 | (d & 0x3F);
    }
    if (cp < least[n] || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
        return 0;
    *out = cp;
    return n;
}

unsigned utf8_put(char out[4], uint32_t cp)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

/* Marks, embeddings, overrides and isolates of direction; line separators. */
static bool turns_text(uint32_t cp)
{
    return cp == 0x61C || cp == 0x200E || cp == 0x200F ||
           (cp >= 0x2028 && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069);
}

unsigned utf8_visible(
    struct str s, char out[static UTF8_VISIBLE_MAX], unsigned *n)
{
    uint32_t cp = 0;
    unsigned took = utf8_get(s, &cp);

    *n = 0;
    if (s.len == 0)
        return 0;
    if (took == 0) {
        cp = (unsigned char)s.p[0];
        took = 1;
    } else if (turns_text(cp)) {
        *n = (unsigned)snprintf(out, UTF8_VISIBLE_MAX, "\\u%04x", cp);
        return took;
    } else if (cp >= 0x20 && (cp < 0x7F || cp > 0x9F)) {
        memcpy(out, s.p, took);
        *n = took;
        return took;
    }
    *n = (unsigned)snprintf(out, UTF8_VISIBLE_MAX, "\\x%02x", cp);
    return took;
}
