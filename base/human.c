#include "base/human.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

char *human_size(char out[HUMAN_MAX], uint64_t bytes)
{
    static const char *const unit[] = { "B", "kB", "MB", "GB", "TB", "PB" };
    double v = (double)bytes;
    size_t u = 0;
    int digits;

    /* 999.5 would print as "1000": step up before rounding does. */
    while (v >= 999.5 && u + 1 < ARRAY_LEN(unit)) {
        v /= 1000;
        u++;
    }
    if (u == 0) {
        snprintf(out, HUMAN_MAX, "%llu B", (unsigned long long)bytes);
        return out;
    }
    digits = v < 9.995 ? 2 : v < 99.95 ? 1 : 0;
    snprintf(out, HUMAN_MAX, "%.*f %s", digits, v, unit[u]);
    return out;
}

char *human_time(char out[HUMAN_MAX], double seconds)
{
    uint64_t s = seconds > 0 && seconds < 1e15 ? (uint64_t)(seconds + 0.5) : 0;

    if (seconds < 9.95)
        snprintf(out, HUMAN_MAX, "%.1f s", seconds > 0 ? seconds : 0);
    else if (s < 60)
        snprintf(out, HUMAN_MAX, "%llu s", (unsigned long long)s);
    else if (s < 3600)
        snprintf(out, HUMAN_MAX, "%llu:%02llu", (unsigned long long)s / 60,
            (unsigned long long)s % 60);
    else
        snprintf(out, HUMAN_MAX, "%llu:%02llu:%02llu",
            (unsigned long long)s / 3600, (unsigned long long)s / 60 % 60,
            (unsigned long long)s % 60);
    return out;
}

char *human_count(char out[HUMAN_MAX], uint64_t n)
{
    char raw[HUMAN_MAX];
    int len = snprintf(raw, sizeof(raw), "%llu", (unsigned long long)n);
    char *p = out;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *p++ = ',';
        *p++ = raw[i];
    }
    *p = '\0';
    return out;
}

static bool unit_factor(const char *text, double *out)
{
    static const char letters[] = "kmgtp";
    const char *at;
    double base = 1000, f = 1;

    if (*text == '\0' || strcasecmp(text, "b") == 0) {
        *out = 1;
        return true;
    }
    at = strchr(letters, tolower((unsigned char)*text));
    if (at == NULL)
        return false;
    text++;
    if (tolower((unsigned char)*text) == 'i') {
        base = 1024;
        text++;
    }
    if (*text != '\0' && strcasecmp(text, "b") != 0)
        return false;
    for (const char *p = letters; p <= at; p++)
        f *= base;
    *out = f;
    return true;
}

bool human_parse_size(const char *text, uint64_t *out)
{
    char *end;
    double v, f;

    if (!isdigit((unsigned char)*text) || strncasecmp(text, "0x", 2) == 0)
        return false;
    errno = 0;
    v = strtod(text, &end);
    while (*end == ' ')
        end++;
    if (errno != 0 || !unit_factor(end, &f) || !(v * f < 9e18))
        return false;
    *out = (uint64_t)(v * f + 0.5);
    return true;
}

char *human_date(char out[HUMAN_MAX], int64_t when)
{
    time_t t = (time_t)when;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL ||
        strftime(out, HUMAN_MAX, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        snprintf(out, HUMAN_MAX, "%lld", (long long)when);
    return out;
}
