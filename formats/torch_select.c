/*
 * Which branch of the tree holds the weights: the one child with a usual
 * name, never a guess between two.
 */
#include "formats/torch_internal.h"

#include <stdlib.h>

static const char *const usual[] = { "state_dict", "model_state_dict",
    "model_state", "model", "module", "net", "network", "weights", "params",
    "ema", "generator" };

enum { LEVELS = 3 };

/* The part of name behind "branch.", or NULL. */
static const char *below(struct str branch, struct str name)
{
    if (branch.len == 0)
        return name.p;
    if (name.len <= branch.len || name.p[branch.len] != '.' ||
        memcmp(name.p, branch.p, branch.len) != 0)
        return NULL;
    return name.p + branch.len + 1;
}

static bool is_mapping(const struct node *n)
{
    return n->kind == NODE_DICT || n->kind == NODE_OPAQUE;
}

static struct str branch_join(
    struct arena *arena, struct str branch, const char *part, struct err *e)
{
    struct buf b AUTO(buf_free) = BUF_INIT(TENSOR_NAME_MAX);

    buf_put(&b, branch.p, branch.len);
    if (branch.len > 0)
        buf_putc(&b, '.');
    buf_puts(&b, part);
    if (buf_check(&b, e) != 0)
        return (struct str){ NULL, 0 };
    return arena_str(arena, buf_str(&b), e);
}

/* "model (3 tensors, 88 bytes), ema (3 tensors, 88 bytes)" */
static int two_branches(const struct torch_reader *r,
    const struct torch_found *f, struct str at, const bool *taken,
    struct err *e)
{
    struct buf list AUTO(buf_free) = BUF_INIT(400);
    const char *one = "";

    for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
        struct str branch = taken[i] ? branch_join(r->arena, at, usual[i], e)
                                     : (struct str){ NULL, 0 };
        uint64_t n = 0, bytes = 0;

        if (branch.p == NULL)
            continue;
        for (uint64_t k = 0; k < f->n; k++) {
            if (below(branch, f->v[k].name) == NULL)
                continue;
            n++;
            bytes += tensor_bytes(&f->v[k]);
        }
        if (list.len == 0)
            one = branch.p;
        buf_printf(&list, "%s%s (%llu tensor%s, %llu bytes)",
            list.len ? ", " : "", branch.p, (unsigned long long)n,
            n == 1 ? "" : "s", (unsigned long long)bytes);
    }
    err_set(e, ERR_REFUSED, "more than one branch may hold the weights: %s",
        list.p);
    return err_hint(e, "choose one: --select %s", one);
}

/*
 * Follow the usual names from the root. *branch gets the path, beside the
 * mappings on the way.
 */
static int find_branch(const struct torch_reader *r,
    const struct torch_found *f, struct str *branch,
    struct torch_beside *beside, struct err *e)
{
    const struct node *at = r->root;

    for (unsigned level = 0; level < LEVELS; level++) {
        const struct node_list *pairs = torch_pairs(at);
        bool taken[ARRAY_LEN(usual)] = { false };
        const struct node *next = NULL;
        size_t which = 0, n = 0;

        for (size_t i = 0; pairs != NULL && i < ARRAY_LEN(usual); i++) {
            const struct node *child = node_pair(pairs, usual[i]);

            if (child == NULL || !is_mapping(child) ||
                !torch_has_tensors(child))
                continue;
            taken[i] = true;
            next = child;
            which = i;
            n++;
        }
        if (n > 1)
            return two_branches(r, f, *branch, taken, e);
        if (n == 0)
            return 0;
        *branch = branch_join(r->keep, *branch, usual[which], e);
        if (branch->p == NULL)
            return -1;
        beside->v[beside->n++] = at;
        at = next;
    }
    return 0;
}

/* The same branch may hold what only looks like the name of another. */
static int by_name(const void *a, const void *b)
{
    return str_cmp((*(const struct tensor *const *)a)->name,
        (*(const struct tensor *const *)b)->name);
}

static int check_names(
    const struct torch_file *out, struct arena *arena, struct err *e)
{
    const struct tensor **v =
        arena_alloc(arena, out->n_tensors, sizeof(const struct tensor *), e);

    if (v == NULL)
        return -1;
    for (uint64_t i = 0; i < out->n_tensors; i++) {
        v[i] = &out->tensors[i];
        if (v[i]->name.len == 0)
            return err_set(e, ERR_REFUSED, "a tensor without a name");
    }
    qsort(v, out->n_tensors, sizeof(*v), by_name);
    for (uint64_t i = 1; i < out->n_tensors; i++) {
        if (str_eq(v[i - 1]->name, v[i]->name))
            return err_set(e, ERR_REFUSED, "two tensors are called '%.*s'",
                (int)size_min(v[i]->name.len, 300), v[i]->name.p);
    }
    return 0;
}

static int take_branch(const struct torch_reader *r,
    const struct torch_found *f, struct str branch, struct torch_file *out,
    struct err *e)
{
    out->tensors = arena_alloc(r->keep, f->n, sizeof(*out->tensors), e);
    if (out->tensors == NULL)
        return -1;
    out->branch = branch;
    for (uint64_t i = 0; i < f->n; i++) {
        const char *name = below(branch, f->v[i].name);
        struct tensor *t = &out->tensors[out->n_tensors];

        /* What a branch was named for is not left aside. */
        if (name == NULL || (f->v[i].aside && branch.len == 0))
            continue;
        *t = f->v[i];
        t->name.len -= (size_t)(name - t->name.p);
        t->name.p = name;
        out->n_tensors++;
    }
    return check_names(out, r->arena, e);
}

static int refuse_alien(const struct tensor *t, struct err *e)
{
    err_set(e, ERR_UNSUPPORTED, "tensor '%.*s' is %.300s",
        (int)size_min(t->name.len, 200), t->name.p, t->alien);
    return t->alien_hint != NULL ? err_hint(e, "%s", t->alien_hint) : -1;
}

static int check_kinds(struct torch_file *out, struct err *e)
{
    const struct tensor *first = NULL;

    for (uint64_t i = 0; i < out->n_tensors; i++) {
        const struct tensor *t = &out->tensors[i];

        if (t->malformed)
            return refuse_alien(t, e);
        if (t->alien != NULL && first == NULL)
            first = t;
    }
    out->alien = first != NULL;
    return first == NULL ? 0 : refuse_alien(first, e);
}

int torch_choose(const struct torch_reader *r, const struct torch_found *f,
    const char *select, struct torch_file *out, struct torch_beside *beside,
    struct err *e)
{
    struct str branch = { "", 0 };

    if (select == NULL) {
        /* A program's names are those of its modules, all of them. */
        if (!r->script && find_branch(r, f, &branch, beside, e) != 0)
            return -1;
        if (take_branch(r, f, branch, out, e) != 0)
            return -1;
        return check_kinds(out, e);
    }
    branch = arena_str(r->keep, str_of(select), e);
    if (branch.p == NULL || take_branch(r, f, branch, out, e) != 0)
        return -1;
    if (!r->script)
        beside->v[beside->n++] = r->root;
    if (out->n_tensors == 0)
        return err_set(
            e, ERR_MISSING, "no tensors below a branch '%s'", select);
    return check_kinds(out, e);
}
