/*
 * rename.h - names without what training wrapped around them: DataParallel,
 * torch.compile, Fabric, FSDP, activation checkpoints.
 * Source: checkpoint formats, section 7.
 */
#ifndef CONVERT_RENAME_H
#define CONVERT_RENAME_H

#include "convert/recipe.h"
#include "formats/checkpoint.h"
#include "formats/manifest.h"

struct renames {
    struct arena arena;
    struct manifest_rename *v; /* by the new name; those that changed */
    uint64_t n;
};

#define RENAMES_INIT                                                           \
    {                                                                          \
        .n = 0                                                                 \
    }

/*
 * renames_apply - give the chosen tensors of c the names that the rule says
 * RENAME_STRIP_PREFIX removes "_fsdp_wrapped_module." and
 * "_checkpoint_wrapped_module." wherever they stand, then "module.",
 * "_orig_mod." and "_forward_module." in front, as often as every name has
 * one. Never "model.", which is a wrapper in one file and a name in another.
 * Returns  0 with c->tensors sorted again, or -1 with *e: REFUSED (two
 *          tensors would have one name), NOMEM
 * Owns     the new names; c must not outlive out
 */
int renames_apply(struct renames *out, struct checkpoint *c,
    enum rename_rule rule, struct err *e);

/* renames_free - idempotent, for AUTO. */
void renames_free(struct renames *r);

#endif
