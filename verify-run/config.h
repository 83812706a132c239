/*
 * config.h - the numbers of one model, from config.json: sizes, kinds of
 * parts, positions, biases, end tokens. Every number is checked, so code
 * after it multiplies and divides without asking.
 * Source: architectures, sections 2 to 11.
 */
#ifndef VERIFY_RUN_CONFIG_H
#define VERIFY_RUN_CONFIG_H

#include "verify-run/arch.h"
#include "verify-run/rope.h"

enum {
    CONFIG_COUNT_MAX = 1 << 24, /* keeps products inside 64 bits */
    CONFIG_EOS_MAX = 16,
    CONFIG_LAYERS_MAX = 4096,
    CONFIG_EXPERTS_MAX = 1024,
    CONFIG_PARTS_MAX = 1 << 20, /* tensors a model may have, about */
    /* Bytes of a file: some list every class, or every matrix left alone. */
    CONFIG_TEXT_MAX = 2 << 20
};

struct model_config {
    const struct arch *arch;
    struct arch_kinds kinds;
    uint32_t vocab; /* rows of the embedding */
    uint32_t dim;   /* hidden size */
    uint32_t layers;
    uint32_t heads;
    uint32_t kv_heads; /* divides heads */
    uint32_t head_dim;
    uint32_t inner;           /* of the MLP, of one expert */
    uint32_t inner_ratio;     /* inner is this times dim when it is not given */
    uint32_t inner_multiple;  /* or 8/3 dim, rounded up to a multiple of this */
    uint32_t experts;         /* 0 unless MLP_MOE */
    uint32_t experts_used;    /* for one token */
    uint32_t context;         /* positions the model was made for */
    uint32_t position_offset; /* of row 0 of a learned table */
    double eps;
    enum activation act;
    struct rope rope;
    struct rope local; /* of layers with a window, when has_local */
    bool has_local;
    double alibi_max;       /* of POSITION_ALIBI_MPT */
    double attention_scale; /* of q k */
    double softcap;         /* of the scores; 0: none */
    double clip_qkv;        /* 0: none */
    uint32_t window;        /* keys seen, itself included; 0: all */
    uint32_t window_period; /* n > 0: every n-th layer has no window */
    uint32_t window_from;   /* layers before have none */
    uint8_t windowed[CONFIG_LAYERS_MAX / 8]; /* ask config_window */
    double embed_scale;
    double residual_scale; /* of what a branch adds */
    double logit_scale;
    double logit_softcap; /* 0: none */
    bool qkv_bias;
    bool o_bias;
    bool mlp_bias;
    bool head_bias;
    bool tied;
    int64_t bos; /* -1: none */
    uint32_t eos[CONFIG_EOS_MAX];
    uint32_t n_eos;
};

/* Within this every product of a few numbers is a finite float. */
static inline bool config_sane(double v)
{
    return v >= 1e-12 && v <= 1e12;
}

/*
 * config_begin - the family's defaults, as of an empty config.json; whoever
 * knows the numbers from elsewhere sets them and then calls config_finish
 */
void config_begin(struct model_config *c, const struct arch *a);

/*
 * config_finish - derive what is left out, check it all
 * Returns  0, or -1 with *e: REFUSED, naming what makes no sense
 */
int config_finish(struct model_config *c, struct err *e);

/* config_read - a config.json whose family is known: begin, read, finish. */
int config_read(struct model_config *c, const struct arch *a,
    const struct json *root, struct err *e);

/*
 * config_parse - from the parsed text of a config.json
 * c        the tensors, which tell the family when there is no model_type
 *          and between forms of one family; or NULL
 * Returns  0, or -1 with *e: UNSUPPORTED (naming the model_type, the
 *          activation, the rotary scaling), REFUSED (naming the member)
 */
int config_parse(struct model_config *out, const struct json *root,
    const struct checkpoint *c, struct err *e);

/*
 * config_add_generation - end tokens of a folder's generation_config.json
 * Best effort: a model without that file is complete.
 */
void config_add_generation(struct model_config *c, const char *folder);

/*
 * config_adapt - what the tensors say of the kinds of parts
 * Early models of some families have norms without a bias.
 */
void config_adapt(struct model_config *c, const struct checkpoint *ckpt);

/*
 * config_load - config.json beside the weights, and end tokens of
 * generation_config.json; what stands elsewhere origin_load() finds
 * Returns  as config_parse; MISSING when there is no config.json
 */
int config_load(
    struct model_config *out, const struct checkpoint *c, struct err *e);

/* config_is_eos - does this token end a text? */
bool config_is_eos(const struct model_config *c, uint32_t id);

/* config_window - keys a position of this layer sees; 0: all before it. */
uint32_t config_window(const struct model_config *c, uint32_t layer);

/*
 * config_embed_scale - the factor of embeddings that are stored in this type;
 * a root is a number of that type
 */
float config_embed_scale(const struct model_config *c, enum dtype dtype);

#endif
