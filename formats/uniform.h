/*
 * uniform.h - the uniform form: where every tensor goes, and whether a file
 * keeps the promises. ml-safetensors(5) is the normative text.
 *
 * Version 1: the data region starts at a multiple of 4096 (the header is
 * padded with spaces); tensors whose size is a multiple of 4096 come first,
 * by name; the others follow by falling element size, then by name. Names
 * compare as bytes. __metadata__ is {"format":"pt","ml-safetensors":"1"}.
 * The header is compact JSON, __metadata__ first, tensors in data order.
 */
#ifndef FORMATS_UNIFORM_H
#define FORMATS_UNIFORM_H

#include "base/buf.h"
#include "formats/safetensors.h"

#define UNIFORM_VERSION "1"
enum { UNIFORM_ALIGN = 4096 };

/*
 * uniform_layout - order tensors and give each its offset
 * tensors  name, dtype, shape, rank, n are read; the array is reordered, and
 *          offset becomes the offset from the start of the file
 * header   gets the bytes in front of the data region, length prefix included
 * Returns  0, or -1 with *e: REFUSED (overflow, name not UTF-8), NOMEM
 */
int uniform_layout(struct tensor *tensors, uint64_t n, struct buf *header,
    uint64_t *file_size, struct err *e);

/* uniform_order - below 0 when a comes first, above when b does. */
int uniform_order(const struct tensor *a, const struct tensor *b);

/*
 * uniform_check - does a parsed file keep every promise about its layout?
 * bytes    the header as it stands in the file, data_at bytes
 * Returns  0, or -1 with *e: VERDICT, naming the promise and the tensor
 */
int uniform_check(
    const struct safetensors *st, const void *bytes, struct err *e);

#endif
