/* tip_internal.h - keys of refs: of tip.c and tip_salvage.c. */
#ifndef BUCKET_TIP_INTERNAL_H
#define BUCKET_TIP_INTERNAL_H

#include "bucket/tip.h"

enum { TIP_TEXT_MAX = 1024 };

/* tip_key - "<prefix>v1/refs/<name>/" and a tail. */
int tip_key(const struct bucket *b, char *out, const char *name,
    const char *tail, struct err *e);

/* tip_order - of sides: the older first, by the store's clock. */
int tip_order(const void *a, const void *b);

/* tip_lineage - all there are of one ref, sorted; before_s: of lineage_sort. */
int tip_lineage(struct bucket *b, const char *name, int64_t before_s,
    struct lineage *out, struct err *e);

#endif
