#include "cache/grouping.h"

#include <string.h>

bool grouping_width(uint64_t width)
{
    return width == 2 || width == 4;
}

static size_t copy_rest(
    uint8_t *out, const uint8_t *in, size_t n, unsigned width)
{
    size_t numbers = n / width, whole = numbers * width;

    memcpy(out + whole, in + whole, n - whole);
    return numbers;
}

void grouping_split(uint8_t *out, const uint8_t *in, size_t n, unsigned width)
{
    size_t numbers = copy_rest(out, in, n, width);

    for (unsigned b = 0; b < width; b++)
        for (size_t i = 0; i < numbers; i++)
            out[b * numbers + i] = in[i * width + b];
}

void grouping_join(uint8_t *out, const uint8_t *in, size_t n, unsigned width)
{
    size_t numbers = copy_rest(out, in, n, width);

    for (unsigned b = 0; b < width; b++)
        for (size_t i = 0; i < numbers; i++)
            out[i * width + b] = in[b * numbers + i];
}
