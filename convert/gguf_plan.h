/*
 * gguf_plan.h - the tensors of a GGUF file before a byte of them exists:
 * names, types and shapes, and what each is made from.
 */
#ifndef CONVERT_GGUF_PLAN_H
#define CONVERT_GGUF_PLAN_H

#include "convert/gguf_model.h"
#include "convert/recipe.h"
#include "formats/checkpoint.h"

/* What one tensor of the new file is made from. */
struct gguf_origin {
    const struct tensor **parts; /* one after the other, of one dtype */
    uint32_t n_parts;
    enum gguf_rows order;
    uint32_t heads;     /* of the rows, when they move */
    const float *made;  /* the values themselves, when there are no parts */
    uint64_t row, rows; /* elements of a row, and how many rows */
};

struct gguf_plan {
    struct arena arena;
    struct gguf_tensor *out; /* in file order */
    struct gguf_origin *from;
    uint64_t n;
    uint32_t file_type; /* what general.file_type says */
};

#define GGUF_PLAN_INIT                                                         \
    {                                                                          \
        .n = 0                                                                 \
    }

/*
 * gguf_plan_make - for a checkpoint of the model
 * q8       quantise matrices to Q8_0; else as r->dtype says
 * Returns  0, or -1 with *e: REFUSED (a tensor is missing or has another
 *          shape), UNSUPPORTED (a tensor that has no place in GGUF, or whose
 *          type is no real number), NOMEM
 * Owns     its own memory; borrows tensors from c
 */
int gguf_plan_make(struct gguf_plan *p, const struct checkpoint *c,
    const struct gguf_model *m, const struct recipe *r, bool q8, struct err *e);

void gguf_plan_free(struct gguf_plan *p); /* idempotent, for AUTO */

#endif
