/*
 * torch_numpy.h - NumPy's arrays and numbers inside a pickle: objects that
 * were never made, taken as the tensors and values they stand for.
 */
#ifndef FORMATS_TORCH_NUMPY_H
#define FORMATS_TORCH_NUMPY_H

#include "formats/torch_internal.h"

/* torch_is_array - a NumPy array of numbers, of whatever type. */
bool torch_is_array(const struct node *n);

/*
 * torch_array - a node that torch_is_array, as a tensor without a name
 * held     what was copied into r->keep so far
 * out      alien when its numbers are of a type that is not read
 * Returns  0, or -1 with *e: REFUSED (malformed), NOMEM
 */
int torch_array(const struct torch_reader *r, const struct node *n,
    struct torch_held *held, struct tensor *out, struct err *e);

/* torch_array_shape - the tuple of its sizes, or NULL when n is no array. */
const struct node *torch_array_shape(const struct node *n, enum dtype *dtype);

/* One number as NumPy pickles it. */
struct torch_number {
    enum dtype dtype; /* BOOL, an integer, or F16 F32 F64 */
    uint64_t bits;    /* its bytes, the lowest first */
    double value;     /* of the floating types */
};

/* torch_scalar - numpy's scalar(dtype, bytes); false: it is none. */
bool torch_scalar(const struct node_opaque *o, struct torch_number *out);

#endif
