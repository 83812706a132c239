/*
 * gather.h - a strided view of a file as dense row-major elements, read with
 * pread in pieces of bounded size.
 */
#ifndef FORMATS_GATHER_H
#define FORMATS_GATHER_H

#include "formats/checkpoint.h"

/*
 * gather_read - elements first .. first+n-1 of the dense form, as they stand
 * in the file (not swapped)
 * t        has strides, and elements of whole bytes
 * Returns  0, or -1 with *e: CORRUPT, IO, UNSUPPORTED
 * Cost     one read for each run that is contiguous in the file and lies in
 *          the range, or for each 64 KiB where those are near; so ask for as
 *          much at once as there is room for
 * Stack    128 KiB
 */
int gather_read(const struct ckpt_file *f, const struct tensor *t,
    uint64_t first, uint64_t n, void *out, struct err *e);

/* gather_read_plain - the same, one element at a time: what it must equal. */
int gather_read_plain(const struct ckpt_file *f, const struct tensor *t,
    uint64_t first, uint64_t n, void *out, struct err *e);

#endif
