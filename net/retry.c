#include "net/retry.h"

#include <ctype.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

struct retry retry_begin(uint64_t limit_s, uint64_t now_ms)
{
    return (struct retry){ .limit_ms = limit_s * 1000, .good_ms = now_ms };
}

void retry_good(struct retry *r, uint64_t now_ms)
{
    r->good_ms = now_ms;
    r->named = 0;
}

bool retry_allowed(
    struct retry *r, uint64_t now_ms, uint64_t *wait_ms, bool named)
{
    uint64_t end = r->good_ms + r->limit_ms;

    if (named && r->limit_ms > 0 && *wait_ms <= RETRY_NAMED_MAX_S * 1000u &&
        r->named < RETRY_NAMED_TIMES) {
        r->named++;
        r->good_ms = now_ms + *wait_ms;
        return true;
    }
    if (now_ms >= end)
        return false;
    if (*wait_ms > end - now_ms) {
        /* A server that wants a longer silence would only say so again. */
        if (named)
            return false;
        *wait_ms = end - now_ms;
    }
    return true;
}

bool retry_status(long status)
{
    return status == 408 || status == 425 || status == 429 ||
           (status >= 500 && status != 501 && status != 505);
}

uint64_t retry_backoff_ms(unsigned attempt, uint32_t dice)
{
    unsigned steps = attempt > 0 ? attempt - 1 : 0;
    uint64_t full = steps >= 4 ? 8000 : 500u << steps;

    return full / 2 + dice % (full / 2 + 1);
}

uint64_t retry_jitter_ms(unsigned attempt, uint32_t dice)
{
    unsigned steps = attempt > 0 ? attempt - 1 : 0;

    return dice % ((steps >= 6 ? 8000 : 200u << steps) + 1);
}

uint32_t retry_dice(void)
{
    uint32_t r;

    if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != (ssize_t)sizeof(r))
        r = (uint32_t)clock_ns();
    return r;
}

/* A number behind "name" and '=', blanks allowed; moves *p behind it. */
static bool number_of(const char **p, char name, uint64_t *out)
{
    const char *s = *p + strspn(*p, " \t;");
    uint64_t v = 0;

    if (*s++ != name)
        return false;
    s += strspn(s, " \t");
    if (*s++ != '=')
        return false;
    s += strspn(s, " \t");
    if (!isdigit((unsigned char)*s))
        return false;
    while (isdigit((unsigned char)*s) && v < 100000000)
        v = v * 10 + (uint64_t)(*s++ - '0');
    *p = s;
    *out = v;
    return true;
}

/* "bucket";r=0;t=163 - one or several, separated by commas. */
static uint64_t rate_limit_s(const char *p)
{
    uint64_t longest = 0;

    while ((p = strchr(p, '"')) != NULL) {
        uint64_t left, seconds;
        const char *end = strchr(p + 1, '"');

        if (end == NULL)
            break;
        p = end + 1;
        if (number_of(&p, 'r', &left) && number_of(&p, 't', &seconds) &&
            left == 0)
            longest = size_max(longest, seconds + 1);
    }
    return longest;
}

static uint64_t retry_after_s(const char *p)
{
    uint64_t v = 0;

    p += strspn(p, " \t");
    if (!isdigit((unsigned char)*p))
        return 0;
    while (isdigit((unsigned char)*p) && v < 100000000)
        v = v * 10 + (uint64_t)(*p++ - '0');
    return p[strspn(p, " \t")] == '\0' ? v + 1 : 0;
}

uint64_t retry_named_s(
    long status, const char *rate_limit, const char *retry_after)
{
    uint64_t s = 0;

    if (status == 429 && rate_limit != NULL)
        s = rate_limit_s(rate_limit);
    if (s == 0 && retry_after != NULL && (status == 429 || status == 503))
        s = retry_after_s(retry_after);
    return s;
}
