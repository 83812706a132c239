/*
 * mend.h - a ref that is damaged, or whose catalog is: it falls back to the
 * last meaning that is whole, as its next move. What is damaged is copied to
 * quarantine/ first.
 */
#ifndef BUCKET_MEND_H
#define BUCKET_MEND_H

#include "bucket/names.h"

struct mended {
    uint64_t number; /* of the catalog that it fell back to */
    int64_t when;    /* it was made, by its writer's clock */
    uint64_t files;
    bool last; /* nothing that came later is known of */
};

/*
 * mend_ref
 * Returns  0; 1: nothing of it is whole, and nothing was changed; -1 with *e:
 *          BUSY (it has moved meanwhile), ...
 */
int mend_ref(
    struct bucket *b, const char *ref, struct mended *out, struct err *e);

#endif
