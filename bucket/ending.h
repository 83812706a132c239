/*
 * ending.h - what is done to its end, also after an interrupt: what was begun
 * is put right, and what was taken is given back. Requests are sent all the
 * same then.
 */
#ifndef BUCKET_ENDING_H
#define BUCKET_ENDING_H

#include "base/scope.h"
#include "bucket/bucket.h"

struct ending {
    struct scope scope; /* the first, for its functions */
    struct scope *outer;
    struct bucket *b;
    bool was_hurried;
};

/*
 * ending_begin - n must stay where it is until ending_end, in this thread
 * hurry    requests are not tried for long, as after an interrupt, also one
 *          that comes meanwhile: else as ever
 */
void ending_begin(struct ending *n, struct bucket *b, bool hurry);
void ending_end(struct ending *n);

/* ending_check - was there an interrupt, before it or meanwhile? CANCELLED */
int ending_check(struct ending *n, struct err *e);

#endif
