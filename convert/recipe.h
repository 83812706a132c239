/* recipe.h - what the user wants made of the weights. */
#ifndef CONVERT_RECIPE_H
#define CONVERT_RECIPE_H

#include "formats/dtype.h"

/* What the file with the weights is called. */
#define CONVERT_WEIGHTS "model.safetensors"

enum overflow_policy { OVERFLOW_ERROR, OVERFLOW_CLAMP, OVERFLOW_INF };

enum rename_rule { RENAME_NONE, RENAME_STRIP_PREFIX };

struct recipe {
    enum dtype dtype; /* for every floating tensor; DTYPE_NONE: keep */
    bool int8;        /* matrices become int8, all other floats dtype */
    enum overflow_policy on_overflow;
    const char *select; /* branch of a torch file, or NULL */
    enum rename_rule rename;
    uint64_t shard_size; /* most bytes of data in a file; 0: one file */
};

/* recipe_dtype - "fp16", "int8", "keep", ..: for option and manifest. */
static inline const char *recipe_dtype(const struct recipe *r)
{
    if (r->int8)
        return "int8";
    switch (r->dtype) {
    case DTYPE_F16:
        return "fp16";
    case DTYPE_BF16:
        return "bf16";
    case DTYPE_F32:
        return "fp32";
    default:
        return "keep";
    }
}

static inline const char *recipe_policy(const struct recipe *r)
{
    static const char *const names[] = { "error", "clamp", "inf" };

    return names[r->on_overflow];
}

/* recipe_rename - "strip-prefix", or "" for no rule. */
static inline const char *recipe_rename(const struct recipe *r)
{
    return r->rename == RENAME_STRIP_PREFIX ? "strip-prefix" : "";
}

/* recipe_target - what a tensor of type t becomes; only floats change. */
static inline enum dtype recipe_target(const struct recipe *r, enum dtype t)
{
    return r->dtype != DTYPE_NONE && dtype_is_float(t) ? r->dtype : t;
}

#endif
