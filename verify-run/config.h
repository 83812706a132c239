/*
 * config.h - the numbers of one model, from config.json: sizes, rotary
 * embedding, biases, end tokens. Every number is checked, so code after it
 * multiplies and divides without asking.
 * Source: architectures, sections 3, 4 and 5.
 */
#ifndef VERIFY_RUN_CONFIG_H
#define VERIFY_RUN_CONFIG_H

#include "base/json.h"
#include "verify-run/arch.h"

enum rope_scaling { ROPE_DEFAULT, ROPE_LINEAR, ROPE_LLAMA3 };

struct rope {
    double base;
    double fraction; /* of a head that is rotated */
    uint32_t dims;   /* int(head_dim * fraction), even */
    enum rope_scaling scaling;
    double factor;
    double low_freq_factor;  /* llama3 */
    double high_freq_factor; /* llama3 */
    double original_context; /* llama3 */
};

enum { CONFIG_EOS_MAX = 16 };

struct model_config {
    const struct arch *arch;
    uint32_t vocab; /* rows of the embedding */
    uint32_t dim;   /* hidden size */
    uint32_t layers;
    uint32_t heads;
    uint32_t kv_heads; /* divides heads */
    uint32_t head_dim;
    uint32_t inner;   /* of the MLP */
    uint32_t context; /* positions the model was made for */
    double eps;
    struct rope rope;
    enum activation act;
    enum residual_kind residual;
    bool parallel_residual;
    bool qkv_bias;
    bool o_bias;
    bool mlp_bias;
    bool tied;
    int64_t bos; /* -1: none */
    uint32_t eos[CONFIG_EOS_MAX];
    uint32_t n_eos;
};

/*
 * config_parse - from the parsed text of a config.json
 * guess    the family when there is no model_type, or NULL
 * Returns  0, or -1 with *e: UNSUPPORTED (naming the model_type, the
 *          activation, the rotary scaling), REFUSED (naming the member)
 */
int config_parse(struct model_config *out, const struct json *root,
    const struct arch *guess, struct err *e);

/*
 * config_load - the config of a checkpoint: config.json beside the weights,
 * else one inside the file; end tokens of generation_config.json are added
 * Returns  as config_parse; MISSING when there is no config
 */
int config_load(
    struct model_config *out, const struct checkpoint *c, struct err *e);

/* config_is_eos - does this token end a text? */
bool config_is_eos(const struct model_config *c, uint32_t id);

/*
 * config_shape - the shape of a role's tensor; rank 1 or 2
 * Returns the rank; 0 when the model has no such tensor.
 */
uint32_t config_shape(
    const struct model_config *c, enum role r, bool bias, uint64_t shape[2]);

/* rope_inv_freq - the dims/2 frequencies, scaling applied. */
void rope_inv_freq(const struct rope *r, float *out);

#endif
