/*
 * refusal.h - what a store's refusal means to a person, and what to do.
 */
#ifndef S3_REFUSAL_H
#define S3_REFUSAL_H

#include "s3/answer.h"

/* What was asked, and what came. */
struct refusal {
    const char *what; /* "s3://bucket/key", to begin the message with */
    const char *endpoint;
    const char *region; /* that was signed for */
    const struct s3_site *site;
    long status;
    const struct answer_error *said;
    bool clock_told; /* the store's clock was taken already */
    bool writes;     /* a key, a part, a deletion */
};

/* refusal_err - into *e, with a hint. Returns -1. */
int refusal_err(const struct refusal *r, struct err *e);

#endif
