#include "formats/dtype.h"

static const struct {
    const char *name;
    uint8_t bits;
} types[DTYPE_COUNT] = {
    [DTYPE_NONE] = { "none", 0 },
    [DTYPE_BOOL] = { "BOOL", 8 },
    [DTYPE_U8] = { "U8", 8 },
    [DTYPE_I8] = { "I8", 8 },
    [DTYPE_I16] = { "I16", 16 },
    [DTYPE_U16] = { "U16", 16 },
    [DTYPE_F16] = { "F16", 16 },
    [DTYPE_BF16] = { "BF16", 16 },
    [DTYPE_I32] = { "I32", 32 },
    [DTYPE_U32] = { "U32", 32 },
    [DTYPE_F32] = { "F32", 32 },
    [DTYPE_F64] = { "F64", 64 },
    [DTYPE_I64] = { "I64", 64 },
    [DTYPE_U64] = { "U64", 64 },
    [DTYPE_C64] = { "C64", 64 },
    [DTYPE_C128] = { "C128", 128 },
    [DTYPE_F8_E4M3] = { "F8_E4M3", 8 },
    [DTYPE_F8_E5M2] = { "F8_E5M2", 8 },
    [DTYPE_F8_E4M3FNUZ] = { "F8_E4M3FNUZ", 8 },
    [DTYPE_F8_E5M2FNUZ] = { "F8_E5M2FNUZ", 8 },
    [DTYPE_F8_E8M0] = { "F8_E8M0", 8 },
    [DTYPE_F6_E2M3] = { "F6_E2M3", 6 },
    [DTYPE_F6_E3M2] = { "F6_E3M2", 6 },
    [DTYPE_F4] = { "F4", 4 },
};

const char *dtype_name(enum dtype t)
{
    return types[t].name;
}

enum dtype dtype_parse(struct str name)
{
    for (int t = DTYPE_NONE + 1; t < DTYPE_COUNT; t++)
        if (str_is(name, types[t].name))
            return (enum dtype)t;
    return DTYPE_NONE;
}

unsigned dtype_bits(enum dtype t)
{
    return types[t].bits;
}

unsigned dtype_bytes(enum dtype t)
{
    return types[t].bits % 8 == 0 ? types[t].bits / 8u : 0;
}

bool dtype_is_float(enum dtype t)
{
    return t == DTYPE_F64 || t == DTYPE_F32 || t == DTYPE_F16 ||
           t == DTYPE_BF16;
}
