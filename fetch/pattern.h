/*
 * pattern.h - the Hub's file patterns: Python's fnmatchcase on the whole
 * path of a repository. '*' and '?' match '/', too; no braces, no escape.
 * Source: hub protocol, section 15.5.
 */
#ifndef FETCH_PATTERN_H
#define FETCH_PATTERN_H

#include "base/str.h"

/*
 * pattern_match - does the path match?
 * A backslash counts as '/', a pattern that ends in '/' as if "*" followed.
 */
bool pattern_match(const char *pattern, struct str path);

/* pattern_chosen - matches one of the first n (or n is 0), none of the m. */
bool pattern_chosen(const char *const *include, size_t n,
    const char *const *exclude, size_t m, struct str path);

#endif
