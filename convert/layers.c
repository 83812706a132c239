#include "convert/layers.h"

#include <stdlib.h>

static const struct {
    const char *part;
    enum layer_kind kind;
} parts[] = { { "norm", KIND_NORM }, { "ln_", KIND_NORM },
    { "lm_head", KIND_HEAD }, { "embed_out", KIND_HEAD },
    { "embed", KIND_EMBEDDING }, { "wte.", KIND_EMBEDDING },
    { "wpe.", KIND_EMBEDDING }, { "attn", KIND_ATTENTION },
    { "attention", KIND_ATTENTION }, { "q_proj", KIND_ATTENTION },
    { "k_proj", KIND_ATTENTION }, { "v_proj", KIND_ATTENTION },
    { "o_proj", KIND_ATTENTION }, { "query", KIND_ATTENTION },
    { "mlp", KIND_MLP }, { "ffn", KIND_MLP }, { "feed_forward", KIND_MLP },
    { "experts", KIND_MLP }, { "gate_proj", KIND_MLP }, { "up_proj", KIND_MLP },
    { "down_proj", KIND_MLP }, { "intermediate", KIND_MLP },
    { ".fc", KIND_MLP } };

enum layer_kind layer_kind(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (memmem(name.p, name.len, parts[i].part, strlen(parts[i].part)))
            return parts[i].kind;
    return str_is(name, "output.weight") ? KIND_HEAD : KIND_OTHER;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_number(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_digit(s.p[i]))
            return false;
    return s.len > 0;
}

/* Up to the first part that is a number; else without the last part. */
static struct str layer_name(struct str name, bool *numbered)
{
    size_t begin = 0, last = 0;

    *numbered = true;
    for (size_t i = 0; i <= name.len; i++) {
        if (i < name.len && name.p[i] != '.')
            continue;
        if (is_number((struct str){ name.p + begin, i - begin }))
            return (struct str){ name.p, i };
        if (begin > 0)
            last = begin - 1;
        begin = i + 1;
    }
    *numbered = false;
    return last > 0 ? (struct str){ name.p, last } : name;
}

/* Numbers in names by their value: 2 before 10. */
static int cmp_natural(struct str a, struct str b)
{
    size_t i = 0, k = 0;

    while (i < a.len && k < b.len) {
        size_t x = i, y = k;
        int c;

        while (x < a.len && is_digit(a.p[x]))
            x++;
        while (y < b.len && is_digit(b.p[y]))
            y++;
        if (x - i != y - k && x > i && y > k)
            return x - i < y - k ? -1 : 1;
        x = size_max(x, i + 1);
        y = size_max(y, k + 1);
        c = str_cmp(
            (struct str){ a.p + i, x - i }, (struct str){ b.p + k, y - k });
        if (c != 0)
            return c;
        i = x;
        k = y;
    }
    return a.len - i < b.len - k ? -1 : a.len - i > b.len - k;
}

/* Embeddings come first, the head last, what has no number before it. */
static int rank(struct str name, bool numbered)
{
    if (numbered)
        return 1;
    if (layer_kind(name) == KIND_EMBEDDING)
        return 0;
    return layer_kind(name) == KIND_HEAD ? 3 : 2;
}

static int cmp_layer(struct str x, struct str y)
{
    bool nx, ny;
    struct str a = layer_name(x, &nx), b = layer_name(y, &ny);
    int c = rank(x, nx) - rank(y, ny);

    return c != 0 ? c : cmp_natural(a, b);
}

static int by_layer(const void *a, const void *b)
{
    const struct tensor *x = *(const struct tensor *const *)a;
    const struct tensor *y = *(const struct tensor *const *)b;
    int c = cmp_layer(x->name, y->name);

    return c != 0 ? c : str_cmp(x->name, y->name);
}

static bool begins_layer(const struct layers *l, uint64_t i)
{
    return i == 0 || cmp_layer(l->order[i - 1]->name, l->order[i]->name) != 0;
}

static uint64_t count_layers(const struct layers *l, uint64_t n)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < n; i++)
        count += begins_layer(l, i);
    return count;
}

/* Every tensor to its layer; when there are too many, some share one. */
static void assign(struct layers *l, const struct layout *p, uint64_t count)
{
    uint64_t join = (count + LAYERS_MAX - 1) / LAYERS_MAX, seen = 0;

    for (uint64_t i = 0; i < p->n; i++) {
        const struct tensor *t = l->order[i];
        struct layer *layer;
        uint64_t at = (uint64_t)(t - p->out);

        seen += begins_layer(l, i);
        l->of[at] = (uint32_t)((seen - 1) / join);
        layer = &l->v[l->of[at]];
        if (l->of[at] == l->n) {
            layer->name = layer_name(t->name, &layer->numbered);
            l->n++;
        }
        layer->bytes[layer_kind(t->name)] += tensor_bytes(t);
        l->spectra[at] = &layer->spectrum;
    }
}

int layers_make(struct layers *l, const struct layout *p, struct err *e)
{
    uint64_t count;

    *l = (struct layers){ .arena = ARENA_INIT((uint64_t)1 << 30) };
    l->order = arena_alloc(&l->arena, p->n, sizeof(*l->order), e);
    l->of = arena_alloc(&l->arena, p->n, sizeof(*l->of), e);
    l->spectra = arena_alloc(&l->arena, p->n, sizeof(*l->spectra), e);
    if (e->kind != ERR_NONE)
        return -1;
    for (uint64_t i = 0; i < p->n; i++)
        l->order[i] = &p->out[i];
    qsort((void *)l->order, p->n, sizeof(*l->order), by_layer);
    count = count_layers(l, p->n);
    l->v =
        arena_alloc(&l->arena, size_min(count, LAYERS_MAX), sizeof(*l->v), e);
    if (l->v == NULL)
        return -1;
    assign(l, p, count);
    return 0;
}

void layers_free(struct layers *l)
{
    arena_free(&l->arena);
    *l = (struct layers)LAYERS_INIT;
}
