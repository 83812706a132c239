/*
 * grouping.h - the bytes of numbers, put beside their like: of a run of
 * numbers of two or four bytes first all the first bytes, then all the second
 * ones ... Signs and exponents of weights are alike and pack well then;
 * between fractions they do not. Pure; what the bytes mean does not matter.
 */
#ifndef CACHE_GROUPING_H
#define CACHE_GROUPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each block of a content, from its first byte on, is grouped by itself. */
enum { GROUPING_BLOCK = 1 << 20 };

bool grouping_width(uint64_t width); /* is it one: 2 or 4? */

/*
 * grouping_split - a block of n bytes, grouped; grouping_join - and back
 * The n % width bytes that are left stay at the end.
 * out     of n bytes, not those of in
 */
void grouping_split(uint8_t *out, const uint8_t *in, size_t n, unsigned width);
void grouping_join(uint8_t *out, const uint8_t *in, size_t n, unsigned width);

#endif
