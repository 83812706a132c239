#include "verify-run/ids.h"

#include <stdlib.h>

#include "verify-run/grow.h"

void ids_free(struct ids *ids)
{
    free(ids->v);
    *ids = (struct ids)IDS_INIT;
}

int ids_add(struct ids *ids, uint32_t id, struct err *e)
{
    uint32_t *v = grow(ids->v, &ids->cap, ids->n + 1, sizeof(*v), e);

    if (v == NULL)
        return -1;
    ids->v = v;
    v[ids->n++] = id;
    return 0;
}

int ids_add_all(struct ids *ids, const struct ids *more, struct err *e)
{
    for (size_t i = 0; i < more->n; i++)
        if (ids_add(ids, more->v[i], e) != 0)
            return -1;
    return 0;
}
