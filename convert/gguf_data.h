/*
 * gguf_data.h - the data region of a GGUF file, any piece of it in any
 * order: rows are moved, numbers cast or quantised, gaps are zero.
 */
#ifndef CONVERT_GGUF_DATA_H
#define CONVERT_GGUF_DATA_H

#include "convert/gguf_plan.h"

struct gguf_data {
    const struct checkpoint *c;
    const struct gguf_plan *plan; /* with offsets */
    const struct recipe *recipe;
};

/*
 * gguf_data_fill - bytes at .. at+len of the new file, into out
 * data     a struct gguf_data; at lies behind the header
 * scratch  BLOCK_SCRATCH bytes of the caller's
 * Returns  0, or -1 with *e: VERDICT (values beyond the range of the target,
 *          naming the tensor), IO, CORRUPT
 * Threads  any number at once, each with its own out and scratch
 */
int gguf_data_fill(const void *data, uint64_t at, uint64_t len, uint8_t *out,
    uint8_t *scratch, struct err *e);

#endif
