/*
 * block.h - one piece of the output file, made from the checkpoint: header
 * bytes, then tensors, each read, cast, audited, and held to the overflow
 * policy.
 */
#ifndef CONVERT_BLOCK_H
#define CONVERT_BLOCK_H

#include <pthread.h>
#include <stdatomic.h>

#include "convert/pipeline.h"

enum {
    BLOCK_BYTES = 1 << 20,    /* of output; a multiple of a page */
    BLOCK_SCRATCH = 256 << 10 /* of input, for casts */
};

struct block_job {
    const struct checkpoint *c;
    const struct layout *layout;
    const struct recipe *recipe;
    pthread_mutex_t lock;      /* holds both of these */
    struct audit *audits;      /* per layout->out */
    struct spectrum **spectra; /* the same, or NULL: not wanted */
    atomic_bool refused;       /* values that forbid the conversion */
};

/*
 * block_tensor - the first tensor with bytes at or after at in the new file
 * Returns layout->n when there is none.
 */
uint64_t block_tensor(const struct layout *layout, uint64_t at);

/*
 * block_clamp - n values at out that a cast of those at in has made infinite
 * become the largest finite ones
 */
void block_clamp(uint8_t *out, enum dtype to, const uint8_t *in,
    enum dtype from, uint64_t n);

/*
 * block_note - add what happened to n values of output tensor i
 * in       the values before, as in the checkpoint
 * Threads  any number at once
 */
void block_note(struct block_job *j, uint64_t i, const struct audit *a,
    const uint8_t *in, uint64_t n);

/*
 * block_fill - bytes at .. at+len of the new file, into out
 * scratch  BLOCK_SCRATCH bytes of the caller's
 * Threads  any number at once, each with its own out and scratch
 */
int block_fill(struct block_job *j, uint64_t at, uint64_t len, uint8_t *out,
    uint8_t *scratch, struct err *e);

#endif
