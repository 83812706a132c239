#include "serve/span.h"

#include <strings.h>

/* Digits; 19 of them fit. What is more than a file can have is as good. */
static bool number(const char **at, uint64_t *out)
{
    const char *p = *at;
    uint64_t n = 0;

    for (; *p >= '0' && *p <= '9'; p++)
        n = n > UINT64_MAX / 10 - 1 ? n : n * 10 + (uint64_t)(*p - '0');
    *out = n;
    if (p == *at)
        return false;
    *at = p;
    return true;
}

static const char *blanks(const char *p)
{
    while (*p == ' ' || *p == '\t')
        p++;
    return p;
}

enum span_kind span_parse(
    const char *header, uint64_t size, uint64_t *from, uint64_t *to)
{
    uint64_t a = 0, b = UINT64_MAX - 1;
    bool has_a, has_b;

    *from = 0;
    *to = size;
    if (header == NULL || strncasecmp(header, "bytes=", 6) != 0)
        return SPAN_ALL;
    header = blanks(header + 6);
    has_a = number(&header, &a);
    if (*header++ != '-')
        return SPAN_ALL;
    has_b = number(&header, &b);
    if (*blanks(header) != '\0' || (!has_a && !has_b) ||
        (has_a && has_b && b < a))
        return SPAN_ALL;
    if (!has_a) { /* the last b bytes */
        if (b == 0 || size == 0)
            return SPAN_NONE;
        *from = b < size ? size - b : 0;
        return SPAN_PART;
    }
    if (a >= size)
        return SPAN_NONE;
    *from = a;
    *to = has_b ? size_min(b + 1, size) : size;
    return has_b ? SPAN_PART : SPAN_REST;
}
