/*
 * int8_rows.h - matrices as int8, any piece of their bytes or scales in any
 * order. The scale of a row asks for the whole row: it is remembered where
 * there is room, and found again where there is none.
 */
#ifndef CONVERT_INT8_ROWS_H
#define CONVERT_INT8_ROWS_H

#include <stdatomic.h>

#include "convert/block.h"

/*
 * Scales that are remembered at most: memory is bounded whatever the model.
 * Rows longer than a piece come first, since they are dear to read again.
 */
enum { INT8_ROWS_KEPT = 2 << 20, INT8_PIECE = 16 << 10 };

struct int8_rows {
    /* By layout->from[i] - base: bits of each row's scale, 0 while unknown;
     * NULL: there was no room. */
    _Atomic uint32_t **kept;
    const struct tensor *base; /* the first one of the checkpoint */
};

/*
 * int8_rows_make - p->int8, of every matrix in p that becomes int8
 * Returns  0, or -1 with *e: NOMEM
 * Owns     nothing: all is in the arena of p
 */
int int8_rows_make(struct layout *p, const struct checkpoint *c, struct err *e);

/*
 * int8_rows_fill - elements first .. first+n-1 of output tensor i, a matrix
 * Audited are the values as they read back; what is not finite in the
 * source, or in float32, counts as overflow, and a NaN as NaN.
 * scratch  BLOCK_SCRATCH bytes of the caller's
 * Returns  0, or -1 with *e: IO, CORRUPT
 * Threads  any number at once
 */
int int8_rows_fill(struct block_job *j, uint64_t i, uint64_t first, uint64_t n,
    uint8_t *out, uint8_t *scratch, struct err *e);

/* int8_rows_scales - the same of output tensor i, the scales of a matrix. */
int int8_rows_scales(struct block_job *j, uint64_t i, uint64_t first,
    uint64_t n, uint8_t *out, uint8_t *scratch, struct err *e);

#endif
