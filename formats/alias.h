/*
 * alias.h - tensors that hold the same values under several names, of which
 * a safetensors file can keep one.
 */
#ifndef FORMATS_ALIAS_H
#define FORMATS_ALIAS_H

#include "formats/checkpoint.h"

/*
 * Values are compared for so many heads of a model, and so many embeddings
 * for each of them; an honest one has few. What is beyond is never an alias.
 */
enum { ALIAS_TIES_MAX = 16 };

/* tie_word_embeddings, as the config has it. */
enum tie { TIE_UNSAID, TIE_YES, TIE_NO };

/*
 * alias_find - decide for every chosen tensor of c which one stands for it
 * tie      what the model's config says of the output head
 * out      c->n_tensors entries: NULL when the tensor is kept, otherwise the
 *          kept tensor with its values
 * Two tensors that are the same view of one storage are aliases; a head that
 * the config ties is one when its bytes equal the embedding's. A head that
 * the config unties in so many words is kept whatever it shares: a loader
 * that finds none would make one up. Kept is the embedding, never a head when
 * there is another; else the first name.
 * Returns  0, or -1 with *e: NOMEM, IO, CORRUPT
 * Cost     n log n; reads tensor data only to compare a tied head
 */
int alias_find(const struct checkpoint *c, enum tie tie,
    const struct tensor **out, struct err *e);

/* alias_is_head - called like an output head. */
bool alias_is_head(struct str name);

/*
 * alias_of_head - an embedding with the very values of an output head
 * of       NULL when head is no head by its name, or no bytes are equal
 * Returns  0, or -1 with *e: NOMEM, IO, CORRUPT
 */
int alias_of_head(const struct checkpoint *c, const struct tensor *head,
    const struct tensor **of, struct err *e);

#endif
