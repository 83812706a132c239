#include "verify-run/culprit.h"

#include "verify-run/ops.h"

enum { STEP = 4096 }; /* values widened at a time */

static bool is_finite(const struct weight *w)
{
    float some[STEP];
    uint64_t n = w->rows * w->cols;

    if (w->scales != NULL)
        return ops_finite(w->scales, w->rows);
    for (uint64_t at = 0; at < n; at += STEP) {
        size_t take = size_min(STEP, n - at);

        ops_widen(some, (const uint8_t *)w->data + at * dtype_bytes(w->dtype),
            w->dtype, take);
        if (!ops_finite(some, take))
            return false;
    }
    return true;
}

/* What is bound as a part lies in a tensor of another role. */
static enum role stored_as(const struct arch *a, enum role r)
{
    if (a->names[r] != NULL)
        return r;
    return r == ROLE_GATE || r == ROLE_UP ? ROLE_GATE_UP : ROLE_QKV;
}

static bool holds_it(
    const struct model_config *c, const struct weights *w, struct arch_part *p)
{
    const struct weight *v;

    v = weights_item(w, p->layer, p->role, p->item, p->bias);
    if (v->data == NULL || is_finite(v))
        return false;
    p->role = stored_as(c->arch, p->role);
    return true;
}

/* One role's tensors, of a layer or those that exist once. */
static bool find_in(
    const struct model_config *c, const struct weights *w, struct arch_part *p)
{
    enum role r = p->role;
    uint32_t items = shape_items(c, r);

    for (p->item = 0; p->item < items; p->item++) {
        for (int bias = 0; bias < 2; bias++) {
            p->bias = bias;
            if (holds_it(c, w, p))
                return true;
        }
    }
    return false;
}

bool culprit_find(const struct model_config *c, const struct weights *w,
    const struct backend_fault *f, char name[ARCH_NAME_MAX])
{
    bool inside = role_in_layer(f->role);

    for (int r = 0; r < ROLE_COUNT; r++) {
        struct arch_part p = { .role = r, .layer = inside ? f->layer : 0 };

        if (role_in_layer(r) == inside && find_in(c, w, &p))
            return arch_tensor(c->arch, p, name);
    }
    return false;
}
