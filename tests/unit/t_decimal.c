/* Numbers in our own files: one way to write each, or none. */
#include "base/decimal.h"

#include "tests/unit/tap.h"

static void reads(const char *text, uint64_t is)
{
    uint64_t v = 7;

    ok(decimal_u64(str_of(text), &v) && v == is, "%s", text);
}

static void refuses(const char *text)
{
    uint64_t v = 7;

    ok(!decimal_u64(str_of(text), &v) && v == 7, "%s", text);
}

int main(void)
{
    reads("0", 0);
    reads("10", 10);
    reads("18446744073709551615", UINT64_MAX);
    refuses("18446744073709551616");
    refuses("184467440737095516150");
    refuses("");
    refuses("00");
    refuses("01");
    refuses("+1");
    refuses("-1");
    refuses(" 1");
    refuses("1 ");
    refuses("0x1");
    return done();
}
