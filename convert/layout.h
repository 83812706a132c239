/*
 * layout.h - everything about the output that can be known before a byte of it
 * exists: which tensors, in which type, where, and what is left out.
 */
#ifndef CONVERT_LAYOUT_H
#define CONVERT_LAYOUT_H

#include "base/buf.h"
#include "convert/recipe.h"
#include "formats/alias.h"
#include "formats/checkpoint.h"
#include "formats/manifest.h"

struct int8_rows;

struct layout {
    struct arena arena;
    struct tensor *out;         /* in file order; offset is in the new file */
    const struct tensor **from; /* from[i] becomes out[i] */
    struct int8_rows *int8;     /* of quantised matrices; NULL: none */
    uint64_t n;
    struct manifest_alias *aliases; /* by name */
    uint64_t n_aliases;
    struct buf header;  /* the bytes before the data region */
    uint64_t file_size; /* of the file they make [bytes] */
    /*
     * Another format: there is no out, and all behind the header is made by
     * fill(fill_from, at, len, ..), as block_fill() makes it here.
     */
    int (*fill)(const void *from, uint64_t at, uint64_t len, uint8_t *out,
        uint8_t *scratch, struct err *e);
    const void *fill_from;
};

#define LAYOUT_INIT                                                            \
    {                                                                          \
        .n = 0                                                                 \
    }

/* How the bytes of out[i] are made. */
enum made_by {
    MADE_CAST,  /* from[i], in another type or the same */
    MADE_INT8,  /* the bytes of a matrix */
    MADE_SCALES /* a number for each row of the matrix from[i] */
};

enum made_by layout_made(const struct layout *p, uint64_t i);

/*
 * layout_make - from an open checkpoint
 * tie      what the config says of the output head (alias.h)
 * Returns  0, or -1 with *e: REFUSED (a name or type that safetensors cannot
 *          hold, no tensors, an expanded tensor far larger than the input;
 *          for int8, a matrix that is I8 already, a name that scales need),
 *          UNSUPPORTED (a tensor without data, quantised where dtypes are
 *          kept, complex double), NOMEM, IO, CORRUPT
 * Owns     its own memory; borrows names and shapes from c
 */
int layout_make(struct layout *p, const struct checkpoint *c,
    const struct recipe *r, enum tie tie, struct err *e);

/* layout_free - idempotent, for AUTO. */
void layout_free(struct layout *p);

#endif
