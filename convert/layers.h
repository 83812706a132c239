/*
 * layers.h - the tensors of a model put into the order and the parts that a
 * person thinks in: embeddings, layer 0, 1, 2 .., the rest. By their names
 * alone; for pictures, never for decisions.
 */
#ifndef CONVERT_LAYERS_H
#define CONVERT_LAYERS_H

#include "convert/layout.h"
#include "formats/audit.h"

enum { LAYERS_MAX = 160 }; /* more are joined with their neighbours */

enum layer_kind {
    KIND_EMBEDDING,
    KIND_ATTENTION,
    KIND_MLP,
    KIND_NORM,
    KIND_HEAD,
    KIND_OTHER,
    KIND_COUNT
};

struct layer {
    struct str name;            /* "model.layers.12", "lm_head" */
    bool numbered;              /* name ends in its number */
    uint64_t bytes[KIND_COUNT]; /* in the new file */
    struct spectrum spectrum;   /* of the values before; filled by others */
};

struct layers {
    struct arena arena;
    struct layer *v;
    uint64_t n;
    const struct tensor **order; /* the layout's tensors, layer by layer */
    uint32_t *of;                /* the layer of each layout->out[i] */
    struct spectrum **spectra;   /* of that layer, for pipeline_run */
};

#define LAYERS_INIT                                                            \
    {                                                                          \
        .n = 0                                                                 \
    }

/* layers_make - 0, or -1 with *e: NOMEM. Borrows names from p. */
int layers_make(struct layers *l, const struct layout *p, struct err *e);

/* layer_kind - what a tensor of this name is for; KIND_OTHER in doubt. */
enum layer_kind layer_kind(struct str name);

/* layers_free - idempotent, for AUTO. */
void layers_free(struct layers *l);

#endif
