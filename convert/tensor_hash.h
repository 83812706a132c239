/*
 * tensor_hash.h - the digests of the tensors in a file, from the file's bytes
 * as they come by in order. What lies between tensors is passed over.
 */
#ifndef CONVERT_TENSOR_HASH_H
#define CONVERT_TENSOR_HASH_H

#include "base/hash.h"
#include "convert/layout.h"

struct tensor_hash {
    const struct layout *layout;
    struct digest *out; /* of each layout->out[i]; caller's memory */
    uint64_t i;         /* the tensor being hashed */
    struct hash hash;   /* begun when its ctx is set */
};

/*
 * tensor_hash_add - the bytes at .. at+len of the file
 * Every call continues where the last one ended; the first is at 0.
 * Returns  0, or -1 with *e: NOMEM
 */
int tensor_hash_add(struct tensor_hash *h, uint64_t at, const uint8_t *bytes,
    uint64_t len, struct err *e);

/* tensor_hash_free - idempotent. */
void tensor_hash_free(struct tensor_hash *h);

#endif
