/*
 * npz.h - NumPy's files as tables of tensors: a .npz archive (a zip of
 * arrays) and a single .npy file.
 */
#ifndef FORMATS_NPZ_H
#define FORMATS_NPZ_H

#include "base/arena.h"
#include "formats/tensor.h"

struct npz {
    struct tensor *tensors; /* sorted by the names of their entries */
    uint64_t n;
};

/*
 * npz_parse - the arrays of an archive, each under its entry's name without
 * ".npy"
 * Every entry must be an array and stored as it is: what is compressed
 * cannot be read from the middle, and is refused.
 * Returns  0, or -1 with *e: as npy_parse and zip_read; UNSUPPORTED also for
 *          a compressed entry
 */
int npz_parse(const void *bytes, uint64_t len, struct arena *arena,
    struct npz *out, struct err *e);

/* npy_table - one array, which is called "tensor". */
int npy_table(const void *bytes, uint64_t len, struct arena *arena,
    struct npz *out, struct err *e);

#endif
