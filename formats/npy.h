/*
 * npy.h - one NumPy array as np.save writes it: a magic number, a header
 * that is the text of a Python dict, then the elements. The text is read as
 * data by a parser of its own that knows nothing but these three keys.
 * Pure: bytes in, a view out.
 */
#ifndef FORMATS_NPY_H
#define FORMATS_NPY_H

#include "base/arena.h"
#include "formats/tensor.h"

/* The longest header NumPy itself reads without being told to [bytes]. */
enum { NPY_HEADER_MAX = 10000, NPY_DESCR_MAX = 64 };

/* What a dtype's text means: "<f4". */
struct npy_dtype {
    enum dtype dtype; /* DTYPE_NONE: none that is read here */
    bool big_endian;
    bool objects; /* 'O': pickles, not numbers */
};

struct npy {
    struct npy_dtype type;
    uint32_t rank;
    const uint64_t *shape;  /* in the arena */
    const uint64_t *stride; /* [elements]; NULL: dense row-major */
    uint64_t n;             /* elements */
    uint64_t data_at;       /* behind the header [bytes] */
    uint64_t data_len;      /* of the elements [bytes] */
};

/* npy_is - the magic number stands at the front. */
bool npy_is(const void *bytes, uint64_t len);

/*
 * npy_dtype_of - an order sign ('<', '>', '=', '|' or none), a letter, a size
 * '=' and no sign mean this machine's order, as in NumPy.
 */
struct npy_dtype npy_dtype_of(struct str descr);

/*
 * npy_parse - read the header
 * bytes    the array from its magic number to the end of its file or record
 * Returns  0, or -1 with *e: REFUSED (malformed, or bytes behind the array),
 *          UNSUPPORTED (a dtype that is not read, by name), CORRUPT (fewer
 *          bytes than the shape says), NOMEM
 */
int npy_parse(const void *bytes, uint64_t len, struct arena *arena,
    struct npy *out, struct err *e);

/*
 * npy_body - where the elements begin, for whoever does not want the header
 * Returns  false when the header is not whole, or its version unknown
 */
bool npy_body(const void *bytes, uint64_t len, uint64_t *at);

/*
 * npy_strides - the steps of a column-major array [elements]
 * Returns  0 with *out NULL where row-major says the same, or -1 with *e
 */
int npy_strides(const uint64_t *shape, uint32_t rank, uint64_t n,
    struct arena *arena, const uint64_t **out, struct err *e);

#endif
