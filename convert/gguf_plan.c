#include "convert/gguf_plan.h"

#include <stdio.h>

static const uint64_t ARENA_LIMIT = (uint64_t)1 << 30;

enum { HEADS_MAX = 1 << 16 };

/* What is being planned. */
struct planner {
    struct gguf_plan *p;
    const struct checkpoint *c;
    const struct gguf_model *m;
    const struct recipe *recipe;
    bool q8;
    bool *used; /* of c->tensors */
};

static int wrong_shape(const struct tensor *t, uint64_t rows, uint64_t cols,
    bool matrix, struct err *e)
{
    char have[128];

    tensor_shape_text(have, sizeof(have), t);
    if (matrix)
        return err_set(e, ERR_REFUSED,
            "tensor '%.*s' is %s, the config asks for [%llu, %llu]",
            STR_ARG(t->name), have, (unsigned long long)rows,
            (unsigned long long)cols);
    return err_set(e, ERR_REFUSED,
        "tensor '%.*s' is %s, the config asks for [%llu]", STR_ARG(t->name),
        have, (unsigned long long)rows);
}

/* A tensor of the checkpoint by its name, which is now accounted for. */
static const struct tensor *take(struct planner *l, const char *name,
    uint64_t rows, uint64_t cols, bool matrix, struct err *e)
{
    const struct tensor *t = checkpoint_find(l->c, name);

    if (t == NULL) {
        err_set(e, ERR_REFUSED, "no tensor '%s'", name);
        return NULL;
    }
    l->used[t - l->c->tensors] = true;
    if (t->no_data)
        err_set(
            e, ERR_UNSUPPORTED, "tensor '%s' was saved without its data", name);
    else if (t->quant != NULL && l->recipe->dtype == DTYPE_NONE && !l->q8)
        err_set(e, ERR_UNSUPPORTED,
            "tensor '%s' is quantised (%s), a type that GGUF does not have; "
            "name one: --fp32, --fp16, --bf16 or --q8_0",
            name, t->quant->name);
    else if (!dtype_is_float(t->dtype))
        err_set(e, ERR_UNSUPPORTED, "tensor '%s' is %s: not a number to cast",
            name, dtype_name(t->dtype));
    else if (t->rank != (matrix ? 2 : 1) || t->shape[0] != rows ||
             (matrix && t->shape[1] != cols))
        wrong_shape(t, rows, cols, matrix, e);
    return e->kind == ERR_NONE ? t : NULL;
}

static enum ggml_type kept_type(enum dtype t)
{
    if (t == DTYPE_F16)
        return GGML_F16;
    return t == DTYPE_BF16 ? GGML_BF16 : GGML_F32;
}

static enum ggml_type matrix_type(
    const struct planner *l, enum dtype from, uint64_t cols)
{
    if (l->q8)
        return cols % 32 == 0 ? GGML_Q8_0 : GGML_F16;
    return kept_type(recipe_target(l->recipe, from));
}

/* One more tensor; its bytes come from *from. */
static int add(struct planner *l, const char *name, enum ggml_type type,
    uint32_t rank, const struct gguf_origin *from, struct err *e)
{
    struct gguf_tensor *t = &l->p->out[l->p->n];

    *t = (struct gguf_tensor){ .type = (uint32_t)type,
        .rank = rank,
        .ne = { rank == 1 ? from->rows : from->row, rank == 1 ? 1 : from->rows,
            1, 1 } };
    t->name = arena_str(&l->p->arena, str_of(name), e);
    if (t->name.p == NULL)
        return -1;
    l->p->from[l->p->n++] = *from;
    return 0;
}

static uint32_t heads_of(const struct gguf_model *m, enum gguf_size rows)
{
    return rows == SIZE_KV ? m->kv_heads : m->heads;
}

/* A weight or bias made from one tensor. */
static int add_one(struct planner *l, const struct gguf_part *part,
    const char *from, uint32_t layer, bool bias, struct err *e)
{
    bool matrix = !bias && part->cols != SIZE_ONE;
    const char *tail = bias ? ".bias" : ".weight";
    const struct tensor **parts =
        arena_alloc(&l->p->arena, 1, sizeof(*parts), e);
    struct gguf_origin origin = { .parts = parts,
        .n_parts = 1,
        .order = part->order,
        .heads = heads_of(l->m, part->rows),
        .row = matrix ? gguf_model_size(l->m, part->cols) : 1,
        .rows = gguf_model_size(l->m, part->rows) };
    char name[GGUF_PART_NAME_MAX];
    enum ggml_type type = GGML_F32;

    if (parts == NULL)
        return -1;
    gguf_part_name(name, from, layer, 0, tail);
    parts[0] = take(l, name, origin.rows, origin.row, matrix, e);
    if (parts[0] == NULL)
        return -1;
    if (matrix)
        type = matrix_type(l, parts[0]->dtype, origin.row);
    gguf_part_name(name, part->to, layer, 0, tail);
    return add(l, name, type, matrix ? 2 : 1, &origin, e);
}

/* One vector for each head becomes a matrix. */
static int add_stack(struct planner *l, const struct gguf_part *part,
    uint32_t layer, struct err *e)
{
    uint32_t heads = heads_of(l->m, part->rows);
    const struct tensor **parts =
        arena_alloc(&l->p->arena, heads, sizeof(*parts), e);
    struct gguf_origin origin = {
        .parts = parts, .n_parts = heads, .row = l->m->head_dim, .rows = heads
    };
    char name[GGUF_PART_NAME_MAX];

    if (parts == NULL)
        return -1;
    for (uint32_t i = 0; i < heads; i++) {
        gguf_part_name(name, part->from, layer, i, ".weight");
        parts[i] = take(l, name, l->m->head_dim, 1, false, e);
        if (parts[i] == NULL)
            return -1;
        if (parts[i]->dtype != parts[0]->dtype)
            return err_set(e, ERR_UNSUPPORTED,
                "tensor '%s' has another type than its neighbours", name);
    }
    gguf_part_name(name, part->to, layer, 0, ".weight");
    return add(l, name, GGML_F32, 2, &origin, e);
}

