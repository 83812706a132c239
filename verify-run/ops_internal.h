/* ops_internal.h - what the files of ops.h share. Stays in this room. */
#ifndef VERIFY_RUN_OPS_INTERNAL_H
#define VERIFY_RUN_OPS_INTERNAL_H

#include "verify-run/ops.h"

/*
 * ops_x86_nth - fast twins this machine can run, slowest first; then NULL.
 * On other machines there are none.
 */
const struct ops *ops_x86_nth(size_t i);

/* Only to be called where ops_x86_nth gives them out. */
extern const struct ops ops_avx2;
extern const struct ops ops_avx512;
extern const struct ops ops_vnni;
extern const struct ops ops_amx;

/* Bytes of an element; known to the compiler where the type is. */
static inline size_t ops_size(enum dtype t)
{
    return t == DTYPE_F32 ? 4 : 2;
}

#endif
