/*
 * rope.h - rotary positions: how fast each pair of a head's entries turns.
 * Source: architectures, section 3.
 */
#ifndef VERIFY_RUN_ROPE_H
#define VERIFY_RUN_ROPE_H

#include "base/err.h"
#include "base/json.h"

enum rope_scaling {
    ROPE_DEFAULT,
    ROPE_LINEAR,
    ROPE_LLAMA3,
    ROPE_YARN,
    ROPE_DYNAMIC, /* another base once the run is longer than original */
    ROPE_LONG     /* longrope: two lists of factors, by the run's length */
};

enum { ROPE_FACTORS_MAX = 256 };

struct rope {
    double base;
    double fraction; /* of a head that is rotated; 0: dims is given */
    uint32_t dims;   /* even */
    enum rope_scaling scaling;
    double factor;
    double original_context; /* the length it was trained for */
    double attention_factor; /* cos and sin are multiplied by it */
    double low_freq_factor;  /* llama3 */
    double high_freq_factor; /* llama3 */
    double beta_fast;        /* yarn */
    double beta_slow;        /* yarn */
    bool no_truncate;        /* yarn */
    uint32_t n_factors;      /* longrope, dims/2 */
    float short_factors[ROPE_FACTORS_MAX];
    float long_factors[ROPE_FACTORS_MAX];
};

/*
 * rope_read - what rope_scaling, or rope_parameters of newer files, say
 * v        the object, NULL or a JSON null: nothing
 * Returns  0, or -1 with *e: REFUSED naming the member, UNSUPPORTED
 */
int rope_read(struct rope *r, const struct json *v, struct err *e);

/*
 * rope_finish - what is left out is derived, all of it is checked
 * context  positions of the model; dynamic scaling makes them more
 */
int rope_finish(
    struct rope *r, uint32_t head_dim, uint32_t *context, struct err *e);

/*
 * rope_inv_freq - the dims/2 frequencies, scaling applied
 * length   positions of the whole run, prompt and new tokens: dynamic and
 *          longrope go by it, so that cached keys stay right
 */
void rope_inv_freq(const struct rope *r, uint32_t length, float *out);

#endif
