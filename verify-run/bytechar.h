/*
 * bytechar.h - the visible character that stands for each byte in a
 * byte-level vocabulary. Source: tokenizers, section 5.1.
 */
#ifndef VERIFY_RUN_BYTECHAR_H
#define VERIFY_RUN_BYTECHAR_H

#include "base/buf.h"

/* bytechar_of - the code point for a byte, below U+0144. */
uint32_t bytechar_of(unsigned char byte);

/* bytechar_byte - the byte of a code point, or -1. */
int bytechar_byte(uint32_t cp);

/* bytechar_show - append text with each byte made visible. */
void bytechar_show(struct str text, struct buf *out);

/* bytechar_token - the byte of a token <0xHH>, or -1. */
int bytechar_token(struct str t);

#endif
