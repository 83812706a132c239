#include "s3/stamp.h"

#include <time.h>

/* '0' in a pattern is a digit, all else itself; what is behind it is left. */
static bool fits(struct str text, const char *pattern)
{
    size_t n = strlen(pattern);

    if (text.len < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = text.p[i];

        if (pattern[i] == '0' ? c < '0' || c > '9'
                              : pattern[i] != '?' && pattern[i] != c)
            return false;
    }
    return true;
}

static int number(struct str text, size_t at, size_t digits)
{
    int v = 0;

    for (size_t i = at; i < at + digits; i++)
        v = v * 10 + (text.p[i] - '0');
    return v;
}

static bool seconds(struct tm *tm, int64_t *out)
{
    if (tm->tm_mon < 0 || tm->tm_mon > 11 || tm->tm_mday < 1 ||
        tm->tm_mday > 31 || tm->tm_hour > 23 || tm->tm_min > 59 ||
        tm->tm_sec > 60)
        return false;
    *out = timegm(tm);
    return true;
}

bool stamp_iso(struct str text, int64_t *out)
{
    struct tm tm = { .tm_sec = 0 };
    size_t i = 19;

    if (!fits(text, "0000-00-00T00:00:00"))
        return false;
    if (i < text.len && text.p[i] == '.')
        for (i++; i < text.len && text.p[i] >= '0' && text.p[i] <= '9'; i++)
            ;
    if (i + 1 != text.len || text.p[i] != 'Z')
        return false;
    tm.tm_year = number(text, 0, 4) - 1900;
    tm.tm_mon = number(text, 5, 2) - 1;
    tm.tm_mday = number(text, 8, 2);
    tm.tm_hour = number(text, 11, 2);
    tm.tm_min = number(text, 14, 2);
    tm.tm_sec = number(text, 17, 2);
    return seconds(&tm, out);
}

bool stamp_http(struct str text, int64_t *out)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm = { .tm_mon = -1 };

    if (text.len != 29 || !fits(text, "???, 00 ??? 0000 00:00:00 GMT"))
        return false;
    for (int m = 0; m < 12; m++)
        if (memcmp(months + 3 * m, text.p + 8, 3) == 0)
            tm.tm_mon = m;
    tm.tm_mday = number(text, 5, 2);
    tm.tm_year = number(text, 12, 4) - 1900;
    tm.tm_hour = number(text, 17, 2);
    tm.tm_min = number(text, 20, 2);
    tm.tm_sec = number(text, 23, 2);
    return seconds(&tm, out);
}
