#include "formats/quant_q8.h"

#include <math.h>
#include <string.h>

#include "formats/cast.h"

/* Magnitudes are ordered as their bits are. */
static float largest(const float *v)
{
    uint32_t most = 0;
    float out;

    for (unsigned i = 0; i < Q8_COUNT; i++) {
        uint32_t bits;

        memcpy(&bits, &v[i], sizeof(bits));
        bits &= 0x7FFFFFFF;
        most = bits > most ? bits : most;
    }
    memcpy(&out, &most, sizeof(out));
    return out;
}

/* As roundf(), halves away from zero; for small numbers, and inline. */
static int8_t nearest(float v)
{
    int whole = (int)v;
    float rest = v - (float)whole;

    return (int8_t)(whole + (rest >= 0.5F) - (rest <= -0.5F));
}

void q8_encode(uint8_t *out, const float *in, uint64_t n)
{
    for (; n >= Q8_COUNT; n -= Q8_COUNT, in += Q8_COUNT, out += Q8_BYTES) {
        float step = largest(in) / 127.0F;
        float per = step > 0 ? 1.0F / step : 0;
        uint16_t half = cast_f32_to_f16(step);

        if (!isfinite(per)) /* a step this small is zero in float16 */
            per = 0;
        out[0] = (uint8_t)half;
        out[1] = (uint8_t)(half >> 8);
        for (unsigned i = 0; i < Q8_COUNT; i++)
            out[2 + i] = (uint8_t)nearest(in[i] * per);
    }
}

void q8_decode(float *out, const uint8_t *in, uint64_t n)
{
    for (; n >= Q8_COUNT; n -= Q8_COUNT, in += Q8_BYTES, out += Q8_COUNT) {
        float step = cast_f16_to_f32((uint16_t)(in[0] | in[1] << 8));

        for (unsigned i = 0; i < Q8_COUNT; i++)
            out[i] = step * (float)(int8_t)in[2 + i];
    }
}
