#include "convert/tensor_hash.h"

/* Finish every tensor that ends at or before at; begin the next one. */
static int turn(struct tensor_hash *h, uint64_t at, struct err *e)
{
    while (h->i < h->layout->n) {
        const struct tensor *t = &h->layout->out[h->i];

        if (t->offset > at)
            return 0;
        if (h->hash.ctx == NULL && hash_begin(&h->hash, HASH_SHA256, 0, e) != 0)
            return -1;
        if (t->offset + tensor_bytes(t) > at)
            return 0;
        hash_end(&h->hash, &h->out[h->i++]);
    }
    return 0;
}

int tensor_hash_add(struct tensor_hash *h, uint64_t at, const uint8_t *bytes,
    uint64_t len, struct err *e)
{
    uint64_t end = at + len;

    for (;;) {
        const struct tensor *t;
        uint64_t stop;

        if (turn(h, at, e) != 0)
            return -1;
        if (at == end || h->i == h->layout->n)
            return 0;
        t = &h->layout->out[h->i];
        stop = t->offset;
        if (stop <= at) {
            stop = size_min(end, t->offset + tensor_bytes(t));
            hash_add(&h->hash, bytes, stop - at);
        }
        stop = size_min(stop, end);
        bytes += stop - at;
        at = stop;
    }
}

void tensor_hash_free(struct tensor_hash *h)
{
    hash_free(&h->hash);
}
