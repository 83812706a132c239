/*
 * json_check.h - is this text strict JSON? (json.c's gate; no tree is built)
 */
#ifndef BASE_JSON_CHECK_H
#define BASE_JSON_CHECK_H

#include "base/err.h"
#include "base/str.h"

/*
 * json_check - RFC 8259 grammar, UTF-8, depth, nothing behind the document
 * plain_ints  every number must be an unsigned integer literal
 * Returns     0, or -1 with *e: REFUSED, naming the byte offset
 * Cost        linear, no memory
 */
int json_check(
    struct str text, bool plain_ints, unsigned depth_max, struct err *e);

#endif
