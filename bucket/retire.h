/*
 * retire.h - an object of a bucket is taken away, and kept under another key.
 *
 * No store deletes under a condition: whatever is there goes. So it is looked
 * at right before that, and what is another one by then stays.
 */
#ifndef BUCKET_RETIRE_H
#define BUCKET_RETIRE_H

#include "bucket/bucket.h"

struct retire {
    struct s3 *s3;
    void (*go_on)(void *arg); /* called while a copy takes its time */
    /* May it go? Asked when the copy is there; 0, or -1 with *e. */
    int (*may)(void *arg, struct err *e);
    void *arg;
    bool left; /* set: a copy of what stays could not be taken away again */
};

/* retire_same - is it what it was, by its date and ETag? */
bool retire_same(const struct s3_info *was, const struct s3_info *now);

/*
 * retire_move - from key to key
 * was      what was seen there; another one stays, and so does what the store
 *          does not let go: there is no copy then
 * moved    may be NULL
 * Returns  0, or -1 with *e: MISSING (it was gone before it was copied), AUTH
 *          ... (it stays), may's. Where nobody knows whether it went the copy
 *          is there.
 */
int retire_move(struct retire *a, const char *key, const char *to,
    const struct s3_info *was, bool *moved, struct err *e);

#endif
