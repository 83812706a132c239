#include "verify-run/grow.h"

#include <stdlib.h>

void *grow(void *p, size_t *cap, size_t need, size_t size, struct err *e)
{
    uint64_t want = *cap, bytes = 0;
    void *q = NULL;

    if (p != NULL && need <= *cap)
        return p;
    want = size_max(size_max(want + want / 2, need), 16);
    if (size_mul(want, size, &bytes))
        q = realloc(p, bytes);
    if (q == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        return NULL;
    }
    *cap = want;
    return q;
}
