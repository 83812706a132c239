/*
 * unicode_tables.h - the tables in unicode_tables.c and unicode_forms.c,
 * written by unicode_tables.py; only unicode.c reads them. Flat rows of
 * numbers, ordered by their first.
 */
#ifndef VERIFY_RUN_UNICODE_TABLES_H
#define VERIFY_RUN_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

/* Rows of first, last; words are the word characters that are no letters. */
extern const uint32_t unicode_letters[], unicode_numbers[], unicode_words[];
extern const size_t unicode_letters_n, unicode_numbers_n, unicode_words_n;

/* Rows of first, last, combining class. */
extern const uint32_t unicode_combining[];
extern const size_t unicode_combining_n;

/* Canonical decompositions: rows of code point, one (or two) others. */
extern const uint32_t unicode_singles[], unicode_pairs[];
extern const size_t unicode_singles_n, unicode_pairs_n;

/* Numbers of the rows of unicode_pairs that compose, by what they compose. */
extern const uint16_t unicode_composed[];
extern const size_t unicode_composed_n;

#endif
