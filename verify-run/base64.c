#include "verify-run/base64.h"

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

bool base64_decode(struct str text, uint8_t *out, size_t *n)
{
    unsigned pads = 0;

    *n = 0;
    if (text.len % 4 != 0)
        return false;
    while (pads < 2 && pads < text.len && text.p[text.len - 1 - pads] == '=')
        pads++;
    for (size_t i = 0; i < text.len; i += 4) {
        unsigned keep = i + 4 == text.len ? 3 - pads : 3;
        uint32_t bits = 0;

        for (unsigned k = 0; k < 4; k++) {
            int d = k <= keep ? digit(text.p[i + k]) : 0;

            if (d < 0)
                return false;
            bits = bits << 6 | (uint32_t)d;
        }
        /* Bits that stand for nothing are zero. */
        if ((bits & ((1u << 8 * (3 - keep)) - 1)) != 0)
            return false;
        for (unsigned k = 0; k < keep; k++)
            out[(*n)++] = (uint8_t)(bits >> (16 - 8 * k));
    }
    return true;
}
