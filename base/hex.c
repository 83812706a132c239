#include "base/hex.h"

void hex_encode(char *out, const void *bytes, size_t len)
{
    static const char digit[] = "0123456789abcdef";
    const unsigned char *p = bytes;

    for (size_t i = 0; i < len; i++) {
        *out++ = digit[p[i] >> 4];
        *out++ = digit[p[i] & 15];
    }
    *out = '\0';
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool hex_decode(void *out, size_t len, struct str text)
{
    unsigned char *p = out;

    if (!hex_is(text, 2 * len))
        return false;
    for (size_t i = 0; i < len; i++)
        p[i] = (unsigned char)(nibble(text.p[2 * i]) << 4 |
                               nibble(text.p[2 * i + 1]));
    return true;
}

bool hex_is(struct str text, size_t digits)
{
    bool bad = text.len != digits;

    /* Without a branch for each: most are digits, and there are many. */
    for (size_t i = 0; i < digits && i < text.len; i++) {
        unsigned c = (unsigned char)text.p[i];
        bad |= (c - '0' > 9) & (c - 'a' > 5);
    }
    return !bad;
}
