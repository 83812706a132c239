#include "net/content_range.h"

#include <ctype.h>
#include <strings.h>

static bool number(const char **p, uint64_t *out)
{
    const char *s = *p;
    uint64_t v = 0;

    if (!isdigit((unsigned char)*s))
        return false;
    for (; isdigit((unsigned char)*s); s++)
        if (!size_mul(v, 10, &v) || !size_add(v, (uint64_t)(*s - '0'), &v))
            return false;
    *p = s;
    *out = v;
    return true;
}

bool content_range(const char *text, struct content_range *out)
{
    const char *p = text;

    if (strncasecmp(p, "bytes ", 6) != 0)
        return false;
    p += 6;
    while (*p == ' ')
        p++;
    if (!number(&p, &out->from) || *p++ != '-' || !number(&p, &out->to) ||
        *p++ != '/' || out->to < out->from || out->to == UINT64_MAX)
        return false;
    out->to++;
    out->sized = *p != '*';
    out->size = 0;
    if (!out->sized)
        return p[1] == '\0';
    return number(&p, &out->size) && *p == '\0' && out->to <= out->size;
}

bool content_length(const char *text, uint64_t *out)
{
    return number(&text, out) && *text == '\0';
}
