#include "formats/alias.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"

enum { COMPARE_BYTES = 256 << 10 };

/* Names of input embeddings, the one that others are tied to first. */
static const char *const embeddings[] = { "shared.weight",
    "embed_tokens.weight", "embed_in.weight", "wte.weight",
    "word_embeddings.weight", "tok_embeddings.weight" };
static const char *const heads[] = { "lm_head.weight", "embed_out.weight" };

enum { RANK_OTHER = ARRAY_LEN(embeddings), RANK_HEAD };

/* name is last, or ends in "." and last. */
static bool is_called(struct str name, const char *last)
{
    size_t n = strlen(last);

    return str_ends(name, last) &&
           (name.len == n || name.p[name.len - n - 1] == '.');
}

static int name_rank(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        if (is_called(name, heads[i]))
            return RANK_HEAD;
    if (str_is(name, "output.weight"))
        return RANK_HEAD;
    for (size_t i = 0; i < ARRAY_LEN(embeddings); i++)
        if (is_called(name, embeddings[i]))
            return (int)i;
    return RANK_OTHER;
}

static int cmp_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int cmp_view(const struct tensor *a, const struct tensor *b)
{
    bool dense = tensor_dense(a);
    int c = cmp_u64(a->file, b->file);

    c = c ? c : cmp_u64((uintptr_t)a->held, (uintptr_t)b->held);
    c = c ? c : cmp_u64(a->storage_at, b->storage_at);
    c = c ? c : cmp_u64(a->offset, b->offset);
    c = c ? c : cmp_u64(a->dtype, b->dtype);
    c = c ? c : cmp_u64(a->rank, b->rank);
    c = c ? c : cmp_u64(dense, tensor_dense(b));
    for (uint32_t i = 0; i < a->rank && c == 0; i++)
        c = cmp_u64(a->shape[i], b->shape[i]);
    for (uint32_t i = 0; i < a->rank && c == 0 && !dense; i++)
        c = a->shape[i] == 1 ? 0 : cmp_u64(a->stride[i], b->stride[i]);
    return c;
}

/* Same views side by side, the one to keep in front. */
static int cmp_group(const void *x, const void *y)
{
    const struct tensor *a = *(const struct tensor *const *)x;
    const struct tensor *b = *(const struct tensor *const *)y;
    int c = cmp_view(a, b);

    c = c ? c : name_rank(a->name) - name_rank(b->name);
    return c ? c : str_cmp(a->name, b->name);
}

static int same_storage(
    const struct checkpoint *c, const struct tensor **out, struct err *e)
{
    const struct tensor **order = malloc((c->n_tensors + 1) * sizeof(*order));
    const struct tensor *kept = NULL;

    if (order == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (uint64_t i = 0; i < c->n_tensors; i++)
        order[i] = &c->tensors[i];
    qsort((void *)order, c->n_tensors, sizeof(*order), cmp_group);
    for (uint64_t i = 0; i < c->n_tensors; i++) {
        bool same = kept != NULL && tensor_same_bytes(kept, order[i]);
        out[order[i] - c->tensors] = same ? kept : NULL;
        if (!same)
            kept = order[i];
    }
    free((void *)order);
    return 0;
}

static int compare(const struct checkpoint *c, const struct tensor *a,
    const struct tensor *b, bool *same, struct err *e)
{
    unsigned size = dtype_bytes(a->dtype);
    uint64_t most = COMPARE_BYTES / size;
    struct buf room AUTO(buf_free) = BUF_INIT(2 * COMPARE_BYTES);
    char *p = buf_room(&room, 2 * COMPARE_BYTES);

    *same = true;
    if (p == NULL)
        return buf_check(&room, e);
    for (uint64_t at = 0; at < a->n && *same; at += most) {
        uint64_t n = size_min(most, a->n - at);
        if (checkpoint_read(c, a, at, n, p, e) != 0 ||
            checkpoint_read(c, b, at, n, p + COMPARE_BYTES, e) != 0)
            return -1;
        *same = memcmp(p, p + COMPARE_BYTES, n * size) == 0;
    }
    return 0;
}

static bool may_tie(const struct tensor *head, const struct tensor *t)
{
    if (name_rank(t->name) >= RANK_OTHER || t->dtype != head->dtype ||
        t->rank != head->rank || t->n == 0 || t->no_data || head->no_data ||
        dtype_bytes(t->dtype) == 0)
        return false;
    for (uint32_t i = 0; i < t->rank; i++)
        if (t->shape[i] != head->shape[i])
            return false;
    return true;
}

bool alias_is_head(struct str name)
{
    return name_rank(name) == RANK_HEAD;
}

int alias_of_head(const struct checkpoint *c, const struct tensor *head,
    const struct tensor **of, struct err *e)
{
    unsigned tried = 0;
    bool same = false;

    *of = NULL;
    if (!alias_is_head(head->name))
        return 0;
    for (uint64_t i = 0; i < c->n_tensors && !same; i++) {
        const struct tensor *t = &c->tensors[i];

        if (!may_tie(head, t))
            continue;
        if (tried++ == ALIAS_TIES_MAX)
            return 0;
        if (compare(c, head, t, &same, e) != 0)
            return -1;
        if (same)
            *of = t;
    }
    return 0;
}

static int tie_head(const struct checkpoint *c, uint64_t head,
    const struct tensor **out, struct err *e)
{
    const struct tensor *h = &c->tensors[head];
    unsigned tried = 0;
    bool same = false;

    for (uint64_t i = 0; i < c->n_tensors && !same; i++) {
        const struct tensor *t = &c->tensors[i];
        if (out[i] != NULL || !may_tie(h, t))
            continue;
        if (tried++ == ALIAS_TIES_MAX)
            return 0;
        if (compare(c, h, t, &same, e) != 0)
            return -1;
        if (same)
            out[head] = t;
        else
            log_warn("the config ties '%.*s' to '%.*s', but their values "
                     "differ: both are kept",
                STR_ARG(h->name), STR_ARG(t->name));
    }
    return 0;
}

/* Heads that share the embedding's storage stand for themselves. */
static void untie_heads(const struct checkpoint *c, const struct tensor **out)
{
    for (uint64_t i = 0; i < c->n_tensors; i++)
        if (out[i] != NULL && name_rank(c->tensors[i].name) == RANK_HEAD &&
            name_rank(out[i]->name) != RANK_HEAD)
            out[i] = NULL;
}

static int tie_heads(
    const struct checkpoint *c, const struct tensor **out, struct err *e)
{
    unsigned n = 0;

    for (uint64_t i = 0; i < c->n_tensors && n < ALIAS_TIES_MAX; i++) {
        if (out[i] != NULL || name_rank(c->tensors[i].name) != RANK_HEAD)
            continue;
        if (tie_head(c, i, out, e) != 0)
            return -1;
        n++;
    }
    return 0;
}

int alias_find(const struct checkpoint *c, enum tie tie,
    const struct tensor **out, struct err *e)
{
    if (same_storage(c, out, e) != 0)
        return -1;
    if (tie == TIE_NO)
        untie_heads(c, out);
    if (tie == TIE_YES && tie_heads(c, out, e) != 0)
        return -1;
    /* A head that stood for another head may have been tied itself. */
    for (uint64_t i = 0; i < c->n_tensors; i++)
        if (out[i] != NULL && out[out[i] - c->tensors] != NULL)
            out[i] = out[out[i] - c->tensors];
    return 0;
}
