/*
 * detect.h - what a file is, from its bytes, never from its name.
 * Source: checkpoint formats, section 1.
 */
#ifndef FORMATS_DETECT_H
#define FORMATS_DETECT_H

#include "base/err.h"

enum file_format {
    FORMAT_UNKNOWN,
    FORMAT_SAFETENSORS,
    FORMAT_TORCH_ZIP,
    FORMAT_TORCH_LEGACY,
    FORMAT_NPZ,    /* a zip archive that begins with an array */
    FORMAT_NPY,    /* one array */
    FORMAT_PICKLE, /* a bare pickle: data, NumPy arrays */
    FORMAT_JSON    /* perhaps an index */
};

/* As far as the first header of a zip archive and its name may go [bytes]. */
enum { DETECT_HEAD = 30 + 4096 };

/*
 * detect_format - look at the first bytes
 * head, len  the first bytes of the file, DETECT_HEAD or all there are
 * size       of the whole file [bytes]
 * Returns    the format; FORMAT_UNKNOWN with *e: REFUSED, saying in words
 *            what the file is instead (a Git LFS pointer with its oid and
 *            size, an HTML page, a gzip archive, GGUF, HDF5, empty, ...)
 */
enum file_format detect_format(
    const void *head, uint64_t len, uint64_t size, struct err *e);

#endif
