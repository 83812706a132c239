#include "verify-run/pairheap.h"

#include <stdlib.h>

#include "verify-run/grow.h"

void pairheap_free(struct pairheap *h)
{
    free(h->v);
    *h = (struct pairheap)PAIRHEAP_INIT;
}

int pairheap_push(
    struct pairheap *h, uint32_t rank, uint32_t place, struct err *e)
{
    uint64_t *v = grow(h->v, &h->cap, h->n + 1, sizeof(*v), e);
    uint64_t key = (uint64_t)rank << 32 | place;
    size_t i = h->n;

    if (v == NULL)
        return -1;
    h->v = v;
    h->n++;
    for (; i > 0 && v[(i - 1) / 2] > key; i = (i - 1) / 2)
        v[i] = v[(i - 1) / 2];
    v[i] = key;
    return 0;
}

bool pairheap_pop(struct pairheap *h, uint32_t *rank, uint32_t *place)
{
    uint64_t *v = h->v;
    uint64_t key;
    size_t i = 0, child;

    if (h->n == 0)
        return false;
    *rank = (uint32_t)(v[0] >> 32);
    *place = (uint32_t)v[0];
    key = v[--h->n];
    while ((child = 2 * i + 1) < h->n) {
        if (child + 1 < h->n && v[child + 1] < v[child])
            child++;
        if (v[child] >= key)
            break;
        v[i] = v[child];
        i = child;
    }
    v[i] = key;
    return true;
}
