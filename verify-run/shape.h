/*
 * shape.h - which tensors a model has, and of what shape, by its config.
 * Source: architectures, sections 4 to 11.
 */
#ifndef VERIFY_RUN_SHAPE_H
#define VERIFY_RUN_SHAPE_H

#include "verify-run/config.h"

/* What surrounds the branches of a layer. */
struct shape_residual {
    bool pre;      /* NORM1, NORM2 before */
    bool post;     /* NORM1_POST, NORM2_POST after */
    bool parallel; /* both branches start from the same x */
    bool shared;   /* both from one norm of it: there is no NORM2 */
};

struct shape_residual shape_residual(enum residual_kind kind);

/* shape_items - tensors of this role in a layer: 1, or heads, or experts. */
uint32_t shape_items(const struct model_config *c, enum role r);

/*
 * shape_of - a role's tensor as y = W x wants it, rows first
 * Returns the rank, 1 or 2; 0 when the model has no such tensor.
 */
uint32_t shape_of(
    const struct model_config *c, enum role r, bool bias, uint64_t shape[2]);

#endif
