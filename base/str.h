/*
 * str.h - a slice of text that somebody else owns: an arena, a map, a
 * literal. Never freed, not terminated, may hold any byte. Uses nothing
 * else of base but sys.h.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <string.h>

#include "base/sys.h"

struct str {
    const char *p; /* never NULL when len > 0 */
    size_t len;    /* bytes */
};

/* For printf: printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)(s).len, (s).p ? (s).p : ""

static inline struct str str_of(const char *text)
{
    return (struct str){ text, strlen(text) };
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool str_is(struct str a, const char *text)
{
    return str_eq(a, str_of(text));
}

static inline bool str_starts(struct str a, const char *front)
{
    size_t n = strlen(front);
    return a.len >= n && memcmp(a.p, front, n) == 0;
}

static inline bool str_ends(struct str a, const char *tail)
{
    size_t n = strlen(tail);
    return a.len >= n && memcmp(a.p + a.len - n, tail, n) == 0;
}

/* Byte order, shorter first on a tie: the order of names in every file. */
static inline int str_cmp(struct str a, struct str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.p, b.p, n) : 0;

    if (c != 0)
        return c;
    return a.len < b.len ? -1 : a.len > b.len;
}

#endif
