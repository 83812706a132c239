/*
 * dtype.h - element types: names, sizes, and the value of an element.
 *
 * The names are those of safetensors; torch's and numpy's are mapped to them
 * by the readers. Source: checkpoint formats, sections 4.1 and 10.2.
 */
#ifndef FORMATS_DTYPE_H
#define FORMATS_DTYPE_H

#include "base/str.h"

enum dtype {
    DTYPE_NONE,
    DTYPE_BOOL,
    DTYPE_U8,
    DTYPE_I8,
    DTYPE_I16,
    DTYPE_U16,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_I32,
    DTYPE_U32,
    DTYPE_F32,
    DTYPE_F64,
    DTYPE_I64,
    DTYPE_U64,
    DTYPE_C64,
    DTYPE_C128,
    DTYPE_F8_E4M3,
    DTYPE_F8_E5M2,
    DTYPE_F8_E4M3FNUZ,
    DTYPE_F8_E5M2FNUZ,
    DTYPE_F8_E8M0,
    DTYPE_F6_E2M3,
    DTYPE_F6_E3M2,
    DTYPE_F4,
    DTYPE_COUNT
};

/* "F16", "C128"; "none" for DTYPE_NONE. */
const char *dtype_name(enum dtype t);

/* dtype_parse - exact safetensors name; DTYPE_NONE when unknown. */
enum dtype dtype_parse(struct str name);

/* Bits of one element: 8, 16, ... and 4 or 6 for the packed ones. */
unsigned dtype_bits(enum dtype t);

/* Whole bytes of one element; 0 for the packed ones. */
unsigned dtype_bytes(enum dtype t);

/* A real floating type that a cast may read: F64 F32 F16 BF16. */
bool dtype_is_float(enum dtype t);

#endif
