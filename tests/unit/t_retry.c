#include "net/retry.h"

#include "net/content_range.h"
#include "tests/unit/tap.h"

static void named(
    long status, const char *limit, const char *after, long long want)
{
    is_int((long long)retry_named_s(status, limit, after), want,
        limit != NULL   ? limit
        : after != NULL ? after
                        : "(nothing)");
}

static void waits(void)
{
    named(429, "\"resolvers\";r=0;t=163", NULL, 164);
    named(429, "\"api\"; r = 0 ; t = 7", NULL, 8);
    named(429, "\"api\";r=485;t=163", NULL, 0);
    named(429, "\"api\";r=485;t=163, \"resolvers\";r=0;t=9", NULL, 10);
    named(429, "\"api\";r=0;t=1", "100", 2);
    named(429, "\"api\";r=4;t=1", "100", 101);
    named(429, NULL, "0", 1);
    named(429, NULL, " 12 ", 13);
    named(429, NULL, "Fri, 20 Nov 2026 10:00:00 GMT", 0);
    named(429, NULL, "-5", 0);
    named(429, NULL, "1.5", 0);
    named(429, NULL, NULL, 0);
    named(503, NULL, "3", 4);
    named(200, "\"api\";r=0;t=163", NULL, 0);
    named(429, "\"api", NULL, 0);
    named(429, "\"api\";r=;t=3", NULL, 0);
    named(429, "\"api\";r=0", NULL, 0);
    named(429, "", "", 0);
    named(429, "\"api\";r=0;t=99999999999999999999", NULL, 999999999 + 1);
}

static void backoff(void)
{
    bool good = true;

    for (unsigned i = 0; i < 40; i++) {
        uint64_t full = i <= 1 ? 500 : i > 5 ? 8000 : 500u << (i - 1);

        good = good && retry_backoff_ms(i, 0) == full / 2;
        for (uint32_t dice = 1; dice < 0xF0000000u; dice += 0x1234567u)
            good = good && retry_backoff_ms(i, dice) >= full / 2 &&
                   retry_backoff_ms(i, dice) <= full;
    }
    ok(good, "between half and all of 0.5, 1, 2, 4, 8, 8 ... s");
    ok(retry_dice() != retry_dice() || retry_dice() != retry_dice(),
        "dice differ");
}

static void statuses(void)
{
    static const long yes[] = { 408, 425, 429, 500, 502, 503, 504, 520 };
    static const long no[] = { 200, 301, 400, 401, 403, 404, 416, 501 };

    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        ok(retry_status(yes[i]), "%ld may pass", yes[i]);
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        ok(!retry_status(no[i]), "%ld does not pass", no[i]);
}

static bool may(struct retry *r, uint64_t now, uint64_t wait, bool is_named)
{
    return retry_allowed(r, now, &wait, is_named);
}

static void the_end(void)
{
    struct retry r = retry_begin(60, 1000);
    uint64_t wait = 8000;

    ok(may(&r, 1000, 500, false), "at first");
    ok(retry_allowed(&r, 56000, &wait, false) && wait == 5000,
        "the last wait is cut to the time that is left");
    ok(!may(&r, 61000, 1, false), "a minute without a byte is the end");
    retry_good(&r, 61000);
    ok(may(&r, 61000, 500, false), "a byte starts the clock again");
    for (unsigned i = 0; i < RETRY_NAMED_TIMES; i++)
        ok(may(&r, 61000 + i * 300000, 300000, true),
            "a named wait may be longer than the time, %u", i);
    ok(!may(&r, 61000 + 5 * 300000, 300000, true), "but not for ever");
    retry_good(&r, 0);
    ok(!may(&r, 1, 601000, true), "and not ten minutes at once");
    r = retry_begin(0, 1000);
    ok(!may(&r, 1000, 1, false) && !may(&r, 1000, 1, true),
        "no time: no second attempt");
}

static void range(const char *text, bool want, uint64_t from, uint64_t to)
{
    struct content_range r;
    bool good = content_range(text, &r);

    ok(good == want && (!good || (r.from == from && r.to == to)), "'%s'", text);
}

static void content_ranges(void)
{
    uint64_t n;

    range("bytes 0-99/1000", true, 0, 100);
    range("bytes 5-5/6", true, 5, 6);
    range("BYTES 0-0/*", true, 0, 1);
    range("bytes 0-99/99", false, 0, 0);
    range("bytes 5-4/10", false, 0, 0);
    range("bytes */10", false, 0, 0);
    range("bytes 0-99", false, 0, 0);
    range("bytes 0-99/1000x", false, 0, 0);
    range("bytes 0-99/*x", false, 0, 0);
    range("items 0-99/1000", false, 0, 0);
    range("bytes -1-5/10", false, 0, 0);
    range("bytes 0-18446744073709551615/1", false, 0, 0);
    range("bytes 0-99999999999999999999/1", false, 0, 0);
    range("", false, 0, 0);
    ok(content_length("12", &n) && n == 12 && !content_length("", &n) &&
            !content_length("1x", &n) && !content_length("-1", &n),
        "content lengths");
}

int main(void)
{
    waits();
    backoff();
    statuses();
    the_end();
    content_ranges();
    return done();
}
