#include "fetch/lockpin.h"

#include <stdio.h>

void lockpin(struct pull *p, const struct lock_entry *l)
{
    p->repo = l->repo;
    p->convert = CONVERSION_NONE;
    conversion_parse(l->convert, &p->convert);
    p->pin_commit = l->commit;
    p->pin_tree = &l->tree;
}

int lockpin_of(struct lock_entry *out, struct pull *p, struct err *e)
{
    out->repo = p->repo;
    snprintf(
        out->convert, sizeof(out->convert), "%s", conversion_name(p->convert));
    memcpy(out->commit, p->commit, sizeof(out->commit));
    plan_by_path(&p->plan);
    out->tree.n = p->plan.n;
    out->tree.files =
        arena_alloc(&p->arena, p->plan.n, sizeof(*out->tree.files), e);
    if (out->tree.files == NULL)
        return -1;
    for (size_t i = 0; i < p->plan.n; i++)
        out->tree.files[i] = *p->plan.files[i].file;
    return 0;
}
