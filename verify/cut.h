/*
 * cut.h - the weights of a folder that mlconvert made, over all of its
 * files: their names, where one ends and the next begins, their index, and
 * the order in which the manifest tells their tensors. ml-safetensors(5),
 * Shards, is the normative text.
 */
#ifndef VERIFY_CUT_H
#define VERIFY_CUT_H

#include "formats/manifest.h"
#include "verify/wfile.h"

/*
 * cut_check - weights are the files of a folder, each known to be in the
 * uniform form by itself, sorted by name; m as it was read
 * Returns 0, or -1 with *e: NOMEM
 */
int cut_check(const struct manifest *m, const struct filelist *l,
    const struct wfile *weights, size_t n, struct findings *report,
    struct err *e);

#endif
