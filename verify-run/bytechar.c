#include "verify-run/bytechar.h"

#include "base/utf8.h"

/*
 * Bytes with a visible character of the same number keep it. The others, in
 * order, are 00-20, 7F-A0 and AD, and get U+0100 and up.
 */
uint32_t bytechar_of(unsigned char byte)
{
    if (byte <= 0x20)
        return 0x100u + byte;
    if (byte >= 0x7F && byte <= 0xA0)
        return 0x121u + (byte - 0x7Fu);
    if (byte == 0xAD)
        return 0x143;
    return byte;
}

int bytechar_byte(uint32_t cp)
{
    if (cp < 0x100)
        return bytechar_of((unsigned char)cp) == cp ? (int)cp : -1;
    if (cp <= 0x120)
        return (int)(cp - 0x100);
    if (cp <= 0x142)
        return (int)(cp - 0x121 + 0x7F);
    return cp == 0x143 ? 0xAD : -1;
}

void bytechar_show(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c[4];
        unsigned n = utf8_put(c, bytechar_of((unsigned char)text.p[i]));

        buf_put(out, c, n);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

int bytechar_token(struct str t)
{
    int hi, lo;

    if (t.len != 6 || !str_starts(t, "<0x") || t.p[5] != '>')
        return -1;
    hi = hex_digit(t.p[3]);
    lo = hex_digit(t.p[4]);
    return hi < 0 || lo < 0 ? -1 : hi * 16 + lo;
}
