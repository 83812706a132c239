/* ids.h - a growing list of token ids. */
#ifndef VERIFY_RUN_IDS_H
#define VERIFY_RUN_IDS_H

#include "base/err.h"

struct ids {
    uint32_t *v;
    size_t n;
    size_t cap;
};

#define IDS_INIT                                                               \
    {                                                                          \
        .v = NULL                                                              \
    }

void ids_free(struct ids *ids);
int ids_add(struct ids *ids, uint32_t id, struct err *e);

/* ids_add_all - append what another list has. */
int ids_add_all(struct ids *ids, const struct ids *more, struct err *e);

#endif
