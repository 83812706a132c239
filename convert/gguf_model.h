/*
 * gguf_model.h - the numbers of a config.json that a reader of GGUF asks
 * for. Every one is checked, so code after it multiplies and divides.
 * Source: checkpoint formats, section 11.3; architectures, section 3.
 */
#ifndef CONVERT_GGUF_MODEL_H
#define CONVERT_GGUF_MODEL_H

#include "base/json.h"
#include "convert/gguf_family.h"
#include "formats/gguf.h"

enum gguf_scaling { SCALING_NONE, SCALING_LINEAR, SCALING_LLAMA3 };

struct gguf_model {
    const struct gguf_family *family;
    uint32_t layers, dim, inner, heads, kv_heads, head_dim, context, vocab;
    uint32_t rotated; /* dimensions of a head */
    double eps, rope_base;
    bool parallel, tied, head_norms, attn_bias, mlp_bias;
    enum gguf_scaling scaling;
    double factor, low, high, original; /* of the scaling */
};

/*
 * gguf_model_parse - from the root of a config.json
 * Returns  0, or -1 with *e: UNSUPPORTED (a family, activation or rope
 *          scaling that cannot be said in GGUF), REFUSED (naming the member)
 */
int gguf_model_parse(
    struct gguf_model *out, const struct json *root, struct err *e);

/* gguf_model_size - the number that a size stands for. */
uint64_t gguf_model_size(const struct gguf_model *m, enum gguf_size s);

/* gguf_model_put - its values, in the family's name. */
void gguf_model_put(const struct gguf_model *m, struct gguf_writer *w);

/*
 * gguf_model_rope - factor i of head_dim / 2 that llama3 scaling divides
 * the frequencies by
 */
float gguf_model_rope(const struct gguf_model *m, uint32_t i);

#endif
