/*
 * diff.h - are two models the same? Tensor by tensor, whatever holds them:
 * containers, shards and dtypes may differ.
 *
 * Tensors of one dtype are compared byte for byte. Of two floating types the
 * wider one is cast to the narrower first (cast.h), and what remains
 * different is measured there; BF16 and F16 are the same when the cast of
 * either one is the other. An int8 matrix with its scales (quant_int8.h)
 * stands for the float32 numbers that it reads back as: against a floating
 * type those are measured, and its scales are no tensor of their own.
 * A tensor that one
 * side leaves out because it holds the values of another one is compared
 * with that one: what the manifest lists as an alias, another name of the
 * same storage, an output head equal to the embedding.
 */
#ifndef VERIFY_DIFF_H
#define VERIFY_DIFF_H

#include "base/pool.h"
#include "base/progress.h"
#include "formats/checkpoint.h"

enum diff_result {
    DIFF_EQUAL,  /* the same bytes */
    DIFF_CAST,   /* the same after the cast to .dtype */
    DIFF_VALUES, /* some elements differ */
    DIFF_SHAPE,
    DIFF_DTYPE,   /* two types of which neither can become the other */
    DIFF_NO_DATA, /* one side has a shape and no values */
    DIFF_MISSING, /* in the first model only */
    DIFF_EXTRA,   /* in the second one only */
    DIFF_RESULTS
};

/* The largest difference of one kind. */
struct diff_most {
    double by;
    uint64_t at; /* element, in row-major order */
    double a, b; /* its values */
};

struct diff_tensor {
    struct str name;
    const struct tensor *a; /* NULL: EXTRA */
    const struct tensor *b; /* NULL: MISSING */
    struct str stands_for;  /* whose values were compared instead, or "" */
    const struct tensor *scales[2]; /* of an int8 side read as numbers */
    enum diff_result result;
    enum dtype dtype; /* in which they were compared */
    uint64_t n;       /* elements whose bits differ */
    uint64_t first;   /* the first of them */
    /*
     * Only for types with values that can be measured (floats, integers).
     * A NaN against a number is infinitely far from it.
     */
    bool measured;
    struct diff_most absolute;
    struct diff_most relative; /* |a - b| / max(|a|, |b|) */
};

struct diff {
    struct checkpoint a, b;
    struct arena arena;
    struct diff_tensor *tensors; /* sorted by name */
    uint64_t n;
    uint64_t counts[DIFF_RESULTS];
};

#define DIFF_INIT                                                              \
    {                                                                          \
        .a = CHECKPOINT_INIT, .b = CHECKPOINT_INIT,                            \
        .arena = ARENA_INIT((uint64_t)1 << 30)                                 \
    }

void diff_close(struct diff *d);

/*
 * diff_open - read the tables of both models and pair their tensors
 * Returns  0, or -1 with *e: as checkpoint_open; REFUSED (a manifest that
 *          cannot be read)
 */
int diff_open(struct diff *d, const char *a, const char *b, struct err *e);

/*
 * diff_run - compare the values, on all threads of the pool
 * Returns  0 with all results set; -1 with *e: CANCELLED, NOMEM, IO, CORRUPT
 * Cost     reads both models once; 0.75 MiB of memory per thread
 */
int diff_run(
    struct diff *d, struct pool *pool, enum progress_mode mode, struct err *e);

/* diff_same - nothing differs, byte for byte or after casts. */
bool diff_same(const struct diff *d);

/* "equal", "cast", "values", "shape", "dtype", "no data", ... */
const char *diff_result_name(enum diff_result result);

#endif
