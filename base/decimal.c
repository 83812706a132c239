#include "base/decimal.h"

bool decimal_u64(struct str text, uint64_t *out)
{
    uint64_t v = 0;

    if (text.len == 0 || (text.len > 1 && text.p[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] < '0' || text.p[i] > '9' || !size_mul(v, 10, &v) ||
            !size_add(v, (uint64_t)(text.p[i] - '0'), &v))
            return false;
    *out = v;
    return true;
}
