/*
 * decimal.h - numbers as our own files write them
 */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include "base/str.h"

/*
 * decimal_u64 - all of text is one number: digits, without a zero in front
 * Returns  false, and leaves *out, when it is not, or does not fit
 */
bool decimal_u64(struct str text, uint64_t *out);

#endif
