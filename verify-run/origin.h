/*
 * origin.h - where the numbers of a model come from, and which rule said so:
 * config.json beside the weights, a config inside them, else shapes, names
 * and the folder's name (infer.h).
 */
#ifndef VERIFY_RUN_ORIGIN_H
#define VERIFY_RUN_ORIGIN_H

#include "verify-run/infer.h"

/* What the user says, who is believed over every file. */
struct origin_wish {
    const char *arch; /* a family, a model of gpt-fast's table, or NULL */
    uint32_t heads;   /* 0: not said */
};

struct origin {
    char rule[INFER_RULE_MAX]; /* "config.json", "inferred from ..." */
};

/*
 * origin_load - the config of a checkpoint; end tokens of
 * generation_config.json are added
 * Returns  0, or -1 with *e: as config_parse and infer_numbers; MISSING when
 *          nothing tells the numbers; USAGE when wish->arch is no known name;
 *          REFUSED when what the user or a name says contradicts a shape, by
 *          tensor; UNSUPPORTED for gpt-fast's packed int4
 */
int origin_load(struct model_config *out, struct origin *o,
    const struct checkpoint *c, const struct origin_wish *wish, struct err *e);

#endif
