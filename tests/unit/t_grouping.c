/* cache/grouping.h: bytes beside their like, and back as they were. */
#include "cache/grouping.h"

#include <stdlib.h>

#include "tests/unit/tap.h"

static void by_hand(void)
{
    uint8_t out[9], back[9];

    grouping_split(out, (const uint8_t *)"aAbBcCd", 7, 2);
    ok(memcmp(out, "abcABCd", 7) == 0, "by two, and one left");
    grouping_split(out, (const uint8_t *)"abcdABCDx", 9, 4);
    ok(memcmp(out, "aAbBcCdDx", 9) == 0, "by four, and one left");
    grouping_join(back, out, 9, 4);
    ok(memcmp(back, "abcdABCDx", 9) == 0, "and back");
    ok(grouping_width(2) && grouping_width(4), "the widths there are");
    ok(!grouping_width(0) && !grouping_width(1) && !grouping_width(3) &&
            !grouping_width(8) && !grouping_width((1ULL << 32) + 2),
        "and none else");
}

static void every_length(void)
{
    uint8_t in[70], out[70], back[70];
    unsigned wrong = 0, same = 0;

    for (unsigned i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)(i * 37 + 5);
    for (unsigned width = 2; width <= 4; width += 2)
        for (size_t n = 0; n <= sizeof(in); n++) {
            grouping_split(out, in, n, width);
            grouping_join(back, out, n, width);
            wrong += memcmp(back, in, n) != 0;
            same += n >= 2 * width && memcmp(out, in, n) == 0;
        }
    is_int(wrong, 0, "there and back, of every length");
    is_int(same, 0, "and another order between");
}

int main(void)
{
    by_hand();
    every_length();
    return done();
}
