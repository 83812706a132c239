/*
 * Tensors of kinds whose elements are not read: sparse, packed below a byte,
 * marked as conjugated, of a type nobody here knows. They are listed with
 * what the pickle says of them, and refused by name where values are wanted.
 */
#include "formats/torch_internal.h"

#include <stdio.h>

/* What makes an object a tensor of a kind that is not read; or NULL. */
static const struct pickle_global *maker_of(const struct node *n)
{
    const struct pickle_global *g;

    if (n->kind != NODE_OPAQUE || n->opaque->callee->kind != NODE_GLOBAL)
        return NULL;
    g = n->opaque->callee->global;
    if (!str_is(g->module, "torch") && !str_starts(g->module, "torch."))
        return NULL;
    if (str_starts(g->name, "_rebuild_") ||
        str_is(g->name, "_load_from_bytes") || str_ends(g->name, "Tensor"))
        return g;
    return NULL;
}

bool torch_is_alien(const struct node *n)
{
    return maker_of(n) != NULL;
}

/* What is found out about one. */
struct about {
    enum dtype dtype;
    const struct node *size; /* or NULL */
    char text[3 * PICKLE_NAME_MAX];
    const char *hint;
    bool malformed;
};

/* "torch.sparse_coo", when the layout says so in the usual way. */
static struct str layout_name(const struct node *n)
{
    if (n->kind == NODE_OPAQUE && n->opaque->args->list.n == 1 &&
        n->opaque->args->list.v[0]->kind == NODE_STR)
        return n->opaque->args->list.v[0]->s;
    return (struct str){ "an unknown layout", 17 };
}

/* layout, (indices, values, size, ..) or (rows, columns, values, size, ..) */
static void about_sparse(const struct node_list *args, struct about *a)
{
    const struct node_list *data;
    uint64_t values;

    a->hint = "in Python, save its dense form: tensor.to_dense()";
    if (args->n != 2 || args->v[1]->kind != NODE_TUPLE)
        return;
    snprintf(a->text, sizeof(a->text), "sparse (%.*s)",
        (int)size_min(layout_name(args->v[0]).len, PICKLE_NAME_MAX),
        layout_name(args->v[0]).p);
    data = &args->v[1]->list;
    values = data->n > 2 && data->v[2]->kind == NODE_TUPLE ? 1 : 2;
    if (data->n < values + 2 || data->v[values]->kind != NODE_TENSOR)
        return;
    a->dtype = data->v[values]->view->dtype;
    a->size = data->v[values + 1];
}

/* storage, offset, size, .. in a way that torch could mean. */
static void about_view(const struct node_list *args, struct about *a)
{
    const struct node *last = args->n > 0 ? args->v[args->n - 1] : NULL;
    const struct torch_storage *s;
    const char *mark;

    a->malformed = true;
    if (args->n < 4 || args->v[0]->kind != NODE_STORAGE ||
        !torch_dims(args->v[2], NULL))
        return;
    s = args->v[0]->storage;
    a->size = args->v[2];
    mark = torch_mark(last);
    if (s->quant != NULL) {
        a->malformed = false;
        snprintf(a->text, sizeof(a->text),
            "quantised as %s in a way not read here", s->quant);
        a->hint = "in Python, save its numbers: tensor.dequantize()";
        return;
    }
    a->dtype = s->untyped ? DTYPE_NONE : s->dtype;
    if (mark != NULL) {
        a->malformed = false;
        snprintf(a->text, sizeof(a->text), "stored as the %s of another",
            mark[0] == 'c' ? "conjugate" : "negative");
        a->hint = "in Python, save tensor.resolve_conj().resolve_neg()";
    } else if (args->n > 6 && args->v[6]->kind == NODE_GLOBAL &&
               args->v[6]->global->known != NULL) {
        a->malformed = false;
        snprintf(a->text, sizeof(a->text),
            "of a dtype not read here (%.*s.%.*s)",
            STR_ARG(args->v[6]->global->module),
            STR_ARG(args->v[6]->global->name));
    }
}

static void find_out(
    const struct node *n, const struct pickle_global *g, struct about *a)
{
    const struct node_list *args = &n->opaque->args->list;

    snprintf(a->text, sizeof(a->text), "of a kind not read here (%.*s.%.*s)",
        STR_ARG(g->module), STR_ARG(g->name));
    if (str_starts(g->name, "_rebuild_sparse_"))
        about_sparse(args, a);
    else if (str_starts(g->name, "_rebuild_tensor") ||
             str_is(g->name, "_rebuild_qtensor"))
        about_view(args, a);
}

/* What a parameter is made of, when that is such a tensor itself. */
static const struct node *inside(const struct node *n)
{
    for (unsigned i = 0; i < 4; i++) {
        const struct pickle_global *g = maker_of(n);
        const struct node_list *args;

        if (g == NULL || !str_starts(g->name, "_rebuild_parameter"))
            break;
        args = &n->opaque->args->list;
        if (args->n == 0 || maker_of(args->v[0]) == NULL)
            break;
        n = args->v[0];
    }
    return n;
}

int torch_alien(const struct torch_reader *r, const struct node *n,
    struct tensor *out, struct err *e)
{
    const struct pickle_global *g;
    struct about a = { .dtype = DTYPE_NONE };
    uint64_t shape[TENSOR_RANK_MAX], *kept;

    n = inside(n);
    g = maker_of(n);
    if (g == NULL)
        return 0;
    find_out(n, g, &a);
    *out = (struct tensor){
        .dtype = a.dtype, .no_data = true, .malformed = a.malformed
    };
    out->alien = arena_str(r->keep, str_of(a.text), e).p;
    out->alien_hint = a.hint;
    if (out->alien == NULL)
        return -1;
    if (a.size == NULL || !torch_dims(a.size, shape) ||
        !tensor_count(shape, (uint32_t)a.size->list.n, &out->n))
        return 1;
    out->rank = (uint32_t)a.size->list.n;
    kept = arena_alloc(r->keep, out->rank, sizeof(*kept), e);
    if (kept == NULL)
        return -1;
    if (out->rank > 0)
        memcpy(kept, shape, out->rank * sizeof(*kept));
    out->shape = kept;
    return 1;
}
