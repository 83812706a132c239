/* ops_internal.h - what ops.c and ops_x86.c share. Stays in this room. */
#ifndef VERIFY_RUN_OPS_INTERNAL_H
#define VERIFY_RUN_OPS_INTERNAL_H

#include "verify-run/ops.h"

/*
 * ops_x86_nth - fast twins this machine can run, slowest first; then NULL.
 * On other machines there are none.
 */
const struct ops *ops_x86_nth(size_t i);

#endif