static bool has_bias(const struct gguf_model *m, const struct gguf_part *part)
{
    return (part->flags & PART_BIAS) ||
           ((part->flags & PART_ATTN_BIAS) && m->attn_bias) ||
           ((part->flags & PART_MLP_BIAS) && m->mlp_bias);
}

/* What is read for the output head; NULL when a reader finds it by itself. */
static const char *head_from(struct planner *l, const struct gguf_part *part)
{
    char name[GGUF_PART_NAME_MAX];
    const struct tensor *t;

    if (!l->m->tied)
        return part->from;
    t = checkpoint_find(
        l->c, gguf_part_name(name, part->from, 0, 0, ".weight"));
    if (t != NULL)
        l->used[t - l->c->tensors] = true;
    /* The embedding stands first in every family. */
    return l->m->family->head_needed ? l->m->family->parts[0].from : NULL;
}

static int add_part(struct planner *l, const struct gguf_part *part,
    uint32_t layer, struct err *e)
{
    const char *from = part->from;

    if ((part->flags & PART_SEQUENTIAL) && l->m->parallel)
        return 0;
    if (part->flags & PART_STACK)
        return l->m->head_norms ? add_stack(l, part, layer, e) : 0;
    if (part->flags & PART_HEAD)
        from = head_from(l, part);
    if (from == NULL)
        return 0;
    if (add_one(l, part, from, layer, false, e) != 0)
        return -1;
    return has_bias(l->m, part) ? add_one(l, part, from, layer, true, e) : 0;
}

static bool in_layer(const struct gguf_part *part)
{
    return strstr(part->from, "{i}") != NULL;
}

static int add_parts(struct planner *l, struct err *e)
{
    const struct gguf_part *parts = l->m->family->parts;

    for (const struct gguf_part *q = parts; q->from != NULL; q++)
        if (!in_layer(q) && add_part(l, q, 0, e) != 0)
            return -1;
    for (uint32_t i = 0; i < l->m->layers; i++)
        for (const struct gguf_part *q = parts; q->from != NULL; q++)
            if (in_layer(q) && add_part(l, q, i, e) != 0)
                return -1;
    return 0;
}

/* The divisors of the frequencies, a tensor that no checkpoint holds. */
static int add_rope(struct planner *l, struct err *e)
{
    struct gguf_origin origin = { .row = 1, .rows = l->m->head_dim / 2 };
    float *v;

    if (l->m->scaling != SCALING_LLAMA3)
        return 0;
    v = arena_alloc(&l->p->arena, origin.rows, sizeof(*v), e);
    if (v == NULL)
        return -1;
    for (uint32_t i = 0; i < origin.rows; i++)
        v[i] = gguf_model_rope(l->m, i);
    origin.made = v;
    return add(l, "rope_freqs.weight", GGML_F32, 1, &origin, e);
}

/* Nothing is left out silently. */
static int check_left(const struct planner *l, struct err *e)
{
    for (uint64_t i = 0; i < l->c->n_tensors; i++) {
        struct str name = l->c->tensors[i].name;

        if (!l->used[i] && !gguf_family_ignores(l->m->family, name))
            return err_set(e, ERR_UNSUPPORTED,
                "tensor '%.*s' has no place in a GGUF file of %s",
                STR_ARG(name), l->m->family->arch);
    }
    return 0;
}

static uint32_t file_type(const struct planner *l)
{
    if (l->q8)
        return 7;
    switch ((enum ggml_type)l->p->out[0].type) {
    case GGML_F16:
        return 1;
    case GGML_BF16:
        return 32;
    default:
        return 0;
    }
}

/* Every tensor is used once, but an embedding that is the head as well. */
static int alloc(struct planner *l, struct err *e)
{
    uint64_t n = l->c->n_tensors, room = n + 2;

    l->p->out = arena_alloc(&l->p->arena, room, sizeof(*l->p->out), e);
    l->p->from = arena_alloc(&l->p->arena, room, sizeof(*l->p->from), e);
    l->used = arena_alloc(&l->p->arena, n, sizeof(*l->used), e);
    if (e->kind != ERR_NONE)
        return -1;
    if (l->m->heads > HEADS_MAX)
        return err_set(e, ERR_REFUSED, "%u heads", l->m->heads);
    return 0;
}

int gguf_plan_make(struct gguf_plan *p, const struct checkpoint *c,
    const struct gguf_model *m, const struct recipe *r, bool q8, struct err *e)
{
    struct planner l = { .p = p, .c = c, .m = m, .recipe = r, .q8 = q8 };

    *p = (struct gguf_plan){ .arena = ARENA_INIT(ARENA_LIMIT) };
    if (alloc(&l, e) != 0 || add_parts(&l, e) != 0 || add_rope(&l, e) != 0 ||
        check_left(&l, e) != 0) {
        gguf_plan_free(p);
        return -1;
    }
    p->file_type = file_type(&l);
    return 0;
}

void gguf_plan_free(struct gguf_plan *p)
{
    arena_free(&p->arena);
    *p = (struct gguf_plan)GGUF_PLAN_INIT;
}
