/* hex.h - bytes to lower-case hexadecimal text and back. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include "base/str.h"

/* hex_encode - 2 * len digits and a terminator into out. */
void hex_encode(char *out, const void *bytes, size_t len);

/* hex_decode - exactly len bytes from 2 * len lower-case digits; else false. */
bool hex_decode(void *out, size_t len, struct str text);

/* hex_is - text is exactly digits lower-case hexadecimal digits. */
bool hex_is(struct str text, size_t digits);

#endif
